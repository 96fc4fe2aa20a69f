"""The second reader, measured by the first as the models are: a ceiling of a kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray
from boxray.core.errors import BoxrayError
from boxray.core.findings import members
from boxray.data.card import load_card
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.merge import who_looked
from boxray.localization.compare.asking import BoxedImage, row_of
from boxray.localization.compare.measures import said_by_reader

SECOND_READER: Final = "second_reader"
"""Stands as a method beside the detector and those of the explainer."""


def second_reader_rows(manifest: Manifest, findings: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each image × finding that the image's first reader boxed and a second one looked for.

    The first reader is the one that the image names first (of NIH's films NIH's own, of whom the data card says no
    more); the second is the next who boxed the finding there, or who boxes every occurrence of it as his card says and
    so denies it where he draws nothing. Such films are few, so they are taken from all splits: no reader learns.

    Args:
        manifest: The whole built set.
        findings: Which.
    """
    boxes = manifest.reader_boxes()
    boxes = boxes[boxes["finding"].isin(list(findings))]
    looked = who_looked(manifest.images, boxes, _exhaustive(manifest, findings))
    seats = looked.groupby(["image_id", "finding"])["reader"].agg(set)
    drawn = {key: part[CORNERS].to_numpy(np.float64) for key, part in boxes.groupby(["image_id", "finding", "reader"])}
    columns = ["image_id", "patient", "source", "picture", "readers", "width", "height"]
    several = manifest.images[manifest.images["readers"].str.contains(" ", regex=False)]
    rows = []
    for row in several[columns].itertuples(index=False):
        for finding in findings:
            two = _first_two(row.readers.split(), row.image_id, finding, seats, drawn)
            if two:
                truth, other = two
                size_wh = int(row.width), int(row.height)
                image = BoxedImage(row.image_id, row.patient, str(row.source), row.picture, {finding: truth})
                said = said_by_reader(other, truth, size_wh)
                rows.append(row_of(image, finding, SECOND_READER, said, truth, size_wh))
    return rows


def _first_two(
    readers: Sequence[str],
    image_id: str,
    finding: str,
    seats: pd.Series,
    drawn: Mapping[tuple[str, str, str], FloatArray],
) -> tuple[FloatArray, FloatArray] | None:
    """Boxes of the first reader, of whom there must be one, and of the second, who may have drawn none."""
    there = seats.get((image_id, finding), set())
    truth = drawn.get((image_id, finding, readers[0]))
    others = [reader for reader in readers[1:] if reader in there]
    if truth is None or not others:
        return None
    return truth, drawn.get((image_id, finding, others[0]), np.empty((0, 4)))


def _exhaustive(manifest: Manifest, findings: Sequence[str]) -> dict[str, Collection[str]]:
    """Source -> findings of which its readers box every occurrence; a source without a card of ours denies nothing."""
    names = {reader.partition("/")[0] for words in manifest.images["readers"].unique() for reader in words.split()}
    exhaustive: dict[str, Collection[str]] = {}
    for name in sorted(names):
        try:
            boxed = set(load_card(name).exhaustive)
        except BoxrayError:
            continue
        exhaustive[name] = [key for key in findings if set(members(manifest.label_space[key])) <= boxed]
    return exhaustive
