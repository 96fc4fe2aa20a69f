"""Figures with their bootstrap intervals, and the difference of two detectors on the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxray.core.arrays import FloatArray, IntArray
from boxray.core.plain import rounded

Measure = Callable[[FloatArray], FloatArray]
"""Weights of shape ``(I,)``, one per image, in; ``K`` figures out, NaN where one measures nothing."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval. NaN where there is nothing to measure."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "–"
        around = f"{self.low:.2f}–{self.high:.2f}" if self.is_wide else "no interval"
        return f"{self.value:.2f} ({around})"

    @property
    def is_wide(self) -> bool:
        """Whether the resamples tell how far chance reaches. They do not where none differs, as of 0 hits of 6."""
        return bool(self.low < self.high)

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: whether it is more than the chance of which patients were taken."""
        return self.low > 0 or self.high < 0

    @property
    def signed(self) -> str:
        """As text of a difference: with its sign."""
        if np.isnan(self.value):
            return "–"
        around = "no interval" if np.isnan(self.low) else f"{self.low:+.2f}, {self.high:+.2f}"
        return f"{self.value:+.2f} ({around})"

    def to_json(self) -> dict[str, float | None]:
        """Plain data, four digits; None where there is nothing to measure."""
        return {"value": rounded(self.value), "low": rounded(self.low), "high": rounded(self.high)}

    @classmethod
    def nothing(cls) -> Interval:
        """NaN throughout: there was nothing to measure."""
        return cls(float("nan"), float("nan"), float("nan"))


def bootstrap(
    measure: Callable[[FloatArray], float], patients: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """A measure of one figure with its percentile interval; see `bootstrap_all`."""
    (interval,) = bootstrap_all(lambda weights: np.array([measure(weights)]), patients, rounds=rounds, seed=seed)
    return interval


def bootstrap_all(
    measure: Measure, patients: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> tuple[Interval, ...]:
    """Figures with their percentile intervals, resampling *patients* with all their images.

    Args:
        measure: Gives ``K`` figures for weights of shape ``(I,)``, one per image.
        patients: Length ``I``: the patient of each image.
        rounds: How many resamples.
        seed: Makes it repeatable.

    Returns:
        ``K`` times the figure on all images and its 2.5th and 97.5th percentile. Resamples without any positive
        are left out of the percentiles; if none is left, there are none.

    Source: Efron and Tibshirani, 1993, ch. 13.
    """
    values = measure(np.ones(len(patients)))
    patient, n_patients = _numbered(patients)
    if np.isnan(values).all() or n_patients == 0:
        return tuple(Interval.nothing() for _ in values)
    rng = np.random.default_rng(seed)
    share = np.full(n_patients, 1 / n_patients)
    # One draw at a time: all at once would be 800 MB for a hundred thousand patients.
    draws = (rng.multinomial(n_patients, share) for _ in range(rounds))
    figures = np.array([measure(draw[patient].astype(float)) for draw in draws]).reshape(-1, len(values))
    return tuple(_interval(float(value), column) for value, column in zip(values, figures.T, strict=True))


def paired_difference(
    ours: Measure, theirs: Measure, patients: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> tuple[Interval, ...]:
    """How much more one detector reaches than another on the same images, figure by figure.

    Both are judged on the same resamples, so that what makes an image hard for both cancels out. An interval
    without zero in it says that the difference is more than the chance of which patients were taken; it says
    nothing of the chance of training, which only a second seed shows.

    Args:
        ours: Gives ``K`` figures.
        theirs: Gives the same ``K`` figures of the other detector.
        patients: Length ``I``: the patient of each image.
        rounds: How many resamples.
        seed: Makes it repeatable.

    Returns:
        ``K`` differences, ours minus theirs. NaN where one of the two measures nothing.

    Source: Efron and Tibshirani, 1993, ch. 13.
    """
    return bootstrap_all(lambda weights: ours(weights) - theirs(weights), patients, rounds=rounds, seed=seed)


def _numbered(patients: Sequence[str]) -> tuple[IntArray, int]:
    _, patient = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    return patient, int(patient.max(initial=-1)) + 1


def _interval(value: float, figures: FloatArray) -> Interval:
    figures = figures[~np.isnan(figures)]
    if np.isnan(value) or not len(figures):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(figures, [2.5, 97.5])
    return Interval(value, float(low), float(high))
