"""Groups of images for which a model is judged apart: source, sex, age and view, where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import pandas as pd

from boxray.core.arrays import BoolArray

T = TypeVar("T")

NOT_KNOWN: Final = "not known"

AGE_BANDS: Final = {"under 18": 17, "18–39": 39, "40–59": 59, "60–79": 79, "80 and over": 200}
"""Name -> last whole year of life in it."""


def groups(images: pd.DataFrame) -> Iterator[tuple[str, str, BoolArray]]:
    """Attribute, group and which of the images are in it; an attribute that is known of no image is left out.

    Args:
        images: With `source`, `sex`, `age_years` and `view`.
    """
    columns = {
        "source": images["source"].astype(object),
        "sex": images["sex"].astype(object),
        "age": images["age_years"].map(_band, na_action="ignore").astype(object),
        "view": images["view"].astype(object),
    }
    for attribute, column in columns.items():
        if column.isna().all():
            continue
        named = column.where(column.notna(), NOT_KNOWN).astype(str)
        for group in sorted(named.unique(), key=_place):
            yield attribute, group, (named == group).to_numpy(dtype=bool)


def first_of_each(things: Iterable[T], owner: Callable[[T], str], most: int) -> list[T]:
    """The first thing of each owner, such as a patient, in the order given; at most so many."""
    firsts: dict[str, T] = {}
    for thing in things:
        if len(firsts) < most:
            firsts.setdefault(owner(thing), thing)
    return list(firsts.values())


def _band(years: float) -> str:
    return next(name for name, last in AGE_BANDS.items() if years <= last)


def _place(group: str) -> tuple[bool, int, str]:
    bands = list(AGE_BANDS)
    return group == NOT_KNOWN, bands.index(group) if group in bands else 0, group
