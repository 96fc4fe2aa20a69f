"""FiftyOne's own evaluation of the detections, by our rule of who takes part: UNKNOWN never counts.

An image takes part for a finding if it is boxed in it or absent from it, as in `boxray.detection.evaluate`; an absence
that is only assumed is left out. FiftyOne then matches as COCO does, so its average precision is that of
`boxray detection evaluate`; each box carries what it was matched with, to be looked at in the App.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from boxray.core.findings import LabelSpace, Presence
from boxray.data.presence import Rule
from boxray.review import fields as names

KEY = "eval_"
"""Begins the keys of the evaluations, one a finding."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One finding."""

    finding: str
    images_with: int
    images_without: int
    ap50: float | None
    """None where there is no box to find."""
    key: str | None
    """Of the evaluation in the data set; None where there is none."""


def evaluate_inside(view: Any, space: LabelSpace, progress: Callable[[], None] = lambda: None) -> tuple[Evaluated, ...]:
    """Evaluate the readings' boxes against the annotations as they stand in the data set now.

    Args:
        view: The data set, or a view of it such as one split.
        space: Of the set.
        progress: Called after each finding.
    """
    found = []
    for key in space.keys:
        found.append(_one(view, key))
        progress()
    return tuple(found)


def scored_view(view: Any, finding: str) -> Any:
    """The images that count for a finding, with its boxes alone."""
    at = fo.ViewField
    presence = f"{names.PRESENCE}{finding}"
    boxed = at(f"{presence}.label") == Presence.BOXED.value
    absent = (at(f"{presence}.label") == Presence.ABSENT.value) & (at(f"{presence}.rule") != Rule.ASSUMPTION.value)
    counted = view.match(boxed | absent).match(at(names.DETECTOR_ALL).exists())
    for field in (names.ANNOTATION, names.DETECTOR_ALL):
        counted = counted.filter_labels(field, at("label") == finding, only_matches=False)
    return counted


def _one(view: Any, finding: str) -> Evaluated:
    counted = scored_view(view, finding)
    n_images = counted.count()
    n_with = counted.match(fo.ViewField(f"{names.ANNOTATION}.detections").length() > 0).count()
    if not n_with:
        return Evaluated(finding, 0, n_images, None, None)
    key = f"{KEY}{finding}"
    results = counted.evaluate_detections(
        names.DETECTOR_ALL,
        gt_field=names.ANNOTATION,
        eval_key=key,
        method="coco",
        iou=0.5,
        classes=[finding],
        compute_mAP=True,
        iou_threshs=[0.5],
        progress=False,
    )
    return Evaluated(finding, n_with, n_images - n_with, float(results.mAP()), key)
