"""What reviewers hold, laid over what the sources say: a reviewer is a reader, and the last one of a finding.

Where reviewers hold something of a finding in an image, their boxes and presences take the place of all that was
published of it there. Several reviewers are several readers: a box holds against everything, words against words are
disputed, and their boxes go into the consensus with as many votes as drew them. What cannot be laid over is left out
with its reason; a finding that nobody corrected is untouched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.findings import LabelSpace, Presence
from boxray.data.books import Books
from boxray.data.correction_log import CorrectionLog
from boxray.data.corrections import SOURCE, Correction, Kind, Opinion
from boxray.data.manifest import CORNERS, READER_BOX_COLUMNS
from boxray.data.merge import SAME_ASPECT, Merged
from boxray.data.presence import Cell, Rule, together
from boxray.data.record import Corners

EDIT_COLUMNS: Final = (
    *("image", "finding", "edit", "before", "after", "reviewer", "made_at", "reason", "second_opinion", "built"),
)
REPLACED: Final = "replaced by a reviewer's correction"
"""Why a published box is not built."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A merged set with the corrections in it."""

    merged: Merged
    looked: pd.DataFrame
    """Of `who_looked`; where reviewers decided, they are who looked."""
    edits: pd.DataFrame
    """One row per edit in force, with the columns of `EDIT_COLUMNS`: what people ask for who check a set."""
    counts: dict[str, Any]
    """For the audit; empty where the log is."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A reviewer's opinion on the picture that is built."""

    row: int
    """Of `Merged.images`."""
    opinion: Opinion
    boxes_xyxy: tuple[Corners, ...]
    own: bool
    """Whether he saw this picture, not a copy of it."""


def correct(
    log: CorrectionLog,
    merged: Merged,
    looked: pd.DataFrame,
    gathered: pd.DataFrame,
    label_space: LabelSpace,
    books: Mapping[str, Books],
) -> Corrected:
    """Lay the corrections in force over a merged set.

    Args:
        log: The corrections.
        merged: The set.
        looked: Who looked for what in it, of `who_looked`.
        gathered: All images before copies were merged.
        label_space: The findings of the cells.
        books: Per source, where published boxes that give way are booked.

    Returns:
        The set that is built. Without corrections it is the one given.
    """
    if not log.batches:
        return Corrected(merged, looked, pd.DataFrame(columns=list(EDIT_COLUMNS)), {})
    placed, left_out = _placed(log, merged, gathered, label_space)
    cells: dict[tuple[int, str], list[_Placed]] = {}
    for each in placed.values():
        cells.setdefault((each.row, each.opinion.finding), []).append(each)
    names = {row: str(merged.images["image_id"].iloc[row]) for row, _ in cells}
    corrected = _laid_over(merged, cells, names, label_space, books)
    fates = dict.fromkeys(placed, "yes") | {cell: f"no: {reason}" for cell, reason in left_out.items()}
    counts = _counts(log, cells, left_out)
    counts["boxes_replaced"] = int(_within(merged.boxes, cells, names).sum())
    return Corrected(corrected, _looked(looked, cells, names), _edits(log.corrections, fates), counts)


def _placed(
    log: CorrectionLog, merged: Merged, gathered: pd.DataFrame, label_space: LabelSpace
) -> tuple[dict[tuple[str, str, str], _Placed], dict[tuple[str, str, str], str]]:
    """Opinions on built pictures, and why the others are on none; both by image, finding and reviewer."""
    opinions = log.opinions
    asked = {image_id for image_id, _, _ in opinions}
    seen = gathered[gathered["image_id"].isin(asked)].drop_duplicates("image_id").set_index("image_id")
    kept_of = dict(merged.copies.loc[merged.copies["copy"].isin(asked), ["copy", "kept"]].itertuples(index=False))
    kept = {image_id: kept_of.get(image_id, image_id) for image_id in asked}
    rows = {image_id: row for row, image_id in enumerate(merged.images["image_id"]) if image_id in set(kept.values())}
    placed: dict[tuple[str, str, str], _Placed] = {}
    left_out: dict[tuple[str, str, str], str] = {}
    holder: dict[tuple[int, str, str], tuple[str, str, str]] = {}
    for cell, opinion in opinions.items():
        reason = _fault(opinion, seen, label_space)
        if not reason:
            row = rows[kept[opinion.image_id]]
            built = merged.images.iloc[row]
            moved = _moved(opinion, seen.loc[opinion.image_id], built)
            reason = "" if moved is not None else "on a copy of another aspect"
        if reason:
            left_out[cell] = reason
            continue
        assert moved is not None, "a reason otherwise"
        own = kept[opinion.image_id] == opinion.image_id
        place = row, opinion.finding, opinion.reviewer
        other = holder.get(place)
        if other is not None and not own:
            left_out[cell] = "the same reviewer's opinion on a copy"
            continue
        if other is not None:
            left_out[other] = "the same reviewer's opinion on a copy"
            del placed[other]
        holder[place] = cell
        placed[cell] = _Placed(row, opinion, moved, own)
    return placed, left_out


def _fault(opinion: Opinion, seen: pd.DataFrame, label_space: LabelSpace) -> str:
    """Why an opinion cannot be laid over this build, or nothing."""
    if opinion.finding not in label_space.keys:
        return "the finding is not among those of this build"
    if opinion.image_id not in seen.index:
        return "the image is in no source of this build"
    if seen.loc[opinion.image_id, "sha256"] != opinion.sha256:
        return "the picture has other pixels now"
    return ""


def _moved(opinion: Opinion, seen: pd.Series, built: pd.Series) -> tuple[Corners, ...] | None:
    """The boxes on the picture that is built; None if the reviewer saw a copy of another aspect."""
    ratio_w, ratio_h = float(built["width"] / seen["width"]), float(built["height"] / seen["height"])
    if abs(ratio_w / ratio_h - 1) > SAME_ASPECT and opinion.boxes_xyxy:
        return None
    return tuple((x1 * ratio_w, y1 * ratio_h, x2 * ratio_w, y2 * ratio_h) for x1, y1, x2, y2 in opinion.boxes_xyxy)


def _laid_over(
    merged: Merged,
    cells: Mapping[tuple[int, str], Sequence[_Placed]],
    names: Mapping[int, str],
    label_space: LabelSpace,
    books: Mapping[str, Books],
) -> Merged:
    rows_of: dict[int, set[str]] = {}
    known, ruled_by = list(merged.cells), dict(merged.ruled_by)
    for (row, finding), held in cells.items():
        position = label_space.index(finding)
        (agreed,) = together([(_cell(each.opinion),) for each in held], exclusive=False)
        known[row] = (*known[row][:position], agreed, *known[row][position + 1 :])
        own = (str(merged.images["source"].iloc[row]),) * len(label_space.keys)
        who = ruled_by.get(row, own)
        ruled_by[row] = (*who[:position], SOURCE, *who[position + 1 :])
        rows_of.setdefault(row, set()).update(_reader(each) for each in held)
    readers = merged.images["readers"].astype(object).to_numpy(copy=True)
    for row, reviewers in rows_of.items():
        readers[row] = " ".join([*str(readers[row]).split(), *sorted(reviewers)])
    images = merged.images.assign(readers=pd.array(readers, dtype="str"))
    gone = _within(merged.boxes, cells, names)
    for source, n in merged.boxes["reader"][gone].str.replace("/.*", "", regex=True).value_counts().items():
        books[str(source)].boxes_dropped[REPLACED] += int(n)
    boxes = pd.concat([merged.boxes[~gone], _drawn(cells, names, merged.boxes)], ignore_index=True)
    return replace(merged, images=images, cells=known, boxes=boxes, ruled_by=ruled_by)


def _cell(opinion: Opinion) -> Cell:
    rules = {Presence.BOXED: Rule.BOX, Presence.UNKNOWN: Rule.NONE}
    return Cell(opinion.presence, rules.get(opinion.presence, Rule.LABEL))


def _reader(placed: _Placed) -> str:
    return f"{SOURCE}/{placed.opinion.reviewer}"


def _within(
    table: pd.DataFrame, cells: Mapping[tuple[int, str], Any], names: Mapping[int, str]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows of a table with `image_id` and `finding` speak of a corrected finding."""
    among = {(names[row], finding) for row, finding in cells}
    of_image = table["image_id"].isin({name for name, _ in among}).to_numpy(dtype=bool, copy=True)
    pairs = zip(table["image_id"][of_image], table["finding"][of_image], strict=True)
    of_image[of_image] = [pair in among for pair in pairs]
    return np.asarray(of_image)


def _drawn(
    cells: Mapping[tuple[int, str], Sequence[_Placed]], names: Mapping[int, str], like: pd.DataFrame
) -> pd.DataFrame:
    """The reviewers' boxes as rows of readers' boxes. The raw label is the finding itself: they speak our words."""
    rows = [
        (names[row], finding, *box, _reader(each), finding)
        for (row, finding), held in sorted(cells.items())
        for each in sorted(held, key=_reader)
        for box in each.boxes_xyxy
    ]
    frame = pd.DataFrame(rows, columns=READER_BOX_COLUMNS)
    kinds = {name: "float64" if name in CORNERS else "str" for name in READER_BOX_COLUMNS}
    return frame.astype(kinds)[[name for name in READER_BOX_COLUMNS if name in like.columns]]


def _looked(
    looked: pd.DataFrame, cells: Mapping[tuple[int, str], Sequence[_Placed]], names: Mapping[int, str]
) -> pd.DataFrame:
    others = looked[~_within(looked, cells, names)]
    rows = [(names[row], finding, _reader(each)) for (row, finding), held in cells.items() for each in held]
    return pd.concat([others, pd.DataFrame(rows, columns=["image_id", "finding", "reader"])], ignore_index=True)


def _counts(
    log: CorrectionLog, cells: Mapping[tuple[int, str], Sequence[_Placed]], left_out: Mapping[Any, str]
) -> dict[str, Any]:
    made = log.corrections
    pulls = sum(batch.reverts is None for batch in log.batches)
    return {
        "batches": len(log.in_force),
        "undone": pulls - len(log.in_force),
        "edits": len(made),
        "kinds": dict(Counter(each.kind.value for each in made).most_common()),
        "reviewers": dict(Counter(each.reviewer for each in made).most_common()),
        "second_opinions": sum(each.second_opinion for each in made),
        "cells": len(cells),
        "findings": dict(Counter(finding for _, finding in cells).most_common()),
        "disputed": sum(_differ(held) for held in cells.values()),
        "boxes_drawn": sum(len(each.boxes_xyxy) for held in cells.values() for each in held),
        "left_out": dict(Counter(left_out.values()).most_common()),
    }


def _differ(held: Sequence[_Placed]) -> bool:
    return len({(each.opinion.presence, each.boxes_xyxy) for each in held}) > 1


def _edits(made: Sequence[Correction], fates: Mapping[tuple[str, str, str], str]) -> pd.DataFrame:
    rows = []
    for each in made:
        fate = fates.get((each.image_id, each.finding, each.reviewer), "nothing to build")
        if each.kind is Kind.MARKED:
            fate = "nothing to build"
        before, after = each.sides
        when, second = each.made_at.isoformat(), "yes" if each.second_opinion else ""
        rows.append(
            (
                each.image_id,
                each.finding,
                each.kind.value,
                before,
                after,
                each.reviewer,
                when,
                each.reason,
                second,
                fate,
            )
        )
    return pd.DataFrame(rows, columns=list(EDIT_COLUMNS))
