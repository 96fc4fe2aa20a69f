"""Evaluate a classifier where something is known: AUROC per finding with an interval by patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxray.classification.targets import targets_and_weights
from boxray.core.arrays import FloatArray
from boxray.core.metrics import Interval, auroc, bootstrap
from boxray.core.protocols import Classifier
from boxray.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class FindingScore:
    """How well one finding is told from its absence."""

    finding: str
    assessed: bool
    auroc: Interval
    n_with: int
    n_without: int
    n_patients: int

    def to_json(self) -> dict[str, Any]:
        """Numbers rounded to four digits; None where there is nothing to measure."""

        def number(value: float) -> float | None:
            return None if np.isnan(value) else round(value, 4)

        return {
            "finding": self.finding,
            "assessed": self.assessed,
            "auroc": number(self.auroc.value),
            "low": number(self.auroc.low),
            "high": number(self.auroc.high),
            "images_with": self.n_with,
            "images_without": self.n_without,
            "patients": self.n_patients,
        }


def score_all(classifier: Classifier, manifest: Manifest, progress: Callable[[], None] = lambda: None) -> FloatArray:
    """Shape ``(N, F)``: scores in the manifest's order; NaN for findings it does not assess."""
    scores = np.full((len(manifest.images), len(manifest.label_space)), np.nan)
    for row, picture in enumerate(manifest.images["picture"]):
        answer = classifier.classify(manifest.radiograph(picture))
        for finding, score in answer.scores.items():
            scores[row, manifest.label_space.index(finding)] = score
        progress()
    return scores


def evaluate(
    classifier: Classifier,
    manifest: Manifest,
    *,
    with_assumed: bool = False,
    same_source: bool = True,
    rounds: int = 1000,
    progress: Callable[[], None] = lambda: None,
) -> list[FindingScore]:
    """AUROC of every finding of the label space.

    Args:
        classifier: Whose label space is the manifest's.
        manifest: The images.
        with_assumed: Count images in which the finding is only assumed to be absent.
        same_source: Count only images of sources that hold positives, so that telling the sources
            apart earns nothing. A source without known negatives then leaves nothing to measure.
        rounds: Of the bootstrap.
        progress: Called after each image.

    Raises:
        ModelError: If the label spaces differ.
    """
    classifier.label_space.require_same(manifest.label_space)
    scores = score_all(classifier, manifest, progress)
    targets, weights = targets_and_weights(manifest, 1.0 if with_assumed else 0.0)
    sources = manifest.images["source"].to_numpy()
    patients = manifest.images["patient"].to_numpy()
    results = []
    for index, finding in enumerate(manifest.label_space.keys):
        there = targets[:, index] == 1
        counted = weights[:, index] > 0
        if same_source:
            counted &= np.isin(sources, np.unique(sources[counted & there]))
        assessed = finding in classifier.assessed
        results.append(
            FindingScore(
                finding,
                assessed,
                _auroc(scores[counted, index], there[counted], patients[counted], rounds, assessed=assessed),
                int((there & counted).sum()),
                int((~there & counted).sum()),
                len(np.unique(patients[counted])),
            )
        )
    return results


def _auroc(scores: FloatArray, there: Any, patients: Any, rounds: int, *, assessed: bool) -> Interval:
    if not assessed:
        return Interval(float("nan"), float("nan"), float("nan"))
    return bootstrap(lambda weights: auroc(scores, there, weights), patients.tolist(), rounds=rounds)
