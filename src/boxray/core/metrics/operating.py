"""Figures at one threshold: how it is chosen, and what a detector does there."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.metrics.interval import Measure
from boxray.core.metrics.matches import Matches, Ranked, last_of_equals


def best_f1_threshold(matches: Matches) -> float:
    """The score from which on F1 over boxes is best; of several, the highest.

    A threshold takes all detections of equal score or none, so only whole groups of them are compared.

    Returns:
        One of the scores; NaN if there is no box or no detection.
    """
    n_boxes = int(matches.n_boxes.sum())
    if n_boxes == 0 or not len(matches.scores):
        return float("nan")
    order = np.argsort(-matches.scores, kind="stable")
    hit = np.cumsum(matches.hits[order])
    f1 = 2 * hit / (np.arange(1, len(order) + 1) + n_boxes)
    scores, ends = matches.scores[order], last_of_equals(matches.scores[order])
    return float(scores[ends][f1[ends].argmax()])


def expected_f1_threshold(probabilities: FloatArray, n_boxes: int) -> float:
    """The probability from which on F1 over boxes is best, if every probability keeps its word.

    Nothing is asked of which detection hit: a few boxes say by two fitted numbers where most of F1 lies, and by their
    own order little more than chance.

    Args:
        probabilities: Of hitting, of each detection, shape ``(D,)``, in [0, 1].
        n_boxes: Readers' boxes there are to find.

    Returns:
        One of the probabilities, of several the highest; NaN if there is no box or no detection.

    Source: Lipton, Elkan and Naryanaswamy, 2014, ECML PKDD: the best threshold lies at half of the best F1.
    """
    if n_boxes == 0 or not len(probabilities):
        return float("nan")
    falling = np.sort(probabilities)[::-1]
    f1 = 2 * np.cumsum(falling) / (np.arange(1, len(falling) + 1) + n_boxes)
    ends = last_of_equals(falling)
    return float(falling[ends][f1[ends].argmax()])


def operating_measure(ranked: Ranked, iou_limit: float, threshold: float) -> Measure:
    """Sensitivity, false positives per image and F1 of what reaches a threshold, shape ``(3,)``.

    Sensitivity is the share of readers' boxes that are hit; false positives, as in `froc_measure`, are divided by
    all images that take part; F1 is 2 x hits / (detections + readers' boxes), as between two readers. Sensitivity and
    F1 are NaN where there is no box, the false positives where there is no image.
    """
    reported = ranked.scores >= threshold
    n_images = len(ranked.n_boxes)
    made = _per_image(ranked, reported, n_images)
    hit = _per_image(ranked, reported & ranked.hits_at(iou_limit), n_images)

    def measure(weights: FloatArray) -> FloatArray:
        n_boxes, n_hit, n_made = weights @ ranked.n_boxes, weights @ hit, weights @ made
        figures = (n_hit, n_made - n_hit, 2 * n_hit)
        return _ratios(figures, (n_boxes, weights.sum(), n_made + n_boxes if n_boxes else 0.0))

    return measure


def localization_measure(ranked: Ranked, threshold: float) -> Measure:
    """Localization accuracy and false positives per image at every overlap of `ranked`, shape ``(2 L,)``.

    Asked only where the finding is boxed: the share of readers' boxes that a detection of at least the threshold
    hits, and how many detections beside them such an image has on average. First all accuracies, then all rates;
    NaN where there is no box. Matches are one to one, and an overlap of exactly the limit counts.

    Source: Wang et al., 2017 (ChestX-ray8), CVPR, section 4 on localization, with its overlap T(IoU).
    """
    boxed = (ranked.n_boxes > 0).astype(np.float64)
    n_images = len(ranked.n_boxes)
    reported = ranked.scores >= threshold
    made = _per_image(ranked, reported, n_images) * boxed
    hit = np.array([_per_image(ranked, reported & hits, n_images) for hits in ranked.hits]).reshape(
        len(ranked.hits), n_images
    )

    def measure(weights: FloatArray) -> FloatArray:
        n_limits = len(hit)
        n_hit = hit @ weights
        n_boxes, n_boxed = float(weights @ ranked.n_boxes), float(weights @ boxed)
        counts = np.append(n_hit, weights @ made - n_hit)
        return _ratios(counts, np.repeat([n_boxes, n_boxed], n_limits))

    return measure


def _per_image(ranked: Ranked, which: BoolArray, n_images: int) -> FloatArray:
    return np.bincount(ranked.image[which], minlength=n_images).astype(np.float64)


def _ratios(counts: object, of: object) -> FloatArray:
    """Element by element; NaN where there is nothing to divide by."""
    above, below = np.asarray(counts, dtype=np.float64), np.asarray(of, dtype=np.float64)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
