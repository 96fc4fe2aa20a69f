"""Tables of readers' boxes as numbers: who drew what on which image, and which boxes of two readers overlap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.boxes import box_iou
from boxray.core.errors import DataError
from boxray.data.manifest import CORNERS

_BLOCK = 32  # boxes whose overlaps are computed at once: few enough to waste little on boxes of other images


def codes(table: pd.DataFrame, column: str) -> tuple[IntArray, pd.Index]:
    """A column as numbers into its sorted values.

    Raises:
        DataError: If a value is missing.
    """
    given = table[column]
    if isinstance(given.dtype, pd.CategoricalDtype):  # whose values may lie in another order
        given = given.astype(given.cat.categories.dtype)
    codes, values = pd.factorize(given, sort=True)
    n_missing = int((codes < 0).sum())
    if n_missing:
        raise DataError(f"{n_missing} rows have no {column!r}; every row needs one")
    return np.asarray(codes, dtype=np.int64), pd.Index(values)


def corners_of(boxes: pd.DataFrame) -> FloatArray:
    """Shape ``(N, 4)``: the corners as x1, y1, x2, y2.

    Raises:
        DataError: If a box has none that can be used.
    """
    corners = boxes[CORNERS].to_numpy(dtype=np.float64)
    require_boxes(corners)
    return np.asarray(corners)


def runs(group: IntArray) -> tuple[IntArray, IntArray]:
    """Where each run of equal values starts and ends (exclusive). None gives none."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))  # groups are counted from 0
    return starts, np.append(starts[1:], len(group))[: len(starts)]


def overlapping_pairs(
    boxes_xyxy: FloatArray, group: IntArray, reader: IntArray, iou: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of boxes of one group and two readers that overlap enough; rows lie by group.

    Whole groups go through `box_iou` together, some dozens of boxes at a time: one call per group takes minutes for
    a million of them.

    Returns:
        One box, the other (of the reader who comes later), and their overlap, each of shape ``(P,)``.
    """
    rows = np.flatnonzero(_of_several_readers(group, reader))
    boxes_xyxy, group, reader = boxes_xyxy[rows], group[rows], reader[rows]
    starts, _ = runs(group)
    _, first_of_block = np.unique(starts // _BLOCK, return_index=True)
    found: list[tuple[IntArray, IntArray, FloatArray]] = [(rows[:0], rows[:0], np.empty(0))]
    for low, high in pairwise([*starts[first_of_block].tolist(), len(group)]):
        block = slice(low, high)
        overlaps = box_iou(boxes_xyxy[block], boxes_xyxy[block])
        comparable = (group[block, None] == group[block]) & (reader[block, None] < reader[block])
        one, other = np.nonzero(comparable & (overlaps >= iou))
        found.append((rows[low + one], rows[low + other], overlaps[one, other]))
    ones, others, all_overlaps = zip(*found, strict=True)
    return np.concatenate(ones), np.concatenate(others), np.concatenate(all_overlaps)


def _of_several_readers(group: IntArray, reader: IntArray) -> BoolArray:
    """Which rows lie in a group with boxes of more than one reader."""
    starts, ends = runs(group)
    if not len(starts):
        return np.zeros(0, dtype=bool)
    several = np.minimum.reduceat(reader, starts) < np.maximum.reduceat(reader, starts)
    return np.repeat(several, ends - starts)


def require_columns(table: pd.DataFrame, what: str, columns: list[str]) -> None:
    """The table has these columns.

    Raises:
        DataError: If one is missing.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{what}: expected the columns {', '.join(columns)}; missing: {', '.join(missing)}")


def require_boxes(boxes_xyxy: FloatArray) -> None:
    """The array has shape ``(N, 4)`` and each row finite x1 <= x2 and y1 <= y2.

    Raises:
        DataError: If not.
    """
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
        raise DataError(f"boxes_xyxy must have shape (N, 4), got {boxes_xyxy.shape}")
    usable = np.isfinite(boxes_xyxy).all(axis=1) & (boxes_xyxy[:, :2] <= boxes_xyxy[:, 2:]).all(axis=1)
    n_bad = int((~usable).sum())
    if n_bad:
        raise DataError(
            f"{n_bad} of {len(boxes_xyxy)} boxes have corners that are no finite x1 <= x2 and y1 <= y2; "
            "mend them or leave them out before readers are compared"
        )


def require_iou(iou: float) -> None:
    """The overlap lies in (0, 1].

    Raises:
        DataError: If not.
    """
    if not 0 < iou <= 1:
        raise DataError(f"iou must lie above 0 and not above 1, got {iou}")
