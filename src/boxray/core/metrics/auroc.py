"""Area under the ROC curve of one finding."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray


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
