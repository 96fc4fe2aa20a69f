"""Several readers of one radiograph: their boxes as one consensus, and how far they agree.

Readers differ more than detectors do, so a consensus keeps how many drew a box, and a figure of a detector stands
beside the readers' own. Both ask *who read the image*, because a reader who found nothing disagrees too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.boxes import box_iou
from boxray.core.errors import DataError
from boxray.data.manifest import CORNERS

FUSED_COLUMNS = ["image_id", "finding", *CORNERS, "votes", "readers", "n_readers", "raw_label"]
AGREEMENT_COLUMNS = [
    *("finding", "images", "images_boxed", "pairs", "boxes", "matches"),
    *("f1", "f1_low", "f1_high", "any", "any_low", "any_high"),
]
LABEL_SEPARATOR = "|"
"""Between the raw labels of one fused box, as NIH's own tables join theirs; raw labels may hold blanks."""

_BLOCK = 32  # boxes whose overlaps are computed at once: few enough to waste little on boxes of other images


@dataclass(frozen=True, slots=True)
class Fused:
    """The consensus of all readers of one image on one finding."""

    boxes_xyxy: FloatArray
    """Shape ``(M, 4)``: the mean of each cluster's boxes, in the readers' frame, by rising x1, y1, x2, y2."""
    votes: IntArray
    """Shape ``(M,)``: how many readers drew the box, at least 1."""
    share: FloatArray
    """Shape ``(M,)``: votes over all who read the image, in (0, 1]."""
    cluster: IntArray
    """Shape ``(N,)``: for each box given, the row of `boxes_xyxy` that it went into."""


def fuse(boxes_xyxy: FloatArray | IntArray, readers: Sequence[str], n_readers: int, iou: float = 0.4) -> Fused:
    """Weighted box fusion of one finding in one image, every reader's box of equal weight.

    The paper goes through the boxes by falling score. Annotations carry none, so the two that overlap most are fused
    first, boxes or means of clusters, then the next two, down to `iou`. Equals go by their corners and then by the
    reader's name: the order of the rows does not matter.

    Two boxes of one reader never come into one cluster. Where both overlap another reader's box, the better match is
    fused with it and the other stays a cluster of its own.

    Args:
        boxes_xyxy: Shape ``(N, 4)``, all in one frame.
        readers: Length ``N``: who drew each box.
        n_readers: How many read the image, those who found nothing included.
        iou: Overlap of two boxes, or of a box and a cluster's mean, from which they are fused, in (0, 1].

    Returns:
        The clusters. Boxes of a single reader come back as they are; none in, none out.

    Raises:
        DataError: If an argument does not fit: shapes, corners, `iou`, or fewer readers than drew boxes.

    Source: Solovyev, Wang and Gabruseva, 2021, arXiv 1910.13302, with weights of one and no scores.

    >>> fuse(np.array([[0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]]), ["R8", "R9"], n_readers=3).boxes_xyxy
    array([[ 1.,  0., 11., 10.]])
    """
    boxes_xyxy = np.asarray(boxes_xyxy, dtype=np.float64)
    _require_boxes(boxes_xyxy)
    _require_iou(iou)
    if len(readers) != len(boxes_xyxy):
        raise DataError(f"got {len(readers)} readers for {len(boxes_xyxy)} boxes; name the reader of each box")
    names, reader = np.unique(np.asarray(readers, dtype=object).astype(str), return_inverse=True)
    _require_enough_readers(np.array([len(names)]), np.array([n_readers]))

    clusters, means_xyxy = _clusters(boxes_xyxy, reader, iou)
    cluster = np.zeros(len(boxes_xyxy), dtype=np.intp)
    for row, members in enumerate(clusters):
        cluster[members] = row
    votes = np.bincount(cluster, minlength=len(clusters))
    return Fused(means_xyxy, votes, votes / max(n_readers, 1), cluster)


def fuse_table(boxes: pd.DataFrame, readers_per_image: Mapping[str, int] | pd.Series, iou: float = 0.4) -> pd.DataFrame:
    """The consensus of a whole table: `fuse` for each finding of each image.

    Args:
        boxes: One row per reader's box: image_id, finding, x1, y1, x2, y2, reader, raw_label; others are left out.
        readers_per_image: Image id -> how many read the image, those who found nothing included.
        iou: As for `fuse`.

    Returns:
        `FUSED_COLUMNS`, one row per cluster, sorted by image, finding and corners, whatever the order of the rows
        given. `readers` and `raw_label` name all who drew it and all their words, each once, sorted, joined by a blank
        and by `LABEL_SEPARATOR`. An empty table gives an empty one.

    Raises:
        DataError: If a column or value is missing, a box has no usable corners, a reader's name holds a blank, or an
            image has no number of readers or a smaller one than readers who drew.
    """
    _require_columns(boxes, "boxes", ["image_id", "finding", *CORNERS, "reader", "raw_label"])
    _require_iou(iou)
    image, images = _codes(boxes, "image_id")
    finding, findings = _codes(boxes, "finding")
    reader, readers = _codes(boxes, "reader")
    label, labels = _codes(boxes, "raw_label")
    reader_names, label_names = np.asarray(readers, dtype=object), np.asarray(labels, dtype=object)
    if any(len(str(name).split()) != 1 for name in reader_names):
        raise DataError("a reader's name is empty or holds a blank; 'readers' joins names by blanks: rename the reader")
    corners = _corners(boxes)
    n_readers = _n_readers(readers_per_image, images)
    drew = np.unique(image * len(readers) + reader) // max(len(readers), 1)
    _require_enough_readers(np.bincount(drew, minlength=len(images)), n_readers)

    group = image * len(findings) + finding
    order = np.lexsort((label, reader, *corners.T[::-1], group))
    group, reader, label, corners = group[order], reader[order], label[order], corners[order]
    starts, ends = _runs(group)
    run = np.repeat(np.arange(len(starts)), ends - starts)
    met = np.zeros(len(starts), dtype=bool)  # only groups in which boxes of two readers agree need a loop
    met[run[_agreeing(corners, group, reader, iou)[0]]] = True
    alone = ~met[run]

    keys, fused = [group[alone]], [corners[alone]]
    votes = [np.ones(int(alone.sum()), dtype=np.int64)]
    said_by, said = [reader_names[reader[alone]]], [label_names[label[alone]]]
    for start, end in zip(starts[met], ends[met], strict=True):
        clusters, means_xyxy = _clusters(corners[start:end], reader[start:end], iou)
        keys.append(np.full(len(clusters), group[start]))
        fused.append(means_xyxy)
        votes.append(np.array([len(members) for members in clusters]))
        said_by.append(_joined(reader_names, reader[start:end], clusters, " "))
        said.append(_joined(label_names, label[start:end], clusters, LABEL_SEPARATOR))

    key = np.concatenate(keys)
    back = np.argsort(key, kind="stable")  # within a group, boxes already lie by their corners
    at_image, at_finding = np.divmod(key[back], max(len(findings), 1))
    columns = {
        "image_id": images.take(at_image),
        "finding": findings.take(at_finding),
        **dict(zip(CORNERS, np.concatenate(fused)[back].T, strict=True)),
        "votes": np.concatenate(votes)[back],
        "readers": np.concatenate(said_by)[back],
        "n_readers": n_readers[at_image],
        "raw_label": np.concatenate(said)[back],
    }
    return pd.DataFrame(columns, columns=FUSED_COLUMNS)


def reader_agreement(
    boxes: pd.DataFrame,
    readers: pd.DataFrame,
    iou: float,
    *,
    pair: tuple[str, str] | None = None,
    rounds: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How far readers of the same images agree, finding by finding.

    F1 is 2 x matches / (boxes of A + boxes of B), summed over all pairs of readers of all images. Matches are one to
    one: of all free boxes of two readers, the two of greatest overlap are matched first. `any` is the share of boxes
    for which at least one other reader of the image has a box of that finding with enough overlap, one to one or not.

    Args:
        boxes: As for `fuse_table`; `raw_label` is not asked for.
        readers: Columns `image_id` and `reader`: who read which image, those who found nothing included. All are
            taken to have looked for every finding. Where some did not, ask for that finding alone, with the boxes
            and the readers who looked.
        iou: Overlap from which two boxes agree, in (0, 1].
        pair: Two readers to compare with each other only; None compares all.
        rounds: How many resamples for the intervals.
        seed: Makes the intervals repeatable; every finding starts from it anew.

    Returns:
        `AGREEMENT_COLUMNS`, one row per finding of `boxes`, sorted. `images` are those with at least two of the
        readers compared and `images_boxed` those of them with a box; `pairs` are the pairs of readers of all `images`;
        `boxes` lie on `images`. The intervals are the 2.5th and 97.5th percentile of resampled images; a patient with
        several images makes them too narrow. NaN where there is no box. An empty table gives an empty one.

    Raises:
        DataError: If a column or value is missing, a box has no usable corners, its reader is not one of the image's,
            or one of `pair` has read nothing.

    Source of the intervals: Efron and Tibshirani, 1993, ch. 13.
    """
    _require_columns(boxes, "boxes", ["image_id", "finding", *CORNERS, "reader"])
    _require_columns(readers, "readers", ["image_id", "reader"])
    _require_iou(iou)
    finding, findings = _codes(boxes, "finding")
    corners = _corners(boxes)
    image, reader, n_readers = _seats(boxes, readers, pair)
    kept = np.flatnonzero(image >= 0)
    order = kept[np.lexsort((*corners[kept].T[::-1], reader[kept], image[kept], finding[kept]))]
    corners, finding, image, reader = corners[order], finding[order], image[order], reader[order]

    starts, ends = _runs(finding * len(n_readers) + image)
    group = np.repeat(np.arange(len(starts)), ends - starts)
    one, other, overlap = _agreeing(corners, group, reader, iou)
    matched = _one_to_one(one, other, overlap, reader)
    seen = np.zeros(len(group), dtype=bool)
    seen[one] = seen[other] = True
    n_boxes = ends - starts
    sums = np.column_stack(  # (G, 4) per finding and image; among R readers a box stands in R - 1 pairs
        [
            np.bincount(group[one[matched]], minlength=len(starts)),
            n_boxes * (n_readers[image[starts]] - 1),
            np.bincount(group[seen], minlength=len(starts)),
            n_boxes,
        ]
    )
    n_pairs = int((n_readers * (n_readers - 1) // 2).sum())
    rows = []
    for code, name in enumerate(findings):
        part = sums[finding[starts] == code]
        n_matches, _, _, n_boxes_here = part.sum(axis=0).tolist()
        figures = _figures(part, len(n_readers), rounds, seed)
        rows.append((name, len(n_readers), len(part), n_pairs, n_boxes_here, n_matches, *figures))
    return pd.DataFrame(rows, columns=AGREEMENT_COLUMNS)


def _clusters(boxes_xyxy: FloatArray, reader: IntArray, iou: float) -> tuple[list[list[int]], FloatArray]:
    """Members and mean of each cluster, by the mean's corners. `reader` holds codes in the order of the names."""
    order = np.lexsort((reader, *boxes_xyxy.T[::-1]))
    clusters = [[index] for index in order.tolist()]
    means_xyxy = boxes_xyxy[order]
    drew = reader[order, None] == np.unique(reader)  # (M, R): whose boxes a cluster holds
    while len(clusters) > 1:
        fits = np.where(drew @ drew.T, 0.0, box_iou(means_xyxy, means_xyxy))
        one, other = divmod(int(fits.argmax()), len(clusters))
        if fits[one, other] < iou:
            break
        clusters[one] += clusters.pop(other)
        means_xyxy[one] = _mean(boxes_xyxy[clusters[one]])
        drew[one] |= drew[other]
        means_xyxy, drew = np.delete(means_xyxy, other, axis=0), np.delete(drew, other, axis=0)
    by_corners = np.lexsort(means_xyxy.T[::-1])
    return [clusters[row] for row in by_corners], means_xyxy[by_corners]


def _mean(boxes_xyxy: FloatArray) -> FloatArray:
    """Of at least one box, held between their corners: the mean of equal numbers may round to another."""
    return np.asarray(boxes_xyxy.mean(axis=0).clip(boxes_xyxy.min(axis=0), boxes_xyxy.max(axis=0)))


def _joined(names: np.ndarray[Any, Any], codes: IntArray, clusters: list[list[int]], separator: str) -> Any:
    """The names of each cluster's members, each once, sorted. Shape ``(M,)``, text."""
    texts = [separator.join(names[sorted(set(codes[members].tolist()))]) for members in clusters]
    return np.array(texts, dtype=object)


def _seats(
    boxes: pd.DataFrame, readers: pd.DataFrame, pair: tuple[str, str] | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Image and reader of each box as numbers, and how many read each image.

    Returns:
        Image ``(N,)`` among those that are compared, -1 for a box that is not; reader ``(N,)``; readers ``(I,)``.
    """
    of_image, images = _codes(readers, "image_id")
    of_reader, names = _codes(readers, "reader")
    _require_pair(pair, names)
    image, reader = images.get_indexer(boxes["image_id"]), names.get_indexer(boxes["reader"])
    seats = np.unique(of_image * len(names) + of_reader)
    taken = image * len(names) + reader
    strange = int(((image < 0) | (reader < 0) | ~np.isin(taken, seats)).sum())
    if strange:
        raise DataError(
            f"{strange} boxes are of a reader who did not read their image; "
            "'readers' must name everyone who read an image, in the same words as 'boxes'"
        )
    if pair is not None:
        two = names.get_indexer(list(pair))
        seats = seats[np.isin(seats % len(names), two)]
        image = np.where(np.isin(reader, two), image, -1)
    n_readers = np.bincount(seats // max(len(names), 1), minlength=len(images))
    compared = np.append(n_readers >= 2, False)  # the last for the boxes left out, -1
    number = np.where(compared, np.cumsum(compared) - 1, -1)
    return number[image], reader, n_readers[compared[:-1]]


def _agreeing(
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
    starts, _ = _runs(group)
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
    starts, ends = _runs(group)
    if not len(starts):
        return np.zeros(0, dtype=bool)
    several = np.minimum.reduceat(reader, starts) < np.maximum.reduceat(reader, starts)
    return np.repeat(several, ends - starts)


def _one_to_one(one: IntArray, other: IntArray, overlap: FloatArray, reader: IntArray) -> BoolArray:
    """Which pairs match when the greatest overlap goes first; equals go by their rows.

    A box has one place for each other reader. A pair that is the best left for both of its places would be taken by
    a loop over all pairs too, so whole rounds of such pairs are taken at once.
    """
    n_readers = int(reader.max(initial=0)) + 1
    place, facing = one * n_readers + reader[other], other * n_readers + reader[one]
    matched = np.zeros(len(one), dtype=bool)
    left = np.lexsort((other, one, -overlap))
    while len(left):
        best = left[_is_first(place[left]) & _is_first(facing[left])]
        matched[best] = True
        left = left[~(np.isin(place[left], place[best]) | np.isin(facing[left], facing[best]))]
    return matched


def _is_first(values: IntArray) -> BoolArray:
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _figures(sums: IntArray, n_images: int, rounds: int, seed: int) -> tuple[float, ...]:
    """F1 and any, each with its interval, from one finding's sums per image.

    Images with equal sums are one cell of a multinomial draw, those without a box the last: the same resampling of
    images, and as quick for a million as for a thousand.
    """
    cells, counts = np.unique(sums, axis=0, return_counts=True)
    cells = np.vstack([cells, np.zeros((1, 4), dtype=np.intp)])
    counts = np.append(counts, n_images - len(sums))
    drawn = np.random.default_rng(seed).multinomial(n_images, counts / max(n_images, 1), size=rounds)
    totals = np.vstack([sums.sum(axis=0), drawn @ cells]).astype(np.float64)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a resample without any box says nothing
        figures = np.column_stack([2 * totals[:, 0] / totals[:, 1], totals[:, 2] / totals[:, 3]])
    said = figures[1:][~np.isnan(figures[1:, 1])]
    low, high = np.percentile(said, [2.5, 97.5], axis=0) if len(said) else np.full((2, 2), np.nan)
    return (figures[0, 0], low[0], high[0], figures[0, 1], low[1], high[1])


def _runs(group: IntArray) -> tuple[IntArray, IntArray]:
    """Where each run of equal values starts and ends (exclusive). None gives none."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))  # groups are counted from 0
    return starts, np.append(starts[1:], len(group))[: len(starts)]


def _codes(table: pd.DataFrame, column: str) -> tuple[IntArray, pd.Index]:
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


def _corners(boxes: pd.DataFrame) -> FloatArray:
    corners = boxes[CORNERS].to_numpy(dtype=np.float64)
    _require_boxes(corners)
    return np.asarray(corners)


def _n_readers(readers_per_image: Mapping[str, int] | pd.Series, images: pd.Index) -> IntArray:
    """How many read each of `images`. Shape ``(I,)``."""
    given = readers_per_image if isinstance(readers_per_image, pd.Series) else pd.Series(dict(readers_per_image))
    if not given.index.is_unique:
        raise DataError("readers_per_image names an image twice; give one number per image")
    numbers = given.reindex(images).to_numpy(dtype=np.float64)
    n_unknown = int(np.isnan(numbers).sum())
    if n_unknown:
        raise DataError(
            f"{n_unknown} images with boxes have no number in readers_per_image; say how many read each image"
        )
    return np.asarray(numbers, dtype=np.int64)


def _require_columns(table: pd.DataFrame, what: str, columns: list[str]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{what}: expected the columns {', '.join(columns)}; missing: {', '.join(missing)}")


def _require_boxes(boxes_xyxy: FloatArray) -> None:
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
        raise DataError(f"boxes_xyxy must have shape (N, 4), got {boxes_xyxy.shape}")
    usable = np.isfinite(boxes_xyxy).all(axis=1) & (boxes_xyxy[:, :2] <= boxes_xyxy[:, 2:]).all(axis=1)
    n_bad = int((~usable).sum())
    if n_bad:
        raise DataError(
            f"{n_bad} of {len(boxes_xyxy)} boxes have corners that are no finite x1 <= x2 and y1 <= y2; "
            "mend them or leave them out before readers are compared"
        )


def _require_iou(iou: float) -> None:
    if not 0 < iou <= 1:
        raise DataError(f"iou must lie above 0 and not above 1, got {iou}")


def _require_enough_readers(drew: IntArray, n_readers: IntArray) -> None:
    n_short = int((drew > n_readers).sum())
    if n_short:
        raise DataError(
            f"{n_short} images have boxes of more readers than are said to have read them; "
            "the number must count everyone who read the image"
        )


def _require_pair(pair: tuple[str, str] | None, names: pd.Index) -> None:
    if pair is None:
        return
    if len(set(pair)) != 2:
        raise DataError(f"pair must name two different readers, got {pair}")
    unknown = [name for name in pair if name not in names]
    if unknown:
        raise DataError(f"{' and '.join(unknown)} has read nothing; the readers are: {', '.join(map(str, names))}")
