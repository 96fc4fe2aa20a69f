"""Does a score keep its word: of detections scored 0.3, are three in ten hits? Of images, do three in ten have it?"""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.metrics.interval import Measure
from boxray.core.metrics.matches import Ranked

BINS = 10
"""Of equal width over [0, 1]; each takes in its lower end, the last one both."""


def reliability_measure(ranked: Ranked, iou_limit: float, lowest: float, bins: int = BINS) -> Measure:
    """Expected calibration error of detections, then the share of hits in each bin of scores, shape ``(1 + B,)``.

    The error is the difference of mean score and share of hits in each bin, weighted by its detections. Boxes that
    nothing detects have no part in it: it says whether scores are right, not whether all is found.

    Args:
        ranked: Of one finding; its scores lie in [0, 1].
        iou_limit: Overlap from which a detection is a hit.
        lowest: Detections of a lower score are left out: there are many of them, and nobody looks at them.
        bins: How many.

    Returns:
        A measure; NaN where there is no detection.

    Source: Küppers et al., CVPR Workshops 2020, section 3 (detection ECE, here by the score alone, not by place or
    size); Naeini et al., AAAI 2015.
    """
    asked = ranked.scores >= lowest
    return _bins_measure(
        ranked.scores[asked], ranked.hits_at(iou_limit)[asked], ranked.image[asked], len(ranked.n_boxes), bins
    )


def calibration_measure(scores: FloatArray, there: BoolArray, bins: int = BINS) -> Measure:
    """Expected calibration error of one score per image, then the share that is there in each bin, ``(1 + B,)``.

    The error is the difference of mean score and share in each bin, weighted by its images. torchmetrics takes 15 bins
    unless told otherwise. For classes that exclude each other, hand over the highest score of each image and whether
    its class is right: the error of Guo et al., 2017.

    Args:
        scores: Shape ``(I,)``, in [0, 1].
        there: Shape ``(I,)``.
        bins: Of equal width.

    Returns:
        A measure; NaN where there is no image.

    Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017, section 2.
    """
    return _bins_measure(scores, there, np.arange(len(scores)), len(scores), bins)


def brier_measure(scores: FloatArray, there: BoolArray) -> Measure:
    """Mean squared difference of score and truth, shape ``(1,)``; 0 is best, NaN where there is no image.

    Source: Brier, 1950, Monthly Weather Review 78, 1-3, as halved for two classes by scikit-learn.
    """
    squared = (scores - there) ** 2

    def measure(weights: FloatArray) -> FloatArray:
        total = weights.sum()
        return np.array([weights @ squared / total if total > 0 else np.nan])

    return measure


def excess_measure(scores: FloatArray, there: BoolArray) -> Measure:
    """Mean score less the share that is there, ``(1,)``: above 0, scores are too high; NaN where there is no image.

    Of few images it is the fairer question: a calibration error has no sign in its bins, and so is never 0 by chance.

    Source: calibration in the large, Van Calster et al., 2019, BMC Medicine 17, 230.
    """
    return lambda weights: np.array([weights @ (scores - there) / weights.sum() if weights.sum() > 0 else np.nan])


def score_bins(ranked: Ranked, lowest: float, bins: int = BINS) -> tuple[IntArray, FloatArray]:
    """Detections of at least `lowest` in each bin and their mean score, shape ``(B,)`` each; NaN in an empty bin."""
    return image_score_bins(ranked.scores[ranked.scores >= lowest], bins)


def _places(scores: FloatArray, bins: int) -> IntArray:
    return (scores * bins).astype(np.intp).clip(0, bins - 1)


def image_score_bins(scores: FloatArray, bins: int = BINS) -> tuple[IntArray, FloatArray]:
    """Images in each bin of their scores and their mean score, shape ``(B,)`` each; NaN in an empty bin."""
    place = _places(scores, bins)
    made = np.bincount(place, minlength=bins)
    total = np.bincount(place, scores, bins)
    return made, np.asarray(np.divide(total, made, out=np.full(bins, np.nan), where=made > 0))


def _bins_measure(scores: FloatArray, hits: BoolArray, image: IntArray, n_images: int, bins: int) -> Measure:
    place, shape = _places(scores, bins), (bins, n_images)
    made, scored, hit = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    np.add.at(made, (place, image), 1.0)
    np.add.at(scored, (place, image), scores)
    np.add.at(hit, (place, image), hits.astype(np.float64))

    def measure(weights: FloatArray) -> FloatArray:
        n_made, n_hit = made @ weights, hit @ weights
        apart = np.abs(scored @ weights - n_hit).sum()
        counts, of = np.append(apart, n_hit), np.append(n_made.sum(), n_made)
        return np.asarray(np.divide(counts, of, out=np.full(bins + 1, np.nan), where=of > 0))

    return measure
