"""The pages of the reading room, a tab each. Every one is laid out by a function that is called inside of a tab."""
