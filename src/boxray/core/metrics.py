"""Metrics that know unknown from absent: what nobody annotated is not scored.

All take plain arrays and are written so that a bootstrap by patient is a change of weights, not of data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.boxes import box_iou


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval. NaN where there is nothing to measure."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "–" if np.isnan(self.value) else f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections of one finding over many images, each a hit or a miss; and the boxes there were to find."""

    scores: FloatArray
    """Shape ``(D,)``."""
    hits: BoolArray
    """Shape ``(D,)``: the detection is the best unmatched one on a reader's box."""
    image: IntArray
    """Shape ``(D,)``: index into `n_boxes`."""
    n_boxes: IntArray
    """Shape ``(I,)``: readers' boxes per image, 0 in images where the finding is absent."""


def match_image(
    boxes_xyxy: FloatArray, scores: FloatArray, truth_xyxy: FloatArray, iou_limit: float = 0.5
) -> BoolArray:
    """Which detections of one image and finding hit a reader's box.

    By falling score each detection takes the free box that it overlaps most, if by at least `iou_limit`; of
    boxes that it overlaps equally, the last.

    Args:
        boxes_xyxy: Shape ``(D, 4)``.
        scores: Shape ``(D,)``.
        truth_xyxy: Shape ``(T, 4)``, in the same frame. None makes every detection a miss.
        iou_limit: Overlap from which a detection counts.

    Returns:
        Shape ``(D,)``, in the order given.

    Source: Lin et al., 2014 (COCO), as pycocotools does it.
    """
    hits = np.zeros(len(scores), dtype=bool)
    overlaps = box_iou(boxes_xyxy, truth_xyxy)
    free = np.ones(len(truth_xyxy), dtype=bool)
    for index in np.argsort(-scores, kind="stable"):
        candidates = np.where(free, overlaps[index], -1.0)
        if len(candidates) and candidates.max() >= iou_limit:
            best = len(candidates) - 1 - candidates[::-1].argmax()
            free[best] = False
            hits[index] = True
    return hits


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
    n_boxes = float((weights * matches.n_boxes).sum())
    if n_boxes == 0:
        return float("nan")
    order = np.argsort(-matches.scores, kind="stable")
    weight = weights[matches.image[order]]
    hit = np.cumsum(weight * matches.hits[order])
    made = np.cumsum(weight)
    present = made > 0
    recall, precision = hit[present] / n_boxes, hit[present] / made[present]
    if not len(recall):
        return 0.0
    # From the right: the best precision that is still reached at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(envelope, 0.0)[np.minimum(places, len(envelope))].mean())


def auroc(scores: FloatArray, there: BoolArray, weights: FloatArray | None = None) -> float:
    """Chance that a positive scores above a negative, ties counting half.

    Args:
        scores: Shape ``(N,)``.
        there: Shape ``(N,)``; leave out what is unknown before.
        weights: Shape ``(N,)``: how often each counts; None counts each once.

    Returns:
        In [0, 1]; NaN unless both positives and negatives are there.

    Source: Hanley and McNeil, 1982, Radiology 143, 29-36.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    _, rank = np.unique(scores, return_inverse=True)
    n_ranks = int(rank.max(initial=-1)) + 1
    positive = np.bincount(rank, weights * there, n_ranks)
    negative = np.bincount(rank, weights * ~there, n_ranks)
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def bootstrap(
    measure: Callable[[FloatArray], float], patients: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """A measure with its percentile interval, resampling *patients* with all their images.

    Args:
        measure: Takes weights of shape ``(I,)``, one per image, and gives the figure.
        patients: Length ``I``: the patient of each image.
        rounds: How many resamples.
        seed: Makes it repeatable.

    Returns:
        The figure on all images and the 2.5th and 97.5th percentile. Resamples without any positive are
        left out of the percentiles; if none is left, there are none.

    Source: Efron and Tibshirani, 1993, ch. 13.
    """
    value = measure(np.ones(len(patients)))
    _, patient = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    n_patients = int(patient.max(initial=-1)) + 1
    if np.isnan(value) or n_patients == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    share = np.full(n_patients, 1 / n_patients)
    # One draw at a time: all at once would be 800 MB for a hundred thousand patients.
    draws = (rng.multinomial(n_patients, share) for _ in range(rounds))
    figures = np.array([measure(draw[patient].astype(float)) for draw in draws])
    figures = figures[~np.isnan(figures)]
    if not len(figures):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(figures, [2.5, 97.5])
    return Interval(value, float(low), float(high))


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
    scores = matches.scores[order]
    last_of_equals = np.append(scores[1:] != scores[:-1], True)
    return float(scores[last_of_equals][f1[last_of_equals].argmax()])
