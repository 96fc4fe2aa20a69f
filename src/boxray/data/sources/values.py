"""What the texts of published tables mean, where several importers meet the same ones."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.data.record import Corners
from boxray.data.sources.files import read_table

OLDEST_YEARS: Final = 120
"""The first release of NIH's table has ages up to 414: what nobody reaches is no age."""

_VIEWS: Final = {"PA": "PA", "AP": "AP", "AP Supine": "AP", "L": "L", "LL": "L"}


def corners_of(values: Iterable[Any]) -> Corners:
    """Four finite numbers x1, y1, x2, y2, whether they come as text or as numbers.

    Raises:
        ValueError: If they are not.
        TypeError: If one is neither text nor a number.
    """
    try:
        x1, y1, x2, y2 = map(float, values)
    except OverflowError as error:  # JSON knows whole numbers of any length
        raise ValueError("a corner is beyond all numbers") from error
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        raise ValueError("a corner is not finite")
    return x1, y1, x2, y2


def corners_of_xywh(values: Iterable[Any]) -> Corners:
    """The same from x, y, width and height.

    Raises:
        ValueError: If they are no four finite numbers.
        TypeError: If one is neither text nor a number.
    """
    x, y, width, height = corners_of(values)
    return x, y, x + width, y + height


def bounds_of(xs: Iterable[Any], ys: Iterable[Any]) -> Corners:
    """The smallest box that holds some points.

    Raises:
        ValueError: If there are none, or a coordinate is no finite number.
        TypeError: If one is neither text nor a number.
    """
    try:
        across, down = sorted(map(float, xs)), sorted(map(float, ys))
    except OverflowError as error:  # as in `corners_of`
        raise ValueError("a coordinate is beyond all numbers") from error
    if not (across and down and all(map(math.isfinite, (*across, *down)))):  # NaN hides from min and max
        raise ValueError("expected points with finite coordinates")
    return across[0], down[0], across[-1], down[-1]


def side_of(value: Any) -> int:
    """A side of a picture in pixels.

    Raises:
        ValueError: If it is no whole number above 0.
    """
    try:
        side = int(value)
    except OverflowError as error:
        raise ValueError("a side without end") from error
    if side <= 0:
        raise ValueError(f"a side of {side} px")
    return side


def read_sizes(table: Path) -> dict[str, tuple[int, int]]:
    """Width and height of the original picture by image, from the columns `image_id`, `width`, `height`.

    Raises:
        DataError: If a row has no such size.
    """
    sizes = {}
    for image, width, height in read_table(table, ["image_id", "width", "height"]).itertuples(index=False):
        try:
            sizes[image] = side_of(width), side_of(height)
        except ValueError as error:
            raise DataError(f"{table.name}: {image!r} has no size, but {width!r} x {height!r}") from error
    return sizes


def sex_of(text: str) -> str | None:
    """``F`` or ``M`` where the text is one of the two, else None."""
    sex = text.strip().upper()
    return sex if sex in {"F", "M"} else None


def age_of(text: str) -> int | None:
    """Whole years, written ``57``, ``57.0`` or ``057Y``; None where it is blank or no age of a person."""
    found = re.fullmatch(r"\s*(\d{1,3})(?:\.0)?Y?\s*", text)
    return int(found[1]) if found and int(found[1]) <= OLDEST_YEARS else None


def view_of(text: str) -> str | None:
    """``PA``, ``AP`` or ``L`` (lateral) where the text says so, else None; lying on the back is AP."""
    return _VIEWS.get(text.strip())
