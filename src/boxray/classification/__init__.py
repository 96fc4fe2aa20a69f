"""The classifier: train, evaluate, classify, Grad-CAM."""
