"""From probabilities to thresholds, on the validation part; probabilities are made in `boxray.core.calibration`."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray


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
