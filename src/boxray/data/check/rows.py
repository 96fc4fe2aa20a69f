"""Four numbers that should be a box: what is wrong with a row, with one box, and with those of a whole set."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from boxray.data.check.report import Wrong
from boxray.data.check.tree import Tree

ROUNDING: Final = 1e-4
"""A fraction of the picture's side. Four digits are the fewest that tools write: 0.75e-4 over the edge is rounding."""

CLEARLY_OVER: Final = 0.01
"""A fraction of the picture's side. What reaches over the edge by more than 1 % was hardly drawn so."""

FEW_ROWS: Final = 8
"""Below this many rows a whole set is not suspected: so many boxes lie in one corner by chance."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_FORMS: Final = ("corners", "corner and size", "centre and size")

Quad = tuple[float, float, float, float]


def read_lines(tree: Tree, name: str, largest_bytes: int) -> str | Wrong:
    """A text file in UTF-8; else what is wrong: ``data.unreadable``, or ``text`` where it is in another encoding."""
    path = tree.path(name)
    try:
        size = path.stat().st_size
        if size > largest_bytes:
            return Wrong("data.unreadable", f"{size} bytes, at most {largest_bytes} are read")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return Wrong("data.unreadable", f"the file cannot be read ({type(error).__name__})")
    except UnicodeDecodeError:
        return Wrong("text", "expected text in UTF-8; is it UTF-16? Save it as UTF-8")


def read_row(line: str, n_classes: int, whence: str) -> tuple[int, Quad] | Wrong:
    """Class and four numbers of a row; else what is wrong with it.

    Args:
        line: Not blank.
        n_classes: Classes are counted from 0 to below this.
        whence: What says so, in words.
    """
    words = line.split()
    if len(words) != 5:
        return Wrong("label.invalid_row", f"{_how_many(len(words))}, got {line[:80]!r}")
    if not re.fullmatch(r"[0-9]{1,9}", words[0], re.ASCII):
        return Wrong("label.invalid_row", f"expected a class counted from 0, got {words[0][:40]!r}")
    if int(words[0]) >= n_classes:
        return Wrong("label.invalid_row", f"class {words[0]}, but {whence} has {n_classes}, counted from 0")
    for word in words[1:]:
        if _NOT_FINITE.fullmatch(word):
            return Wrong("label.invalid_row", f"expected finite numbers, got {word!r}")
        if not _NUMBER.fullmatch(word):
            return Wrong("label.invalid_row", f"expected numbers such as 0.5, got {word[:40]!r}")
    a, b, c, d = quad = tuple(float(word) for word in words[1:])
    if min(quad) < 0:
        return Wrong("label.invalid_row", f"expected fractions of the picture, got the negative {min(quad):g}")
    if sum(value > 2 for value in quad) >= 2:
        return Wrong("label.format_suspect", f"pixels? Expected fractions of the picture, got {line.strip()[:80]!r}")
    if max(quad) > 1:
        return Wrong("label.invalid_row", f"expected fractions of the picture from 0 to 1, got {max(quad):g}")
    torn = next((word for word in words[1:] if word.endswith(".")), None)
    if torn is not None:
        return Wrong("label.degenerate", f"a number is torn: {torn!r} has no digit behind its point")
    return int(words[0]), (a, b, c, d)


def _how_many(n_words: int) -> str:
    expected = "expected five words, class cx cy w h"
    if n_words < 5:
        return f"{expected}; the row is cut short or is no row"
    return f"{expected}; six may end in a score" if n_words == 6 else f"{expected}; more may be a polygon, or text"


def box_fault(quad: Quad, form: str = "centre and size") -> Wrong | None:
    """What is wrong with four finite numbers that are a box.

    Args:
        quad: In fractions of the picture.
        form: What they are said to be: ``centre and size`` (YOLO) or ``corner and size`` (COCO).
    """
    left, top, width, height = _placed(quad, form)
    if width <= 0 or height <= 0:
        return Wrong("label.degenerate", "a side of 0: the box has no area")
    over = max(-left, -top, left + width - 1, top + height - 1)
    if over <= ROUNDING:
        return None
    if over > CLEARLY_OVER:
        others = [other for other in _FORMS if other != form and _fits(quad, other)]
        if others:
            return Wrong(
                "label.format_suspect",
                f"read as {form} the box reaches over the edge by {over:.0%} of the picture; it fits as "
                f"{' or as '.join(others)}",
            )
    return Wrong("label.degenerate", f"the box reaches over the edge by {over:.2%} of the picture")


def corners_suspicion(quads: Sequence[Quad], form: str) -> str | None:
    """Why a whole set looks as if corners had been written, or None.

    Corners always grow from the first pair to the second; centres and sizes do so only for large boxes in the upper
    left. A set of those alone would stay inside its pictures, so some box must also reach over an edge.

    Args:
        quads: All rows of the set in fractions; those that could not be read are NaN.
        form: What they are said to be.
    """
    readable = [quad for quad in quads if not math.isnan(quad[0])]
    growing = sum(quad[2] > quad[0] and quad[3] > quad[1] for quad in readable)
    if len(readable) < FEW_ROWS or growing < 0.95 * len(readable):
        return None
    n_over = sum((wrong := box_fault(quad, form)) is not None and "edge" in wrong.reason for quad in readable)
    if not n_over:
        return None
    return (
        f"corners? In {growing} of {len(readable)} boxes the third and fourth number exceed the first and second, and "
        f"{n_over} reach over an edge when they are read as {form}"
    )


def _placed(quad: Quad, form: str) -> Quad:
    """Left, top, width and height."""
    a, b, c, d = quad
    if form == "corners":
        return a, b, c - a, d - b
    return (a, b, c, d) if form == "corner and size" else (a - c / 2, b - d / 2, c, d)


def _fits(quad: Quad, form: str) -> bool:
    left, top, width, height = _placed(quad, form)
    inside = min(left, top) >= -ROUNDING and max(left + width, top + height) <= 1 + ROUNDING
    return inside and width > 0 and height > 0
