"""Several readers of one radiograph: their boxes as one consensus.

Readers differ more than detectors do, so a consensus keeps how many drew a box. It asks *who read the image*, because
a reader who found nothing disagrees too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray, IntArray
from boxray.core.boxes import box_iou
from boxray.core.errors import DataError
from boxray.data.manifest import CORNERS
from boxray.data.reader_boxes import (
    codes,
    corners_of,
    overlapping_pairs,
    require_boxes,
    require_columns,
    require_iou,
    runs,
)

FUSED_COLUMNS = ["image_id", "finding", *CORNERS, "votes", "readers", "n_readers", "raw_label"]
LABEL_SEPARATOR = "|"
"""Between the raw labels of one fused box, as NIH's own tables join theirs; raw labels may hold blanks."""


FUSE_IOU = 0.4
"""Overlap from which boxes of two readers are one, as in VinDr-CXR's own comparisons."""


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


def fuse(boxes_xyxy: FloatArray | IntArray, readers: Sequence[str], n_readers: int, iou: float = FUSE_IOU) -> Fused:
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
    require_boxes(boxes_xyxy)
    require_iou(iou)
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


def fuse_table(
    boxes: pd.DataFrame, readers_per_image: Mapping[str, int] | pd.Series, iou: float = FUSE_IOU
) -> pd.DataFrame:
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
    require_columns(boxes, "boxes", ["image_id", "finding", *CORNERS, "reader", "raw_label"])
    require_iou(iou)
    image, images = codes(boxes, "image_id")
    finding, findings = codes(boxes, "finding")
    reader, readers = codes(boxes, "reader")
    label, labels = codes(boxes, "raw_label")
    reader_names, label_names = np.asarray(readers, dtype=object), np.asarray(labels, dtype=object)
    if any(len(str(name).split()) != 1 for name in reader_names):
        raise DataError("a reader's name is empty or holds a blank; 'readers' joins names by blanks: rename the reader")
    corners = corners_of(boxes)
    n_readers = _n_readers(readers_per_image, images)
    drew = np.unique(image * len(readers) + reader) // max(len(readers), 1)
    _require_enough_readers(np.bincount(drew, minlength=len(images)), n_readers)

    group = image * len(findings) + finding
    order = np.lexsort((label, reader, *corners.T[::-1], group))
    group, reader, label, corners = group[order], reader[order], label[order], corners[order]
    starts, ends = runs(group)
    run = np.repeat(np.arange(len(starts)), ends - starts)
    met = np.zeros(len(starts), dtype=bool)  # only groups in which boxes of two readers agree need a loop
    met[run[overlapping_pairs(corners, group, reader, iou)[0]]] = True
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


def _require_enough_readers(drew: IntArray, n_readers: IntArray) -> None:
    n_short = int((drew > n_readers).sum())
    if n_short:
        raise DataError(
            f"{n_short} images have boxes of more readers than are said to have read them; "
            "the number must count everyone who read the image"
        )
