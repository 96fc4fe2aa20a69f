"""Exit codes."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command leaves with."""

    DONE = 0
    """All that was asked for."""
    ERROR = 1
    """Ours: one line on stderr."""
    USAGE = 2
    """Theirs, an unknown key of a recipe included; ends with the nearest known name."""
    PARTLY = 3
    """A batch went through; some files were refused or failed, and each has its record."""
