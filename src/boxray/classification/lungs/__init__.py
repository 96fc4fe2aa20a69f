"""The lung fields: a decoder on the classifier's backbone, taught by boxes and, where there are any, by masks."""
