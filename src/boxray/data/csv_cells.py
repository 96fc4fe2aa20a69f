"""Text in tables that people open in a spreadsheet."""

from __future__ import annotations

from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(cell: Any) -> Any:
    """The cell, with ``'`` before text that a spreadsheet would run as a formula (OWASP, CSV injection).

    >>> harmless("=1+1"), harmless(-1.5), harmless("a reason")
    ("'=1+1", -1.5, 'a reason')
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
