"""Rank correlation, as a measure that takes weights."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import FloatArray, IntArray
from boxray.core.metrics.interval import Measure


def spearman_measure(x: FloatArray, y: FloatArray) -> Measure:
    """Spearman's rank correlation of two figures of the same images, shape ``(1,)``.

    Equal values share the mean of their ranks. Ranks are made anew for every weight, so that a resample gives what
    a table with its images repeated would.

    Args:
        x: Shape ``(I,)``, finite.
        y: Shape ``(I,)``, finite.

    Returns:
        A measure in [-1, 1], of whole numbers as weights; NaN where all of one side are equal.

    Raises:
        ValueError: If the two are not of one length.

    Source: Spearman, 1904, American Journal of Psychology 15, 72-101.
    """
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"expected two figures per image, got shapes {x.shape} and {y.shape}")
    of_x, of_y = (np.unique(side, return_inverse=True)[1] for side in (x, y))

    def measure(weights: FloatArray) -> FloatArray:
        left, right = (_centred_ranks(codes, weights) for codes in (of_x, of_y))
        spread = float(weights @ left**2) * float(weights @ right**2)
        return np.array([(weights * left) @ right / np.sqrt(spread) if spread > 0 else np.nan])

    return measure


def _centred_ranks(codes: IntArray, weights: FloatArray) -> FloatArray:
    """Ranks less their mean, which is (n + 1) / 2 whatever is equal."""
    counts = np.bincount(codes, weights, minlength=1)
    ranks = np.cumsum(counts) - counts / 2
    return np.asarray(ranks[codes] - weights.sum() / 2)
