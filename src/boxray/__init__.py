"""boxray: boxed findings on chest radiographs, with the heat map beside them and a number between.

Importing this package loads numpy at most and touches no file, environment or random state. The rooms
and the direction in which they import each other are drawn in ARCHITECTURE.md.

Research use only. Not a medical device.
"""

__version__: str
__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """The version, once somebody asks: it stands in the installed package's metadata, which is a file."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("boxray")
