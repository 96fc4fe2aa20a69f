"""Does the detector know the finding, or the collection that the picture came from?

Each finding is boxed in few sources, so that a detector that tells the sources apart has half of the answer. Two
questions show it: how often it boxes a finding on images of *other* sources in which the finding is absent, and how
well a plain classifier tells the source from the detector's own features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.findings import Presence
from boxray.core.metrics import Interval, bootstrap, bootstrap_all
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.evaluate import Detections

FEWEST_PATIENTS = 10
"""A source with fewer is not told from the others: five folds would have one or two of them each."""

FOLDS = 5
RIDGE = 0.1
"""Penalty per image, on features of variance 1."""


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Boxes of one finding, at its operating point, on the images of one source in which it is absent."""

    finding: str
    source: str
    assumed: bool
    """Whether the card only assumes the absence; else somebody looked, or the card gives a reason."""
    boxed_here: bool
    """Whether the finding is boxed in other images of this source, so that the detector has learned it here."""
    n_images: int
    n_patients: int
    n_false: int
    per_image: Interval
    share_of_images: Interval
    """Of images with at least one such box."""

    @property
    def at_most_if_none(self) -> float:
        """Where no box was made: the share of patients that could still get one, at 95 % confidence.

        A bootstrap of nothing but zeros would say exactly 0. Source: Hanley and Lippman-Hand, 1983, JAMA 249,
        1743-1745 (rule of three).
        """
        return min(3 / self.n_patients, 1.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "finding": self.finding,
            "source": self.source,
            "absence": "assumed" if self.assumed else "known",
            "boxed_in_this_source": self.boxed_here,
            "images": self.n_images,
            "patients": self.n_patients,
            "false_boxes": self.n_false,
            "false_per_image": self.per_image.to_json(),
            "share_of_images": self.share_of_images.to_json(),
            "share_at_most_if_none": None if self.n_false else round(self.at_most_if_none, 4),
        }


def false_alarms(
    manifest: Manifest, detections: Detections, thresholds: Mapping[str, float], *, rounds: int = 1000
) -> list[FalseAlarms]:
    """Where each finding is absent: how many boxes it gets, source by source, known and assumed absences apart.

    Args:
        manifest: The images.
        detections: Per image of the manifest.
        thresholds: Finding -> operating point; other findings are left out.
        rounds: Of the bootstrap.

    Returns:
        One entry per finding, source and kind of absence that has an image.
    """
    source = manifest.images["source"].astype(str).to_numpy()
    alarms = []
    for finding, threshold in thresholds.items():
        made = np.array([sum(_reported(det, finding, threshold) for det in dets) for dets in detections], dtype=float)
        presence = manifest.presence(finding)
        assumed = (manifest.images[f"rule_{finding}"] == Rule.ASSUMPTION.value).to_numpy()
        home = set(source[presence == Presence.BOXED])
        for name in np.unique(source).tolist():
            for by_assumption in (False, True):
                asked = (source == name) & (presence == Presence.ABSENT) & (assumed == by_assumption)
                if asked.any():
                    where = finding, name, by_assumption, name in home
                    alarms.append(_alarms(manifest, made, asked, where, rounds))
    return alarms


def _reported(det: Any, finding: str, threshold: float) -> bool:
    return bool(det.finding == finding and det.score >= threshold)


def _alarms(
    manifest: Manifest, made: FloatArray, asked: BoolArray, where: tuple[str, str, bool, bool], rounds: int
) -> FalseAlarms:
    boxes = made[asked]
    patients = manifest.images["patient"][asked].tolist()
    both = np.stack([boxes, boxes > 0])
    per_image, share = bootstrap_all(lambda weights: both @ weights / weights.sum(), patients, rounds=rounds)
    return FalseAlarms(*where, len(boxes), len(set(patients)), int(boxes.sum()), per_image, share)


@dataclass(frozen=True, slots=True)
class SourceTold:
    """How well the source is told from the detector's features."""

    sources: tuple[str, ...]
    n_images: int
    n_patients: int
    n_features: int
    balanced_accuracy: Interval
    """Mean over the sources of the share of their images that are told rightly."""
    chance: float
    """What guessing reaches: one over the number of sources."""
    confusion: IntArray
    """Shape ``(S, S)``: images by their source (rows) and by the one they were taken for (columns)."""

    def to_json(self) -> dict[str, Any]:
        return {
            "sources": list(self.sources),
            "images": self.n_images,
            "patients": self.n_patients,
            "features": self.n_features,
            "balanced_accuracy": self.balanced_accuracy.to_json(),
            "chance": self.chance,
            "confusion": self.confusion.tolist(),
        }


def tell_sources(
    features: FloatArray, sources: Sequence[str], patients: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> SourceTold | None:
    """Tell the source from features by a ridge classifier, on patients that it was not fitted to.

    One linear score per source, fitted to 1 and -1 by least squares with a penalty, every source of equal weight;
    the highest score wins. Five folds by patient. It is a lower bound: what a plain linear rule finds is there, what
    it misses may be there too.

    Args:
        features: Shape ``(I, C)``.
        sources: Of each image.
        patients: Of each image.
        rounds: Of the bootstrap, which resamples the patients of the answers and fits nothing anew.
        seed: Of the folds and of the bootstrap.

    Returns:
        None unless two sources have ten patients each.

    Source of the classifier: Hastie et al., 2009, The Elements of Statistical Learning, sections 3.4.1 and 4.2.
    """
    source, patient = np.asarray(sources, dtype=str), np.asarray(patients, dtype=str)
    names = [name for name in np.unique(source).tolist() if len(set(patient[source == name])) >= FEWEST_PATIENTS]
    if len(names) < 2:
        return None
    kept = np.isin(source, names)
    features, patient = features[kept].astype(np.float64), patient[kept]
    truth = np.searchsorted(names, source[kept])
    told = np.empty(len(truth), dtype=np.intp)
    fold = _folds(truth, patient, np.random.default_rng(seed))
    for number in range(FOLDS):
        out = fold == number
        if out.any():
            told[out] = _ridge(features[~out], truth[~out], features[out], len(names))
    right = np.stack([(truth == place) & (told == place) for place in range(len(names))]).astype(float)
    there = np.stack([truth == place for place in range(len(names))]).astype(float)

    def balanced_accuracy(weights: FloatArray) -> float:
        of = there @ weights
        return float((right @ weights / of).mean()) if (of > 0).all() else float("nan")

    confusion = np.zeros((len(names), len(names)), dtype=np.intp)
    np.add.at(confusion, (truth, told), 1)
    interval = bootstrap(balanced_accuracy, patient.tolist(), rounds=rounds, seed=seed)
    return SourceTold(
        tuple(names), len(truth), len(set(patient)), features.shape[1], interval, 1 / len(names), confusion
    )


def _folds(truth: IntArray, patient: np.ndarray[Any, Any], rng: np.random.Generator) -> IntArray:
    """Shape ``(I,)``: a patient is in one fold, and every source is spread over all folds."""
    first = {name: int(place) for place, name in reversed(list(enumerate(patient.tolist())))}
    shuffled = rng.permutation(sorted(first))
    dealt = sorted(shuffled.tolist(), key=lambda name: int(truth[first[name]]))
    fold_of = {name: place % FOLDS for place, name in enumerate(dealt)}
    return np.array([fold_of[name] for name in patient.tolist()], dtype=np.intp)


def _ridge(known: FloatArray, truth: IntArray, asked: FloatArray, n_sources: int) -> IntArray:
    centre, spread = known.mean(axis=0), known.std(axis=0) + 1e-12
    known, asked = (known - centre) / spread, (asked - centre) / spread
    known, asked = (np.hstack([part, np.ones((len(part), 1))]) for part in (known, asked))
    weight = len(truth) / (n_sources * np.bincount(truth, minlength=n_sources).clip(1))[truth]
    targets = 2.0 * np.eye(n_sources)[truth] - 1
    penalty = RIDGE * len(truth) * np.eye(known.shape[1])
    penalty[-1, -1] = 0  # the constant is free
    weighted = known * weight[:, None]
    coefficients = np.linalg.solve(weighted.T @ known + penalty, weighted.T @ targets)
    return np.asarray((asked @ coefficients).argmax(axis=1))
