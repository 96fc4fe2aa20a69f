"""Published data sets to one manifest in one label space."""
