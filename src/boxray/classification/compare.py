"""Two classifiers on the same images: patients are resampled once for both and for all findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from boxray.classification.evaluate import Known, enough, order_measure
from boxray.classification.results import ORDER_FIGURES
from boxray.core.arrays import FloatArray
from boxray.core.assessed import MEAN
from boxray.core.metrics import Interval, Measure, bootstrap_all
from boxray.data.manifest import Manifest

COMPARED: Final = ("auroc_within", "auroc_pooled")
"""The figures that are compared, by their names in `ORDER_FIGURES`."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of two classifiers for one finding, or the mean over findings, and the paired difference."""

    finding: str
    figure: str
    """One of `COMPARED`."""
    images_with: int
    images_without: int
    ours: Interval
    theirs: Interval
    difference: Interval
    """Ours minus theirs."""

    def to_json(self) -> dict[str, Any]:
        return {
            "finding": self.finding,
            "figure": self.figure,
            "images_with": self.images_with,
            "images_without": self.images_without,
            "ours": self.ours.to_json(),
            "theirs": self.theirs.to_json(),
            "difference": self.difference.to_json(),
        }


def compare_auroc(
    manifest: Manifest,
    ours: FloatArray,
    theirs: FloatArray,
    findings: Sequence[str],
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> tuple[Compared, ...]:
    """Both classifiers' AUROC, within source and pooled, and the differences, on the same resamples of patients.

    Args:
        manifest: The images.
        ours: Scores of shape ``(N, F)``, of `boxray.classification.score.score_all`.
        theirs: The other classifier's.
        findings: Which both assess.
        with_assumed: Count images in which a finding is only assumed to be absent.
        rounds: Of the bootstrap.

    Returns:
        For each of `COMPARED` a row per finding, and last the mean over those with at least five images of either
        kind; a finding without an image of either kind has no figure.
    """
    known = Known.of(manifest, with_assumed=with_assumed)
    places = [manifest.label_space.index(finding) for finding in findings]
    wanted = [ORDER_FIGURES.index(figure) for figure in COMPARED]
    averaged = np.array([[enough(known, place, figure) for figure in COMPARED] for place in places])
    sides = [_side(known, scores, places, wanted, averaged) for scores in (ours, theirs)]

    def measure(weights: FloatArray) -> FloatArray:
        left, right = (side(weights) for side in sides)
        return np.concatenate([left, right, left - right])

    figures = bootstrap_all(measure, known.patients, rounds=rounds)
    n_figures, n_rows = len(COMPARED), len(findings) + 1
    rows = []
    for column, figure in enumerate(COMPARED):
        images = known.within if figure.endswith("within") else known.counted
        for row, name in enumerate((*findings, MEAN)):
            members = [place for place, part in zip(places, averaged[:, column], strict=True) if part]
            counted = images[:, members].any(axis=1) if name == MEAN else images[:, places[row]]
            there = (known.there & images)[:, members].any(axis=1) if name == MEAN else known.there[:, places[row]]
            n_with = int((there & counted).sum())
            three = figures[row * n_figures + column :: n_rows * n_figures]
            rows.append(Compared(name, figure, n_with, int(counted.sum()) - n_with, *three))
    return tuple(rows)


def _side(
    known: Known, scores: FloatArray, places: Sequence[int], wanted: Sequence[int], averaged: FloatArray
) -> Measure:
    """The figures of every finding and their mean, row by row, for weights of all images."""
    measures = [order_measure(known, scores, place) for place in places]

    def measure(weights: FloatArray) -> FloatArray:
        rows = np.array([one(weights)[list(wanted)] for one in measures])
        of = averaged.sum(axis=0)
        mean = np.divide(np.where(averaged, rows, 0.0).sum(axis=0), of, out=np.full(len(of), np.nan), where=of > 0)
        return np.append(rows.ravel(), mean)

    return measure
