"""Words and tables in Markdown, as GitHub shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Json = Mapping[str, Any]
"""Plain data out of `results.json`."""


def said(interval: Json | None, digits: int = 2) -> str:
    """A figure with its interval, as `boxray.core.metrics.Interval.to_json` wrote it; a dash where there is none."""
    if interval is None or interval["value"] is None:
        return "–"
    if interval["low"] == interval["high"]:  # none, or no resample differs
        return f"{interval['value']:.{digits}f}"
    return f"{interval['value']:.{digits}f} ({interval['low']:.{digits}f}–{interval['high']:.{digits}f})"


def signed(interval: Json | None, digits: int = 2) -> str:
    """`said` of a difference: with its sign."""
    if interval is None or interval["value"] is None:
        return "–"
    if interval["low"] is None:
        return f"{interval['value']:+.{digits}f}"
    return f"{interval['value']:+.{digits}f} ({interval['low']:+.{digits}f}, {interval['high']:+.{digits}f})"


def plain(text: object) -> str:
    """Words from outside, so that they are words in Markdown too, and one cell of a table."""
    words = " ".join(str(text).split())
    for mark in "\\`*_[]|":
        words = words.replace(mark, f"\\{mark}")
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: object) -> str:
    """The same between backticks, where a backslash is a backslash."""
    return "`" + " ".join(str(text).split()).replace("`", "'").replace("|", "\\|") + "`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(summary: str, content: str) -> str:
    """What opens at a click; the empty lines let GitHub see Markdown inside."""
    return f"<details><summary>{escape(summary)}</summary>\n\n{content}\n\n</details>"
