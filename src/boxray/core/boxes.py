"""Boxes and their arithmetic, in continuous pixels.

A frame's origin is the *outer corner* of its top-left pixel: a ``w x h`` image spans ``[0, w] x [0, h]``
and pixel ``i`` covers ``[i, i + 1]``. So a width is ``x2 - x1`` and scaling is plain multiplication.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import inf

import numpy as np

from boxray.core.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Box:
    """One box ``(x1, y1, x2, y2)`` in pixels of a frame that its owner names. Made means valid."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (-inf < self.x1 <= self.x2 < inf and -inf < self.y1 <= self.y2 < inf):  # NaN fails too
            raise ValueError(f"a box needs finite x1 <= x2 and y1 <= y2, got {astuple(self)}")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The four corners' coordinates in the order x1, y1, x2, y2."""
        return (self.x1, self.y1, self.x2, self.y2)


def as_xyxy(boxes: tuple[Box, ...] | list[Box]) -> FloatArray:
    """Boxes as one float64 array of shape ``(N, 4)``; none gives ``(0, 4)``."""
    return np.array([box.xyxy for box in boxes], dtype=np.float64).reshape(-1, 4)


def _require_xyxy(boxes_xyxy: FloatArray | IntArray) -> None:
    if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
        raise ValueError(f"boxes_xyxy must have shape (N, 4), got {boxes_xyxy.shape}")


def box_iou(boxes_xyxy: FloatArray | IntArray, others_xyxy: FloatArray | IntArray) -> FloatArray:
    """Overlap of every box with every other: area shared by both over area covered by either.

    Args:
        boxes_xyxy: Shape ``(N, 4)``, rows ``(x1, y1, x2, y2)`` in pixels.
        others_xyxy: Shape ``(M, 4)``, in the same frame.

    Returns:
        Shape ``(N, M)`` in [0, 1]. None on one side gives an empty matrix, ``(0, M)`` or ``(N, 0)``.
        Two boxes without area give 0.

    Raises:
        ValueError: If an argument is not of shape ``(_, 4)``.

    Source: Everingham et al., 2010, IJCV 88, 303-338, without the ``+ 1`` of its development kit.

    >>> box_iou(np.array([[0., 0., 4., 4.]]), np.array([[2., 0., 6., 4.], [8., 8., 9., 9.]])).round(4)
    array([[0.3333, 0.    ]])
    """
    _require_xyxy(boxes_xyxy)
    _require_xyxy(others_xyxy)
    low = np.maximum(boxes_xyxy[:, None, :2], others_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], others_xyxy[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    covered = box_area(boxes_xyxy)[:, None] + box_area(others_xyxy)[None, :] - shared
    return np.asarray(np.divide(shared, covered, out=np.zeros(shared.shape), where=covered > 0))


def box_area(boxes_xyxy: FloatArray | IntArray) -> FloatArray:
    """Shape ``(N,)``, square pixels."""
    _require_xyxy(boxes_xyxy)
    return np.asarray((boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1]), dtype=np.float64)


def clip_boxes(boxes_xyxy: FloatArray, size_wh: tuple[int, int]) -> FloatArray:
    """Boxes cut at the edges of an image. Shape ``(N, 4)`` on both sides; what lay outside has no area."""
    _require_xyxy(boxes_xyxy)
    width, height = size_wh
    return boxes_xyxy.clip(0, np.array([width, height, width, height], dtype=np.float64))


def move_boxes(boxes_xyxy: FloatArray, to_target: FloatArray) -> FloatArray:
    """Boxes under an affine map, ``(2, 3)``: of a turned one the upright rectangle round it. Shape ``(N, 4)`` both."""
    _require_xyxy(boxes_xyxy)
    corners = boxes_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ to_target[:, :2].T + to_target[:, 2]
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


def xyxy_to_yolo(boxes_xyxy: FloatArray, size_wh: tuple[int, int]) -> FloatArray:
    """Pixels of an image to the fractions of a YOLO file: centre x, centre y, width, height. Shape ``(N, 4)``."""
    _require_xyxy(boxes_xyxy)
    centres_xy = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    fractions = np.hstack([centres_xy, boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]]) / np.tile(size_wh, 2)
    return np.asarray(fractions)


def yolo_to_xyxy(boxes_cxcywh: FloatArray, size_wh: tuple[int, int]) -> FloatArray:
    """Fractions of width and height to pixels of that image. Shape ``(N, 4)`` on both sides."""
    _require_xyxy(boxes_cxcywh)
    centres_xy, sides_wh = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:]
    pixels = np.hstack([centres_xy - sides_wh / 2, centres_xy + sides_wh / 2]) * np.tile(size_wh, 2)
    return np.asarray(pixels)


def cxcywh_to_xyxy(boxes_cxcywh: FloatArray) -> FloatArray:
    """Centre and size to corners, in one frame and unit. Shape ``(N, 4)`` on both sides."""
    _require_xyxy(boxes_cxcywh)
    centres_xy, halves_wh = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    return np.hstack([centres_xy - halves_wh, centres_xy + halves_wh])


def suppress(boxes_xyxy: FloatArray, scores: FloatArray, iou_limit: float, most: int | None = None) -> IntArray:
    """Non-maximum suppression within one finding: keep a box unless a kept one of higher score overlaps it.

    Args:
        boxes_xyxy: Shape ``(N, 4)``.
        scores: Shape ``(N,)``, any order.
        iou_limit: A box whose IoU with a kept one exceeds this is dropped.
        most: Stop when so many are kept; None keeps all.

    Returns:
        Indices of the kept boxes, by falling score; equal scores keep their order. None gives none.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = boxes_xyxy[order]
    area = box_area(ranked)
    left = np.arange(len(order))
    kept: list[int] = []
    while len(left) and (most is None or len(kept) < most):
        best, left = left[0], left[1:]
        kept.append(best)
        rest = ranked[left]
        # `box_iou` of one box with many, without its checks: this line runs hundreds of times for a radiograph.
        sides = np.minimum(rest[:, 2:], ranked[best, 2:]) - np.maximum(rest[:, :2], ranked[best, :2])
        shared = np.maximum(sides[:, 0], 0) * np.maximum(sides[:, 1], 0)
        covered = area[left] + area[best] - shared
        left = left[shared / np.maximum(covered, np.finfo(np.float64).tiny) <= iou_limit]
    return np.asarray(order[kept], dtype=np.intp)
