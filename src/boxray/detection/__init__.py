"""The detector: train, evaluate, detect. One file knows ultralytics."""
