"""Sensitivity against false positives per image: the free-response ROC curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.metrics.interval import Measure
from boxray.core.metrics.matches import Ranked, last_of_equals

LUNA16_RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives per image at which sensitivity is given (Setio et al., 2017, section 4)."""


def froc_measure(ranked: Ranked, iou_limit: float, rates: Sequence[float] = LUNA16_RATES) -> Measure:
    """Sensitivity at given rates of false positives per image, and their mean, shape ``(R + 1,)``.

    Sensitivity is the share of readers' boxes that are hit. A false positive is any detection that is no hit: on an
    image where the finding is absent, beside the boxes on one where it is boxed, and a second one on a box that is
    already hit. They are divided by *all* images that take part, with and without the finding. At a rate stands the
    highest sensitivity of a threshold that makes at most as many; a curve that ends before the rate stays at its end.

    LUNA16 differs twice, both times in favour of the detector: it draws a line between two thresholds, and it
    forgives the second detection on the same place.

    Args:
        ranked: Of one finding.
        iou_limit: Overlap from which a box is hit.
        rates: False positives per image, > 0.

    Returns:
        A measure, NaN throughout where there is no box to find.

    Source: Setio et al., 2017 (LUNA16), Medical Image Analysis 42, 1-13, section 4.
    """
    hits = ranked.hits_at(iou_limit).astype(np.float64)
    ends = last_of_equals(ranked.scores)
    asked = np.asarray(rates, dtype=np.float64)

    def measure(weights: FloatArray) -> FloatArray:
        n_boxes = float(weights @ ranked.n_boxes)
        if n_boxes == 0:
            return np.full(len(asked) + 1, np.nan)
        weight = weights[ranked.image]
        hit, made = np.cumsum(weight * hits)[ends], np.cumsum(weight)[ends]
        n_thresholds = np.searchsorted(made - hit, asked * weights.sum(), side="right")
        sensitivity = np.append(0.0, hit)[n_thresholds] / n_boxes
        return np.append(sensitivity, sensitivity.mean())

    return measure


def froc_curve(ranked: Ranked, iou_limit: float) -> tuple[FloatArray, FloatArray]:
    """False positives per image and sensitivity at every threshold, both rising, shape ``(T,)`` each.

    Without images or boxes to find both are empty.
    """
    n_images, n_boxes = len(ranked.n_boxes), int(ranked.n_boxes.sum())
    if n_images == 0 or n_boxes == 0:
        return np.empty(0), np.empty(0)
    ends = last_of_equals(ranked.scores)
    hit = np.cumsum(ranked.hits_at(iou_limit))[ends]
    return (ends + 1 - hit) / n_images, hit / n_boxes
