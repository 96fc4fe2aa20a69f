"""Several readers of one radiograph: how far they agree. A figure of a detector stands beside the readers' own.

It asks *who read the image*, because a reader who found nothing disagrees too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.errors import DataError
from boxray.data.manifest import CORNERS
from boxray.data.reader_boxes import codes, corners_of, overlapping_pairs, require_columns, require_iou, runs

AGREEMENT_COLUMNS = [
    *("finding", "images", "images_boxed", "pairs", "boxes", "matches"),
    *("f1", "f1_low", "f1_high", "any", "any_low", "any_high"),
]


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
    require_columns(boxes, "boxes", ["image_id", "finding", *CORNERS, "reader"])
    require_columns(readers, "readers", ["image_id", "reader"])
    require_iou(iou)
    finding, findings = codes(boxes, "finding")
    corners = corners_of(boxes)
    image, reader, n_readers = _seats(boxes, readers, pair)
    kept = np.flatnonzero(image >= 0)
    order = kept[np.lexsort((*corners[kept].T[::-1], reader[kept], image[kept], finding[kept]))]
    corners, finding, image, reader = corners[order], finding[order], image[order], reader[order]

    starts, ends = runs(finding * len(n_readers) + image)
    group = np.repeat(np.arange(len(starts)), ends - starts)
    one, other, overlap = overlapping_pairs(corners, group, reader, iou)
    matched = one_to_one(one, other, overlap, reader)
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


def _seats(
    boxes: pd.DataFrame, readers: pd.DataFrame, pair: tuple[str, str] | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Image and reader of each box as numbers, and how many read each image.

    Returns:
        Image ``(N,)`` among those that are compared, -1 for a box that is not; reader ``(N,)``; readers ``(I,)``.
    """
    of_image, images = codes(readers, "image_id")
    of_reader, names = codes(readers, "reader")
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


def one_to_one(one: IntArray, other: IntArray, overlap: FloatArray, reader: IntArray) -> BoolArray:
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


def _require_pair(pair: tuple[str, str] | None, names: pd.Index) -> None:
    if pair is None:
        return
    if len(set(pair)) != 2:
        raise DataError(f"pair must name two different readers, got {pair}")
    unknown = [name for name in pair if name not in names]
    if unknown:
        raise DataError(f"{' and '.join(unknown)} has read nothing; the readers are: {', '.join(map(str, names))}")
