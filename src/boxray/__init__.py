"""boxray: boxed findings on chest radiographs, with the heat map beside them and a number between.

Importing this package loads numpy at most and touches no file, environment or random state. The rooms
and the direction in which they import each other are drawn in ARCHITECTURE.md.

Research use only. Not a medical device.
"""

from importlib.metadata import version

__version__ = version("boxray")
__all__ = ["__version__"]
