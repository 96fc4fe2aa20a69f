"""From logits to probabilities and thresholds, on the validation part."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray


def platt(logits: FloatArray, there: BoolArray, rounds: int = 50) -> tuple[float, float]:
    """Slope and offset so that ``sigmoid(slope * logit + offset)`` is a probability.

    Args:
        logits: Shape ``(N,)``.
        there: Shape ``(N,)``; both positives and negatives must be among them.
        rounds: Newton steps at most.

    Returns:
        Slope and offset; the slope is kept above 0, so that the order of images never turns.

    Source: Platt, 1999, with the smoothed targets of its section 2.2; Newton's method.
    """
    n_there, n_not = int(there.sum()), int((~there).sum())
    targets = np.where(there, (n_there + 1) / (n_there + 2), 1 / (n_not + 2))
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    beta = np.array([1.0, 0.0])
    for _ in range(rounds):
        guess = 1 / (1 + np.exp(-(design @ beta)))
        gradient = design.T @ (guess - targets)
        curvature = (design * (guess * (1 - guess))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        beta -= step.clip(-2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return max(float(beta[0]), 1e-3), float(beta[1])


def youden_threshold(scores: FloatArray, there: BoolArray) -> float:
    """The score from which on sensitivity plus specificity is largest (Youden, 1950).

    Half-way between the scores on either side of the cut; NaN unless both classes are there.
    """
    if there.all() or not there.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum(there[order]) / there.sum() - np.cumsum(~there[order]) / (~there).sum()
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    cut = int(np.where(last_of_tie, gain, -np.inf).argmax())
    here = scores[order][cut]
    below = scores[order][cut + 1] if cut + 1 < len(order) else here
    return float((here + below) / 2)
