"""Average precision at one overlap or at several, and the curve that it is the area of."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.metrics.interval import Measure
from boxray.core.metrics.matches import Matches, Ranked


def average_precision(matches: Matches, image_weights: FloatArray | None = None) -> float:
    """Area under the precision-recall curve, interpolated at 101 recalls.

    Args:
        matches: Of one finding.
        image_weights: Shape ``(I,)``: how often each image counts; None counts each once.

    Returns:
        In [0, 1]; NaN if there is no box to find; 0 if there are boxes and no detection.

    Source: Lin et al., 2014 (COCO), the measure called AP50 when the matches are made at IoU 0.5.
    """
    weights = np.ones(len(matches.n_boxes)) if image_weights is None else image_weights
    order = np.argsort(-matches.scores, kind="stable")
    ranked = Ranked(
        matches.scores[order], matches.image[order], matches.hits[None, order], np.array([np.nan]), matches.n_boxes
    )
    return float(precision_measure(ranked)(weights)[0])


def precision_measure(ranked: Ranked) -> Measure:
    """Average precision at every overlap of `ranked`, shape ``(L,)``, for weights of the images.

    NaN if there is no box to find; 0 if there are boxes and no detection. The mean over .5, .55 … .95 is COCO's AP.

    Source: Lin et al., 2014 (COCO).
    """
    # Precision falls with every miss and recall stands still, so that the best precision at a recall or above
    # always lies on a hit: only there the curve is looked at.
    places = [np.flatnonzero(hits) for hits in ranked.hits]
    owners = [ranked.image[place] for place in places]

    def measure(weights: FloatArray) -> FloatArray:
        n_boxes = float(weights @ ranked.n_boxes)
        if n_boxes == 0:
            return np.full(len(places), np.nan)
        made = np.cumsum(weights[ranked.image])
        return np.array(
            [
                _area(np.cumsum(weights[owner]), made[place], n_boxes)
                for place, owner in zip(places, owners, strict=True)
            ]
        )

    return measure


def precision_curve(ranked: Ranked, iou_limit: float) -> tuple[FloatArray, FloatArray]:
    """Recall and precision after every hit, by falling score, to be drawn.

    Returns:
        Two arrays of shape ``(H,)``, recall rising; precision as it is, not yet the best at that recall or above.
        Without boxes or hits both are empty.
    """
    places = np.flatnonzero(ranked.hits_at(iou_limit))
    hit = np.arange(1, len(places) + 1)
    return hit / max(int(ranked.n_boxes.sum()), 1), hit / (places + 1)


def _area(hit: FloatArray, made: FloatArray, n_boxes: float) -> float:
    """Of the curve through some points: hits and detections so far, both rising, shape ``(H,)`` each."""
    seen = made > 0  # an image of weight 0 is not there
    recall, precision = hit[seen] / n_boxes, hit[seen] / made[seen]
    # From the right: the best precision that is still reached at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())


_RECALLS = np.linspace(0, 1, 101)
