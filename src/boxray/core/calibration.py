"""From a network's score to a probability: the logit, sloped and shifted (Platt, 1999), or a temperature."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite, log10

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray

FEW = 50
"""With fewer examples a threshold is read off the fitted curve: the best cut of a small sample is a cut by chance, and
the curve's two numbers are steadier. Why, and what it brings: docs/decisions/0020."""

SMALLEST_SLOPE = 1e-3
"""A fit keeps its slope above 0, so that the order of scores never turns."""

_EDGE = 1e-7
"""So near to 0 and 1 a score in float32 says 0 and 1; a fit needs finite logits."""


@dataclass(frozen=True, slots=True)
class Scale:
    """``sigmoid(slope * logit + offset)``; as made, it leaves every score as it is.

    Raises:
        ValueError: Unless the slope is above 0 and both numbers are finite.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (isfinite(self.slope) and isfinite(self.offset) and self.slope > 0):
            raise ValueError(f"a scale needs a finite slope > 0 and a finite offset, got {self.slope}, {self.offset}")

    def of_logits(self, logits: FloatArray) -> FloatArray:
        """Probabilities in [0, 1], of the shape given; an infinite logit gives 0 or 1."""
        return sigmoid(self.slope * np.asarray(logits, dtype=np.float64) + self.offset)

    def of_scores(self, scores: FloatArray) -> FloatArray:
        """Probabilities of scores in [0, 1], in the same order; the scale as made gives the very same numbers."""
        return scores if self == Scale() else self.of_logits(logit(scores))

    def score_of(self, probability: float) -> float:
        """The score that becomes this probability, up to rounding; both in [0, 1]."""
        if self == Scale():
            return probability
        return float(sigmoid((logit(np.array(probability)) - self.offset) / self.slope))


def cut_down(score: float) -> float:
    """To six digits and never upwards, for a threshold: what stands on it is reported."""
    if score <= 0:
        return score
    digits = 5 - floor(log10(score))
    rounded = round(score, digits)
    return rounded if rounded <= score else round(rounded - 10.0**-digits, digits)


def sigmoid(logits: FloatArray) -> FloatArray:
    """In [0, 1], of the shape given; small values keep all their digits, and none overflows."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def logit(scores: FloatArray) -> FloatArray:
    """Of scores in [0, 1], of the shape given, float64; minus infinity at 0, infinity at 1."""
    scores = np.asarray(scores, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(scores) - np.log1p(-scores))


def fit_scale(logits: FloatArray, there: BoolArray, rounds: int = 100) -> Scale:
    """The scale under which what is there is most likely.

    Args:
        logits: Shape ``(N,)``; beyond ±16 they count as ±16.
        there: Shape ``(N,)``; both kinds must be among them.
        rounds: Newton steps at most.

    Returns:
        Slope and offset. Where low logits are there more often than high ones the slope is the smallest, and every
        probability near the share of what is there.

    Raises:
        ValueError: Unless both kinds are there.

    Source: Platt, 1999, with the smoothed targets of its section 2.2, by which a few examples do not drive
    probabilities to 0 and 1; Newton's method with backtracking as in Lin, Lin and Weng, 2007, Machine Learning 68.
    """
    n_there, n_not = int(there.sum()), int((~there).sum())
    if not (n_there and n_not):
        raise ValueError(f"a scale is fitted to both kinds, got {n_there} that are there and {n_not} that are not")
    targets = np.where(there, (n_there + 1) / (n_there + 2), 1 / (n_not + 2))
    most = float(logit(np.array(1 - _EDGE)))
    logits = np.clip(np.asarray(logits, dtype=np.float64), -most, most)
    constant = np.ones_like(logits)
    start = float(np.log((n_there + 1) / (n_not + 1)))
    slope, offset = _newton(np.stack([logits, constant], axis=1), np.zeros_like(logits), targets, (0.0, start), rounds)
    if slope < SMALLEST_SLOPE:
        slope = SMALLEST_SLOPE
        (offset,) = _newton(constant[:, None], slope * logits, targets, (start,), rounds)
    return Scale(slope, offset)


def fit_temperature(logits: FloatArray, classes: IntArray, rounds: int = 60) -> float:
    """The slope of all logits under which the classes that are there are most likely under a softmax.

    Args:
        logits: Shape ``(N, K)``, finite.
        classes: Shape ``(N,)``: the class of each image.
        rounds: Halvings of the interval from 0.001 to 1000, on a logarithmic scale.

    Returns:
        One over the temperature; an end of the interval where every image, or none, is told right.

    Raises:
        ValueError: Without images.

    Source: Guo et al., 2017, On calibration of modern neural networks, section 4.2. The likelihood is concave in the
    slope, so its derivative changes sign once.
    """
    if not len(classes):
        raise ValueError("a temperature is fitted to at least one image, got none")
    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(classes)), classes]
    low, high = np.log(SMALLEST_SLOPE), -np.log(SMALLEST_SLOPE)
    for _ in range(rounds):
        middle = (low + high) / 2
        shares = np.exp(np.exp(middle) * logits)
        shares /= shares.sum(axis=1, keepdims=True)
        too_steep = ((shares * logits).sum(axis=1) - own).mean() > 0
        low, high = (low, middle) if too_steep else (middle, high)
    return float(np.exp((low + high) / 2))


def _newton(
    columns: FloatArray, fixed: FloatArray, targets: FloatArray, start: tuple[float, ...], rounds: int
) -> list[float]:
    """Coefficients of `columns`, shape ``(N, K)``, that with `fixed` give the likeliest logits of `targets`."""

    def loss(beta: FloatArray) -> float:
        logits = columns @ beta + fixed
        return float((np.logaddexp(0, logits) - targets * logits).sum())

    beta = np.array(start)
    now = loss(beta)
    for _ in range(rounds):
        guess = sigmoid(columns @ beta + fixed)
        gradient = columns.T @ (guess - targets)
        if np.abs(gradient).max() < 1e-8:
            break
        curvature = (columns * (guess * (1 - guess))[:, None]).T @ columns + 1e-12 * np.eye(len(beta))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-10 and loss(beta - size * step) > now - 1e-4 * size * float(gradient @ step):
            size /= 2
        if size <= 1e-10:  # no step makes it better: rounding is all that is left
            break
        beta = beta - size * step
        now = loss(beta)
    return [float(value) for value in beta]
