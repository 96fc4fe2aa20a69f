"""Both models on one radiograph: the reader, the reading, the agreement."""
