"""What a method says of one finding in one radiograph, measured against the readers' boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.boxes import Box, as_xyxy, box_area, box_iou, clip_boxes
from boxray.core.metrics import match_image
from boxray.core.reading import Detection, SaliencyMap
from boxray.detection.evaluate import LOCALIZATION_LIMITS
from boxray.localization.agreement import painted
from boxray.localization.compare.regions import highest_point, region_boxes

FOUND: Final = tuple(f"found_at_{limit:g}" for limit in LOCALIZATION_LIMITS)
"""Columns of a row: how many readers' boxes are hit at each T(IoU), one to one, by all that a method reports."""

POINT: Final = ("point_x", "point_y")
BEST_BOX: Final = ("box_x1", "box_y1", "box_x2", "box_y2")


@dataclass(frozen=True, slots=True)
class Said:
    """What a method says of one finding, in the radiograph's frame."""

    boxes_xyxy: FloatArray
    """Shape ``(N, 4)``: all that it reports at its operating point, the best first."""
    best: Box | None
    """The one box that it would give if it had to give one; None where it has none at any score."""
    point_xy: tuple[float, float] | None
    """Where it points; None: nowhere."""
    energy_inside: float
    """Share of its map, or of its best box's area, that lies in readers' boxes, in [0, 1]; 0 without either."""
    score: float
    """Its score for the finding in [0, 1]; NaN where it gives none."""


def said_by_detector(
    detections: Sequence[Detection], finding: str, threshold: float, truth_xyxy: FloatArray, size_wh: tuple[int, int]
) -> Said:
    """The detector: its best box is that of the highest score, and it points at that box's centre.

    Args:
        detections: Of the whole radiograph, at any score.
        finding: Which of them count.
        threshold: The finding's operating point.
        truth_xyxy: Shape ``(T, 4)``: the readers' boxes.
        size_wh: Of the radiograph.
    """
    found = sorted((det for det in detections if det.finding == finding), key=lambda det: -det.score)
    reported = as_xyxy([det.box for det in found if det.score >= threshold])
    if not found:
        return Said(reported, None, None, 0.0, float("nan"))
    best = found[0].box
    return Said(reported, best, centre_of(best), area_inside(best, truth_xyxy, size_wh), found[0].score)


def said_by_map(saliency: SaliencyMap, share: float, score: float, threshold: float, truth_xyxy: FloatArray) -> Said:
    """A map: it points at its highest pixel, and its best box is round the region that holds this one.

    Args:
        saliency: Of the finding.
        share: Of its maximum, from which a pixel is in a region.
        score: The classifier's.
        threshold: From which score on the classifier reports the finding at all.
        truth_xyxy: Shape ``(T, 4)``: the readers' boxes.
    """
    values = saliency.values
    boxes, _ = region_boxes(values, share)
    if not len(boxes):
        return Said(boxes, None, None, 0.0, score)
    inside = painted([Box(*box) for box in truth_xyxy.tolist()], values.shape)
    energy = float(values[inside].sum(dtype=np.float64) / values.sum(dtype=np.float64))
    reported = boxes if score >= threshold else boxes[:0]
    return Said(reported, Box(*boxes[0].tolist()), highest_point(values), energy, score)


def said_by_reader(boxes_xyxy: FloatArray, truth_xyxy: FloatArray, size_wh: tuple[int, int]) -> Said:
    """A second reader: boxes have no scores, so the best is the largest; none drawn means that nothing is there."""
    if not len(boxes_xyxy):
        return Said(boxes_xyxy, None, None, 0.0, float("nan"))
    ordered = boxes_xyxy[np.argsort(-box_area(boxes_xyxy), kind="stable")]
    best = Box(*ordered[0].tolist())
    return Said(ordered, best, centre_of(best), area_inside(best, truth_xyxy, size_wh), float("nan"))


def measured(said: Said, truth_xyxy: FloatArray, size_wh: tuple[int, int]) -> dict[str, Any]:
    """The figures of one row, against at least one reader's box.

    Returns:
        ``pointing_hit``: the point lies in a reader's box (Zhang et al., 2018, without their tolerance of 15 px).
        ``centre_hit``: the best box's centre does. ``iou``: of the best box with the reader's box that it overlaps
        most. ``energy_inside``. ``best_covers``: share of the image in the best box. ``n_reported``, and `FOUND`:
        how many of the readers' boxes are hit by all that is reported. Then score, point and best box.

    Raises:
        ValueError: If there is no reader's box: such an image takes no part.
    """
    if not len(truth_xyxy):
        raise ValueError("an image takes part where a reader boxed the finding, got no box")
    best_xyxy = as_xyxy([said.best] if said.best else [])
    ranks = -np.arange(len(said.boxes_xyxy), dtype=np.float64)
    found = (int(match_image(said.boxes_xyxy, ranks, truth_xyxy, limit).sum()) for limit in LOCALIZATION_LIMITS)
    nothing = float("nan")
    return {
        "score": said.score,
        "pointing_hit": said.point_xy is not None and lies_in(said.point_xy, truth_xyxy),
        "centre_hit": said.best is not None and lies_in(centre_of(said.best), truth_xyxy),
        "iou": float(box_iou(best_xyxy, truth_xyxy).max(initial=0)),
        "energy_inside": said.energy_inside,
        "best_covers": float(box_area(clip_boxes(best_xyxy, size_wh)).sum()) / (size_wh[0] * size_wh[1]),
        "n_reported": len(said.boxes_xyxy),
        **dict(zip(FOUND, found, strict=True)),
        **dict(zip(POINT, said.point_xy or (nothing,) * 2, strict=True)),
        **dict(zip(BEST_BOX, said.best.xyxy if said.best else (nothing,) * 4, strict=True)),
    }


def centre_of(box: Box) -> tuple[float, float]:
    """The middle (x, y) of a box."""
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def lies_in(point_xy: tuple[float, float], boxes_xyxy: FloatArray) -> bool:
    """Whether a point lies in one of the boxes, edges included."""
    x, y = point_xy
    x1, y1, x2, y2 = boxes_xyxy.T
    return bool(((x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)).any())


def covered(boxes_xyxy: FloatArray, size_wh: tuple[int, int]) -> float:
    """Share of the image in at least one of the boxes: what a map that is even everywhere has inside of them."""
    return float(painted([Box(*box) for box in boxes_xyxy.tolist()], size_wh[::-1]).mean())


def area_inside(box: Box, truth_xyxy: FloatArray, size_wh: tuple[int, int]) -> float:
    """Share of a box's pixels that lie in at least one of the readers' boxes; 0 for a box without a pixel."""
    own = painted([box], size_wh[::-1])
    shared = own & painted([Box(*each) for each in truth_xyxy.tolist()], size_wh[::-1])
    return float(shared.sum() / own.sum()) if own.any() else 0.0
