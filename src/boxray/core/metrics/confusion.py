"""What is said against what is there: counts, and accuracy, precision, recall, specificity and F1 out of them."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.metrics.interval import Measure

CONFUSION_FIGURES = ("accuracy", "precision", "recall", "specificity", "f1")
"""In the order in which `confusion_figures` gives them."""


def binary_confusion_measure(said: BoolArray, there: BoolArray) -> Measure:
    """How often a finding is (not said and not there, said and not there, not said and there, said and there).

    Args:
        said: Shape ``(I,)``: its score reaches the threshold.
        there: Shape ``(I,)``; leave out what is unknown before.

    Returns:
        A measure of shape ``(4,)``, in scikit-learn's order: true negatives, false positives, false negatives, true
        positives.
    """
    cells = np.zeros((4, len(there)))
    cells[2 * there.astype(np.intp) + said, np.arange(len(there))] = 1.0
    return lambda weights: np.asarray(cells @ weights)


def class_confusion_measure(said: IntArray, classes: IntArray, n_classes: int) -> Measure:
    """How often an image of class ``i`` is said to be of class ``j``, row by row, shape ``(K * K,)``.

    Args:
        said: Shape ``(I,)``, in ``0 … K - 1``.
        classes: Shape ``(I,)``: what each image is.
        n_classes: K.
    """
    cell = classes * n_classes + said
    return lambda weights: np.bincount(cell, weights, n_classes**2).astype(np.float64)


def one_against_rest(confusion: FloatArray) -> FloatArray:
    """A table of shape ``(K, K)``, rows what is there, as K tables of one class against all others, shape ``(K, 4)``.

    The four as in `binary_confusion_measure`.
    """
    hit = np.diagonal(confusion)
    missed, false = confusion.sum(axis=1) - hit, confusion.sum(axis=0) - hit
    return np.stack([confusion.sum() - hit - missed - false, false, missed, hit], axis=1)


def confusion_figures(confusion: FloatArray) -> FloatArray:
    """Accuracy, precision, recall (sensitivity), specificity and F1 of counts of shape ``(…, 4)``, shape ``(…, 5)``.

    Each is a share, and NaN where it is a share of nothing: precision where nothing is said, recall where nothing is
    there, F1 = 2 TP / (2 TP + FP + FN) where neither. scikit-learn does so with ``zero_division=np.nan``; by default
    it gives 0 and warns, torchmetrics gives 0.
    """
    true_not, false, missed, hit = np.moveaxis(np.asarray(confusion, dtype=np.float64), -1, 0)
    above = np.stack([hit + true_not, hit, hit, true_not, 2 * hit], axis=-1)
    below = np.stack(
        [true_not + false + missed + hit, hit + false, hit + missed, true_not + false, 2 * hit + false + missed],
        axis=-1,
    )
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def macro_and_weighted(figures: FloatArray, positives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means over classes, every one counting the same (macro), and by its positives (weighted).

    Args:
        figures: Shape ``(K, M)``; NaN where a class has no figure: it has no part in that mean.
        positives: Shape ``(K,)``, as often as they count; ``(K, M)`` where each figure counts others.

    Returns:
        Shape ``(M,)`` each; NaN where no class has a figure, or, weighted, no positive.

    scikit-learn does so with ``zero_division=np.nan``; torchmetrics leaves a class out of the macro only where it is
    neither said nor there, and else counts 0 for what is undefined.
    """
    known = ~np.isnan(figures)
    values = np.where(known, figures, 0.0)

    def mean(weights: FloatArray) -> FloatArray:
        total = (weights * known).sum(axis=0)
        return np.asarray(
            np.divide((weights * values).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)
        )

    return mean(np.ones((len(figures), 1))), mean(np.asarray(positives, dtype=np.float64).reshape(len(figures), -1))
