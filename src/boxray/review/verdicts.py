"""What a reviewer does with one key: accept a detection, set a presence, confirm, ask for a second opinion.

All work on a FiftyOne sample and save it; the plugin, scripts and tests call the same. Nothing is taken back here: an
edit is whatever differs from what was shown, and `boxray review pull` finds it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import fiftyone as fo
import numpy as np

from boxray.core.boxes import box_iou
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.corrections import reader_name
from boxray.review import fields as names

SAME_PLACE_IOU = 0.9
"""From which an accepted detection is a box that stands there already."""


def accept_detections(sample: Any, finding: str, reviewer: str, reason: str, ids: Collection[str] = ()) -> int:
    """Make the detector's boxes of a finding annotations.

    Args:
        sample: Of FiftyOne; it is saved.
        finding: Of the label space.
        reviewer: Who accepts.
        reason: Why, or nothing.
        ids: Only these detections, also such as lie below the operating point; none means all that reach it.

    Returns:
        How many were added; a box that stands there already is not added again.

    Raises:
        DataError: If there is no such detection.
    """
    field = names.DETECTOR_ALL if ids else names.DETECTOR
    there = [] if sample[field] is None else sample[field].detections
    shown = [] if sample[names.DETECTOR] is None else sample[names.DETECTOR].detections
    wanted = [det for det in (*there, *shown) if det.label == finding and (not ids or str(det.id) in ids)]
    if not ids:
        wanted = [det for det in shown if det.label == finding]
    if not wanted:
        raise DataError(f"the detector has no box of {finding!r} here; draw one (Annotate)")
    drawn = _annotation(sample)
    added = 0
    for det in wanted:
        own = np.array([_corners(box) for box in drawn.detections if box.label == finding]).reshape(-1, 4)
        if box_iou(np.array([_corners(det)]), own).max(initial=0) >= SAME_PLACE_IOU:
            continue
        drawn.detections.append(
            fo.Detection(
                label=finding,
                bounding_box=list(det.bounding_box),
                reviewer=reader_name(reviewer),
                reason=reason or "the detector's box, accepted",
                drawn_by="detector, accepted",
            )
        )
        added += 1
    if added:
        sample[names.ANNOTATION] = drawn
        sample.save()
    return added


def set_presence(sample: Any, finding: str, presence: Presence, reviewer: str, reason: str) -> None:
    """Say that a finding is present, absent or unknown; its boxes go with it.

    Raises:
        DataError: If a box would have to say it.
    """
    if presence is Presence.BOXED:
        raise DataError("only a box makes a finding boxed: draw one (Annotate), or accept the detector's")
    label = sample[f"{names.PRESENCE}{finding}"]
    label.label = presence.value
    label[names.REVIEWER], label[names.REASON] = reader_name(reviewer), reason
    drawn = _annotation(sample)
    drawn.detections = [box for box in drawn.detections if box.label != finding]
    sample[names.ANNOTATION] = drawn
    sample.save()


def confirm(sample: Any, finding: str, reviewer: str, reason: str) -> int:
    """Say that the boxes of a finding are right as they are.

    Returns:
        How many there are.

    Raises:
        DataError: If there is none: then it is a presence that is to be set.
    """
    boxes = [box for box in _annotation(sample).detections if box.label == finding]
    if not boxes:
        raise DataError(f"there is no box of {finding!r} to confirm; set its presence instead")
    for box in boxes:
        box[names.CHECKED], box[names.REVIEWER], box[names.REASON] = True, reader_name(reviewer), reason
    sample.save()
    return len(boxes)


def ask_second_opinion(sample: Any, finding: str, reviewer: str, reason: str) -> None:
    """Mark a finding for somebody else's eyes; nothing is said of the finding itself."""
    label = sample[f"{names.PRESENCE}{finding}"]
    label[names.SECOND], label[names.REVIEWER], label[names.REASON] = True, reader_name(reviewer), reason
    sample.save()


def next_of(view: Any, sample_id: str | None) -> str | None:
    """The sample behind another one in a view; the first where that one is not in it, None at the end."""
    ids: list[str] = view.values("id")
    if sample_id not in ids:
        return ids[0] if ids else None
    place = ids.index(sample_id) + 1
    return ids[place] if place < len(ids) else None


def _annotation(sample: Any) -> Any:
    drawn = sample[names.ANNOTATION]
    return fo.Detections(detections=[]) if drawn is None else drawn


def _corners(box: Any) -> list[float]:
    left, top, wide, high = box.bounding_box
    return [left, top, left + wide, top + high]
