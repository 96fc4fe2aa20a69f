"""Images by their score for one finding: areas under the ROC and the precision-recall curve, and the curves.

Two kinds of area. *Pooled*: positives and negatives from anywhere. *Within strata*, such as the sources of images:
only a positive and a negative of the same stratum are compared, so that telling the strata apart earns nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.metrics.interval import Measure
from boxray.core.metrics.matches import last_of_equals


@dataclass(frozen=True, slots=True)
class _Falling:
    """Images of one stratum by falling score; made once, whatever the weights."""

    order: IntArray
    """Shape ``(J,)``: index into the weights."""
    there: BoolArray
    """Shape ``(J,)``, in that order."""
    ends: IntArray
    """Shape ``(T,)``: where a threshold can stand."""

    def reached(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weight of the positives and of the negatives at every threshold or above, shape ``(T,)`` each, rising."""
        weight = weights[self.order]
        positive = np.cumsum(np.where(self.there, weight, 0.0))[self.ends]
        return positive, np.cumsum(weight)[self.ends] - positive


def auroc_measure(scores: FloatArray, there: BoolArray, strata: Sequence[str] | None = None) -> Measure:
    """Chance that a positive scores above a negative, ties counting half; as `auroc`, shape ``(1,)``.

    Args:
        scores: Shape ``(I,)``.
        there: Shape ``(I,)``.
        strata: Length ``I``: compare only a positive and a negative of the same stratum. The figure is then the mean
            of the strata's AUROC weighted by their pairs, which is the share of all such pairs in the right order.
            None compares every positive with every negative.

    Returns:
        A measure, in [0, 1]; NaN where no positive has a negative to be compared with.

    Source: Hanley and McNeil, 1982, Radiology 143, 29-36. One stratum's is the *subgroup AUC* of Borkan et al., 2019
    (WWW companion, 491-500); pairs of one stratum only are counted as R's `survival::concordance` does with
    ``strata`` (Therneau and Atkinson, 2020).
    """
    parts = _strata(scores, there, strata)

    def measure(weights: FloatArray) -> FloatArray:
        right = pairs = 0.0
        for part in parts:
            positive, negative = part.reached(weights)
            before = np.append(0.0, positive[:-1])
            right += float(np.diff(negative, prepend=0.0) @ (before + positive)) / 2
            pairs += float(positive[-1] * negative[-1])
        return np.array([right / pairs if pairs > 0 else np.nan])

    return measure


def image_precision_measure(scores: FloatArray, there: BoolArray, strata: Sequence[str] | None = None) -> Measure:
    """Average precision of images by their score, shape ``(1,)``: the mean over positives of the precision there.

    The area under the precision-recall curve as steps, without interpolation. Chance reaches the share of positives,
    which has to stand beside it.

    Args:
        scores: Shape ``(I,)``.
        there: Shape ``(I,)``.
        strata: Length ``I``: the precision at a positive is that among the images of its own stratum, so that the
            figure is the mean of the strata's weighted by their positives. None: among all images.

    Returns:
        A measure, in (0, 1]. NaN unless there are both kinds; a stratum of one kind has no part. scikit-learn gives 1
        where there is no negative, and 0 where there is no positive; torchmetrics gives NaN for the latter.

    Source: Manning, Raghavan and Schütze, 2008, section 8.4; scikit-learn's `average_precision_score`.
    """
    parts = _strata(scores, there, strata)

    def measure(weights: FloatArray) -> FloatArray:
        summed = total = 0.0
        for part in parts:
            positive, negative = part.reached(weights)
            if positive[-1] <= 0 or negative[-1] <= 0:
                continue
            made = positive + negative
            precision = np.divide(positive, made, out=np.zeros_like(made), where=made > 0)
            summed += float(np.diff(positive, prepend=0.0) @ precision)
            total += float(positive[-1])
        return np.array([summed / total if total > 0 else np.nan])

    return measure


def sensitivity_measure(scores: FloatArray, there: BoolArray, false_rates: Sequence[float]) -> Measure:
    """Sensitivity at given rates of false positives, shape ``(R,)``: points of the ROC curve.

    Between two thresholds a straight line is drawn, the same of which `auroc_measure` is the area; a rate of 0 has
    the highest sensitivity that is reached without a false positive. NaN unless there are both kinds.
    """
    return _on_curve(scores, there, np.asarray(false_rates, dtype=np.float64), _sensitivity_at)


def precision_at_measure(scores: FloatArray, there: BoolArray, recalls: Sequence[float]) -> Measure:
    """Precision at the highest threshold that reaches given recalls, shape ``(R,)``: points of `image_precision_curve`.

    NaN unless there are both kinds.
    """
    return _on_curve(scores, there, np.asarray(recalls, dtype=np.float64), _precision_at)


def roc_curve(scores: FloatArray, there: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Rate of false positives and sensitivity from (0, 0) to (1, 1), both rising, shape ``(T + 1,)`` each.

    Empty unless there are both kinds.
    """
    positive, negative = _counts(scores, there)
    if not len(positive):
        return np.empty(0), np.empty(0)
    return np.append(0.0, negative / negative[-1]), np.append(0.0, positive / positive[-1])


def image_precision_curve(scores: FloatArray, there: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Recall, rising, and precision at every threshold that adds a positive; empty unless there are both kinds."""
    positive, negative = _counts(scores, there)
    if not len(positive):
        return np.empty(0), np.empty(0)
    adds = np.diff(positive, prepend=0.0) > 0
    return (positive / positive[-1])[adds], (positive / (positive + negative))[adds]


def _counts(scores: FloatArray, there: BoolArray) -> tuple[FloatArray, FloatArray]:
    parts = _strata(scores, there, None)
    return parts[0].reached(np.ones(len(scores))) if parts else (np.empty(0), np.empty(0))


def _on_curve(
    scores: FloatArray,
    there: BoolArray,
    asked: FloatArray,
    points: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
) -> Measure:
    parts = _strata(scores, there, None)

    def measure(weights: FloatArray) -> FloatArray:
        if parts:
            positive, negative = parts[0].reached(weights)
            if positive[-1] > 0 and negative[-1] > 0:
                return points(positive, negative, asked)
        return np.full(len(asked), np.nan)

    return measure


def _sensitivity_at(positive: FloatArray, negative: FloatArray, rates: FloatArray) -> FloatArray:
    x, y = np.append(0.0, negative / negative[-1]), np.append(0.0, positive / positive[-1])
    return np.asarray(np.interp(rates, x, y))  # where the curve rises at one rate, its upper end


def _precision_at(positive: FloatArray, negative: FloatArray, recalls: FloatArray) -> FloatArray:
    # A billionth lower: 3 of 10 positives reach a recall of 0.3, whatever rounding says.
    places = np.searchsorted(positive / positive[-1], recalls - 1e-9, side="left")
    # An image of weight 0 is not there: a threshold above all that are reaches nothing.
    first = int(np.argmax(positive + negative > 0))
    places = places.clip(first, len(positive) - 1)
    return np.asarray(positive[places] / (positive + negative)[places])


def _strata(scores: FloatArray, there: BoolArray, strata: Sequence[str] | None) -> list[_Falling]:
    """Those with both kinds: the others hold no pair, whatever the weights."""
    names = np.zeros(len(scores)) if strata is None else np.asarray(strata)
    parts = []
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        order = members[np.argsort(-scores[members], kind="stable")]
        if there[order].any() and not there[order].all():
            parts.append(_Falling(order, there[order], last_of_equals(scores[order])))
    return parts
