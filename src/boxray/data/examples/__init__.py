"""Example radiographs."""

from boxray.data.examples.make import EXAMPLES, Made, make_examples

__all__ = ["EXAMPLES", "Made", "make_examples"]
