"""Copies of one film, from one source or several, become one image that knows all its readers."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, IntArray
from boxray.core.findings import LabelSpace, Presence
from boxray.data.books import Books
from boxray.data.gather import Gathered
from boxray.data.manifest import CORNERS
from boxray.data.presence import Cell, Cells, Rule, contradicted, together

SAME_ASPECT: Final = 0.02
"""Largest difference of aspect at which boxes of a copy are moved in proportion. Rounding to whole pixels makes 1 %."""

COPY: Final = "a copy of an image that is kept: "
"""Begins the reason for which a copy has no row of its own."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The images that stay, and what the others left them."""

    images: pd.DataFrame
    """With the columns of `Gathered.images`, and `copies` and `readers`."""
    cells: list[Cells]
    boxes: pd.DataFrame
    linked: list[tuple[str, str]]
    """Pairs of patients under whose names the same film was found."""
    contradictions: Counter[str]
    """Finding -> images of which one reading has it and another has not."""
    ruled_by: dict[int, tuple[str, ...]]
    """Row of `images` -> per finding, the source whose reading or card decided; where nobody's did, the picture's own.
    Only of images that stand for films of several sources: all others are ruled by their own."""
    copies: pd.DataFrame
    """One row per copy: `kept` and `copy` (ids of images), `kept_source`, `copy_source`, and `how` they are alike."""


def merge_copies(gathered: Gathered, groups: IntArray, label_space: LabelSpace, audits: Mapping[str, Books]) -> Merged:
    """Keep the largest picture of each group, with the boxes and the presence of all.

    Boxes move to the kept picture in proportion to its size; those of a copy of another aspect cannot be placed. Of a
    reader who has several copies of a film, the boxes on the first one count: the others are the same reading again, or
    a reading that was forgotten.

    Args:
        gathered: All sources, in the order of the datasets file.
        groups: Shape ``(N,)``: images with the same number are copies of one film.
        label_space: The findings of the cells.
        audits: Per source, where the copies that go are booked.

    Returns:
        One image per group, in the order of `gathered`.
    """
    images = gathered.images
    keeper = _keeper_of(images, groups)
    goes = np.flatnonzero(keeper != np.arange(len(images)))
    stretched = _stretched(images, keeper)
    boxes = _moved_boxes(gathered, keeper, stretched, audits)
    members: dict[int, list[int]] = {}
    for index in goes.tolist():
        members.setdefault(int(keeper[index]), []).append(index)
    cells, readers = list(gathered.cells), list(gathered.readers)
    copies = np.full(len(images), "", dtype=object)
    contradictions: Counter[str] = Counter()
    ruled_by: dict[int, tuple[str, ...]] = {}
    sources = images["source"].astype(str).to_numpy()
    for kept, others in members.items():
        readings = [
            _unboxed(gathered.cells[index]) if stretched[index] else gathered.cells[index] for index in (kept, *others)
        ]
        cells[kept] = together(readings, exclusive=label_space.exclusive)
        contradictions.update(label_space.keys[position] for position in contradicted(readings))
        if len(set(sources[[kept, *others]])) > 1:
            ruled_by[kept] = _who_ruled(cells[kept], readings, sources[[kept, *others]].tolist())
        readers[kept] = tuple(dict.fromkeys(reader for index in (kept, *others) for reader in readers[index]))
        copies[kept] = shlex.join(images["image_id"].iloc[others])
    table = _copies(images, goes, keeper)
    for source, kept_source, how in table[["copy_source", "kept_source", "how"]].itertuples(index=False):
        where = "" if source == kept_source else f", of {kept_source}"
        audits[source].images_dropped[f"{COPY}{how}{where}"] += 1
    stays = np.flatnonzero(keeper == np.arange(len(images)))
    words = {"copies": copies, "readers": [" ".join(who) for who in readers]}
    merged = images.assign(**{name: pd.array(column, dtype="str") for name, column in words.items()})
    for column in ("view", "sex", "age_years"):  # what only a smaller copy knows
        merged[column] = merged[column].fillna(merged[column].groupby(keeper).transform("first"))
    merged = merged.iloc[stays]
    patients = images["patient"].to_numpy()
    return Merged(
        merged.reset_index(drop=True),
        [cells[index] for index in stays],
        boxes,
        [(a, b) for a, b in zip(patients[keeper[goes]], patients[goes], strict=True) if a != b],
        contradictions,
        {int(np.searchsorted(stays, kept)): who for kept, who in ruled_by.items()},
        table,
    )


def _who_ruled(merged: Cells, readings: Sequence[Cells], sources: Sequence[str]) -> tuple[str, ...]:
    """Per finding the source of the first reading that says what holds; of what nobody says alone, the first source.

    An assumption has its reason in the card of that source, which need not be that of the picture.
    """
    return tuple(
        next((source for source, cells in zip(sources, readings, strict=True) if cells[position] == cell), sources[0])
        for position, cell in enumerate(merged)
    )


def _keeper_of(images: pd.DataFrame, groups: IntArray) -> IntArray:
    """Shape ``(N,)``: for each image the one kept of its group: the largest without a fault, else the first."""
    area = (images["width"] * images["height"]).to_numpy()
    best_first = np.lexsort((np.arange(len(images)), -area, (images["aside"] != "").to_numpy(), groups))
    _, starts, inverse = np.unique(groups[best_first], return_index=True, return_inverse=True)
    keeper = np.empty(len(images), dtype=np.int64)
    keeper[best_first] = best_first[starts][inverse]
    return keeper


def _stretched(images: pd.DataFrame, keeper: IntArray) -> BoolArray:
    """Shape ``(N,)``: whose aspect is not that of the kept picture: padded, cropped or squeezed, nobody says which."""
    aspect = (images["width"] / images["height"]).to_numpy()
    return np.asarray(np.abs(aspect / aspect[keeper] - 1) > SAME_ASPECT)


def _unboxed(cells: Cells) -> Cells:
    """What a reading says whose boxes cannot be placed: the finding is there, somewhere."""
    return tuple(Cell(Presence.PRESENT, Rule.BOX) if cell.presence is Presence.BOXED else cell for cell in cells)


def _moved_boxes(
    gathered: Gathered, keeper: IntArray, stretched: BoolArray, audits: Mapping[str, Books]
) -> pd.DataFrame:
    """Every reader's boxes on the kept pictures; what cannot be placed, or was read twice by one reader, is booked."""
    images, boxes = gathered.images, gathered.boxes
    if boxes.empty:
        return boxes
    row = pd.Series(np.arange(len(images)), index=images["image_id"])[boxes["image_id"]].to_numpy()
    kept = keeper[row]
    ratio_w = images["width"].to_numpy()[kept] / images["width"].to_numpy()[row]
    ratio_h = images["height"].to_numpy()[kept] / images["height"].to_numpy()[row]
    moved = boxes.assign(image_id=images["image_id"].to_numpy()[kept])
    for column, ratio in zip(CORNERS, (ratio_w, ratio_h, ratio_w, ratio_h), strict=True):
        moved[column] = boxes[column] * ratio
    order = np.where(stretched[row], row + len(images), row)
    reading = [kept, boxes["finding"].to_numpy(), boxes["reader"].to_numpy()]
    again = pd.Series(order).groupby(reading).transform("min").to_numpy() != order
    lost = stretched[row] & ~again
    for which, reason in ((again, "the same reader's boxes on a copy"), (lost, "on a copy of another aspect")):
        for source, n in images["source"].iloc[row[which]].value_counts().items():
            audits[str(source)].boxes_dropped[reason] += int(n)
    return moved[~again & ~lost].reset_index(drop=True)


def _copies(images: pd.DataFrame, goes: IntArray, keeper: IntArray) -> pd.DataFrame:
    kept, gone = images.iloc[keeper[goes]].reset_index(drop=True), images.iloc[goes].reset_index(drop=True)
    same_pixels = (kept["sha256"] == gone["sha256"]).to_numpy()
    return pd.DataFrame(
        {
            "kept": kept["image_id"],
            "copy": gone["image_id"],
            "kept_source": kept["source"],
            "copy_source": gone["source"],
            "how": np.where(same_pixels, "pixel by pixel", "the same film at another size or quality"),
        }
    )


def who_looked(images: pd.DataFrame, boxes: pd.DataFrame, exhaustive: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Who looked for a finding where somebody boxed it: whoever boxed it, and whoever boxes every occurrence.

    A reader who only draws some examples, or was never asked for the finding, has not denied it by drawing nothing.

    Args:
        images: With `image_id` and `readers`.
        boxes: The readers' boxes.
        exhaustive: Source -> findings of which its readers box every occurrence.

    Returns:
        One row per image, finding and reader, with the columns `image_id`, `finding` and `reader`.
    """
    drew = boxes[["image_id", "finding", "reader"]].drop_duplicates()
    several = images[images["readers"].str.contains(" ", regex=False)]
    asked = drew[["image_id", "finding"]].drop_duplicates().merge(_named_readers(several), on="image_id")
    source = asked["reader"].str.replace("/.*", "", regex=True)
    looks = pd.MultiIndex.from_arrays([source, asked["finding"]]).isin(
        [(name, finding) for name, findings in exhaustive.items() for finding in findings]
    )
    return pd.concat([drew, asked[looks]], ignore_index=True).drop_duplicates()


def _named_readers(images: pd.DataFrame) -> pd.DataFrame:
    """One row per image and reader, with the columns `image_id` and `reader`."""
    who = [words.split() for words in images["readers"]]
    return pd.DataFrame(
        {
            "image_id": np.repeat(images["image_id"].to_numpy(), [len(readers) for readers in who]),
            "reader": pd.array([reader for readers in who for reader in readers], dtype="str"),
        }
    )
