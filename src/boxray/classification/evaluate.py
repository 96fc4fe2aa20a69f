"""Evaluate a classifier where something is known: figures per finding with intervals by patient.

An image counts for a finding if the finding is known to be there, boxed or not, or to be absent. Where it is unknown
the image is left out. An absence that a card only assumes is left out too, unless asked for.

How well images with a finding are put above those without is told twice. *Pooled*: all images that count. *Within
source*: only sources that have both, and an image is compared with those of its own source alone, so that telling
sources apart earns nothing (see `boxray.core.metrics.auroc_measure`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from boxray.classification.results import (
    MEAN_FIGURES,
    ORDER_FIGURES,
    AtThreshold,
    Calibration,
    ClassesResult,
    Counts,
    Curves,
    FindingResult,
    GroupResult,
    Judgement,
    Mean,
    Order,
    score_bins,
)
from boxray.classification.score import score_all
from boxray.classification.targets import targets_and_weights
from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.metrics import (
    CONFUSION_FIGURES,
    Interval,
    Measure,
    auroc_measure,
    binary_confusion_measure,
    bootstrap_all,
    brier_measure,
    calibration_measure,
    class_confusion_measure,
    confusion_figures,
    excess_measure,
    image_precision_curve,
    image_precision_measure,
    image_score_bins,
    macro_and_weighted,
    precision_at_measure,
    roc_curve,
    sensitivity_measure,
    thinned,
)
from boxray.core.metrics.reliability import BINS
from boxray.core.protocols import Scorer
from boxray.data.groups import groups
from boxray.data.manifest import Manifest

FEWEST_IMAGES: Final = 5
"""With and without a finding: fewer have counts and no figure in a group, and no part in a mean over findings."""

FALSE_RATES: Final = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Rates of false positives at which sensitivity has an interval."""

RECALLS: Final = (0.2, 0.4, 0.6, 0.8, 0.95)
"""At which precision has an interval."""

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of every image and finding, and which images count. All of shape ``(N, F)`` but the last two."""

    there: BoolArray
    counted: BoolArray
    """Known, and not by an assumption unless asked for."""
    within: BoolArray
    """Counted, and of a source that has images with and without the finding."""
    sources: tuple[str, ...]
    """Length ``N``."""
    patients: tuple[str, ...]
    """Length ``N``."""

    @classmethod
    def of(cls, manifest: Manifest, *, with_assumed: bool = False) -> Known:
        """Of a built set, or a part of it."""
        targets, weights = targets_and_weights(manifest, 1.0 if with_assumed else 0.0)
        there, counted = targets == 1, weights > 0
        sources = manifest.images["source"].astype(str).to_numpy()
        within = np.zeros_like(counted)
        for source in np.unique(sources):
            here = (sources == source)[:, None]
            both = (here & counted & there).any(axis=0) & (here & counted & ~there).any(axis=0)
            within |= here & counted & both
        return cls(there, counted, within, tuple(sources), tuple(manifest.images["patient"].astype(str)))

    def counts(self, finding: int, images: BoolArray) -> Counts:
        """Of one finding on some of the images, shape ``(N,)``."""
        n_with = int((images & self.there[:, finding]).sum())
        patients = {self.patients[place] for place in np.flatnonzero(images)}
        return Counts(n_with, int(images.sum()) - n_with, len(patients))


def evaluate(
    scorer: Scorer,
    manifest: Manifest,
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
    progress: Step = lambda: None,
) -> Judgement:
    """Score every image and judge every finding of the label space.

    Args:
        scorer: Whose label space is the manifest's. Where its findings exclude each other (`LabelSpace.exclusive`)
            the one of the highest score is said, and there is a table of classes.
        manifest: The images.
        with_assumed: Count images in which a finding is only assumed to be absent.
        rounds: Of the bootstrap.
        progress: Called after each image.

    Raises:
        ModelError: If the label spaces differ.
    """
    scores = score_all(scorer, manifest, progress)
    return judge(manifest, scores, scorer, with_assumed=with_assumed, rounds=rounds)


def judge(
    manifest: Manifest,
    scores: FloatArray,
    scorer: Scorer,
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
    progress: Step = lambda: None,
) -> Judgement:
    """All figures, from scores that are there.

    Args:
        manifest: The images.
        scores: Of `score_all`.
        scorer: Who made them: what it assesses, its stored thresholds, whether its findings exclude each other.
        with_assumed: Count images in which a finding is only assumed to be absent.
        rounds: Of the bootstrap.
        progress: Called after each finding.
    """
    known = Known.of(manifest, with_assumed=with_assumed)
    keys = manifest.label_space.keys
    thresholds = scorer.identity.thresholds
    exclusive = scorer.label_space.exclusive
    said = said_of(scores, keys, None if exclusive else thresholds)
    measured = _Measured.of(known, scores, said, rounds)
    results = []
    for index, finding in enumerate(keys):
        assessed = finding in scorer.assessed
        says = assessed and (exclusive or finding in thresholds)
        results.append(
            FindingResult(
                finding=finding,
                assessed=assessed,
                within=measured.order(index, "within"),
                pooled=measured.order(index, "pooled"),
                at_threshold=measured.at_threshold(index, thresholds.get(finding), exclusive) if says else None,
                calibration=measured.calibration(index) if assessed else None,
                groups=tuple(_groups(manifest, known, scores, said, index, rounds)) if assessed else (),
                curves=measured.curves(index),
            )
        )
        progress()
    classes = _classes(known, scores, keys, rounds) if exclusive else None
    return Judgement(tuple(results), measured.means(keys), classes)


def said_of(scores: FloatArray, keys: Sequence[str], thresholds: Mapping[str, float] | None) -> FloatArray:
    """Shape ``(N, F)``: 1 where a finding is said, 0 where not, NaN where nothing can be said.

    Args:
        scores: Shape ``(N, F)``; NaN for findings that are not assessed.
        keys: Of the label space.
        thresholds: A score of at least the finding's says it. None: findings exclude each other, and the one of the
            highest score is said; of equal ones the first.
    """
    unknown = np.isnan(scores)
    if thresholds is None:
        best = np.where(unknown, -np.inf, scores).argmax(axis=1)
        said = (np.arange(len(keys)) == best[:, None]).astype(np.float64)
    else:
        limits = np.array([thresholds.get(key, np.nan) for key in keys])
        said = np.where(np.isnan(limits), np.nan, (scores >= limits).astype(np.float64))
    return np.where(unknown, np.nan, said)


# All findings on the same resamples of patients

_SHARES = slice(len(MEAN_FIGURES) + 2, len(MEAN_FIGURES) + 2 + BINS)
_RATES = slice(_SHARES.stop, _SHARES.stop + len(FALSE_RATES))
_AT_RECALLS = slice(_RATES.stop, _RATES.stop + len(RECALLS))
_ECE, _BRIER = len(MEAN_FIGURES), len(MEAN_FIGURES) + 1


@dataclass(frozen=True, slots=True)
class _Measured:
    """Figures of every finding with their intervals, row by row: `MEAN_FIGURES`, ECE, Brier, bins, points of curves."""

    known: Known
    scores: FloatArray
    said: FloatArray
    rows: tuple[tuple[Interval, ...], ...]
    macro: tuple[Interval, ...]
    weighted: tuple[Interval, ...]
    averaged: BoolArray
    """Shape ``(F, M)``: which finding has a part in which mean."""

    @classmethod
    def of(cls, known: Known, scores: FloatArray, said: FloatArray, rounds: int) -> _Measured:
        n_findings, n_means = scores.shape[1], len(MEAN_FIGURES)
        measures = [_finding_measure(known, scores, said, index) for index in range(n_findings)]
        alone = np.array([measure(np.ones(len(scores)))[:n_means] for measure in measures])
        many = [[enough(known, index, figure) for figure in MEAN_FIGURES] for index in range(n_findings)]
        averaged = ~np.isnan(alone) & np.array(many)
        compared = [known.within if figure.endswith("_within") else known.counted for figure in MEAN_FIGURES]
        there = np.stack([known.there & images for images in compared], axis=2)  # (N, F, M)

        def measure(weights: FloatArray) -> FloatArray:
            rows = np.array([one(weights) for one in measures])
            means = _means(rows[:, :n_means], averaged, np.tensordot(weights, there, axes=1))
            return np.concatenate([rows.ravel(), *means])

        figures = bootstrap_all(measure, known.patients, rounds=rounds)
        ends = range(0, n_findings * _AT_RECALLS.stop, _AT_RECALLS.stop)
        rows = tuple(figures[start : start + _AT_RECALLS.stop] for start in ends)
        macro, weighted = figures[-2 * n_means : -n_means], figures[-n_means:]
        return cls(known, scores, said, rows, macro, weighted, averaged)

    def order(self, index: int, kind: str) -> Order:
        images = (self.known.within if kind == "within" else self.known.counted)[:, index]
        auroc, ap = (self.rows[index][ORDER_FIGURES.index(f"{name}_{kind}")] for name in ("auroc", "ap"))
        sources = sorted({self.known.sources[place] for place in np.flatnonzero(images)})
        return Order(auroc, ap, self.known.counts(index, images), tuple(sources))

    def at_threshold(self, index: int, threshold: float | None, exclusive: bool) -> AtThreshold:
        counted = self.known.counted[:, index]
        there, said = self.known.there[counted, index], self.said[counted, index] == 1
        cells = binary_confusion_measure(said, there)(np.ones(len(there))).astype(int).tolist()
        figures = self.rows[index][len(ORDER_FIGURES) : len(MEAN_FIGURES)]
        named = dict(zip(CONFUSION_FIGURES, figures, strict=True))
        return AtThreshold(None if exclusive else threshold, tuple(cells), named)

    def calibration(self, index: int) -> Calibration | None:
        counted = self.known.counted[:, index]
        if len(np.unique(self.known.there[counted, index])) < 2:
            return None  # of images that all have it, or all have not, a share says nothing
        row = self.rows[index]
        made, mean_score = image_score_bins(self.scores[counted, index])
        bins = score_bins(made.tolist(), mean_score.tolist(), row[_SHARES])
        return Calibration(row[_ECE], row[_BRIER], bins)

    def curves(self, index: int) -> Curves | None:
        counted, there = self.known.counted[:, index], self.known.there[:, index]
        scores = self.scores[:, index]
        if np.isnan(scores).any() or there[counted].all() or not there[counted].any():
            return None
        sources = np.array(self.known.sources)
        of_source = {
            source: thinned(*roc_curve(scores[images], there[images]))
            for source in sorted(set(sources[self.known.within[:, index]].tolist()))
            for images in (counted & (sources == source),)
        }
        row = self.rows[index]
        return Curves(
            roc=thinned(*roc_curve(scores[counted], there[counted])),
            roc_of=of_source,
            sensitivity_at=tuple(zip(FALSE_RATES, row[_RATES], strict=True)),
            precision_recall=thinned(*image_precision_curve(scores[counted], there[counted])),
            precision_at=tuple(zip(RECALLS, row[_AT_RECALLS], strict=True)),
        )

    def means(self, keys: Sequence[str]) -> dict[str, Mean]:
        return {
            name: Mean(
                self.macro[place],
                self.weighted[place],
                tuple(key for key, part in zip(keys, self.averaged[:, place], strict=True) if part),
            )
            for place, name in enumerate(MEAN_FIGURES)
        }


def enough(known: Known, index: int, figure: str) -> bool:
    """Whether a finding has images enough, with and without it, for a part in the mean of a figure."""
    images = (known.within if figure.endswith("within") else known.counted)[:, index]
    counts = known.counts(index, images)
    return min(counts.images_with, counts.images_without) >= FEWEST_IMAGES


def _means(rows: FloatArray, averaged: BoolArray, positives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Macro and weighted. A resample in which one of the averaged has no figure has no mean: the others are not it."""
    missing = (np.isnan(rows) & averaged).any(axis=0)
    macro, weighted = macro_and_weighted(np.where(averaged, rows, np.nan), positives)
    return np.where(missing, np.nan, macro), np.where(missing, np.nan, weighted)


def _finding_measure(known: Known, scores: FloatArray, said: FloatArray, index: int) -> Measure:
    """All figures of a row of `_Measured`, for weights of *all* images; NaN where the finding is not assessed."""
    if np.isnan(scores[:, index]).any() or not len(scores):
        return _nothing
    counted = known.counted[:, index]
    values, there = scores[counted, index], known.there[counted, index]
    order = order_measure(known, scores, index)
    says = bool((~np.isnan(said[:, index])).all())
    # Of images of one kind alone, these would only tell of which.
    both = bool(there.any()) and not there.all()
    needs_both = np.isin(CONFUSION_FIGURES, ("accuracy", "precision", "f1"))
    shown = np.where(needs_both & ~np.bool_(both), np.nan, 1.0) * (1.0 if says else np.nan)
    confusion = binary_confusion_measure(said[counted, index] == 1, there)
    others = (
        brier_measure(values, there),
        sensitivity_measure(values, there, FALSE_RATES),
        precision_at_measure(values, there, RECALLS),
    )
    calibration = calibration_measure(values, there)

    def measure(weights: FloatArray) -> FloatArray:
        here = weights[counted]
        figures = confusion_figures(confusion(here)) * shown
        ece, *shares = calibration(here)
        brier, *points = np.concatenate([other(here) for other in others])
        return np.concatenate([order(weights), figures, [ece, brier], shares, points])

    return measure


def _nothing(weights: FloatArray) -> FloatArray:  # noqa: ARG001 - a measure takes weights
    return np.full(_AT_RECALLS.stop, np.nan)


def order_measure(known: Known, scores: FloatArray, index: int) -> Measure:
    """AUROC and average precision of one finding, within source and pooled, for weights of all images.

    Shape ``(4,)``, in the order of `ORDER_FIGURES`.
    """
    parts: list[tuple[Measure, BoolArray]] = []
    for images, strata in ((known.within[:, index], known.sources), (known.counted[:, index], None)):
        values, there = scores[images, index], known.there[images, index]
        names = None if strata is None else [strata[place] for place in np.flatnonzero(images)]
        parts += [(make(values, there, names), images) for make in (auroc_measure, image_precision_measure)]
    return lambda weights: np.concatenate([measure(weights[images]) for measure, images in parts])


# Groups, and classes that exclude each other


def _groups(
    manifest: Manifest, known: Known, scores: FloatArray, said: FloatArray, index: int, rounds: int
) -> Iterator[GroupResult]:
    counted = known.counted[:, index]
    images = manifest.images[counted]
    if not len(images):
        return
    places = np.flatnonzero(counted)
    for attribute, group, members in groups(images):
        own = places[members]
        values, there = scores[own, index], known.there[own, index]
        mask = np.zeros(len(counted), dtype=bool)
        mask[own] = True
        counts = known.counts(index, mask)
        figures: Sequence[Interval] = [Interval.nothing()] * 6
        if min(counts.images_with, counts.images_without) >= FEWEST_IMAGES:
            sources, patients = ([names[place] for place in own] for names in (known.sources, known.patients))
            figures = bootstrap_all(_group_measure(values, there, said[own, index], sources), patients, rounds=rounds)
        yield GroupResult(attribute, group, counts, *figures)


def _group_measure(scores: FloatArray, there: BoolArray, said: FloatArray, sources: Sequence[str]) -> Measure:
    """AUROC within source and pooled, recall and specificity (NaN where nothing is said), ECE, excess of the scores."""
    within, pooled = auroc_measure(scores, there, sources), auroc_measure(scores, there)
    confusion = binary_confusion_measure(said == 1, there)
    wanted = [CONFUSION_FIGURES.index("recall"), CONFUSION_FIGURES.index("specificity")]
    says = np.nan if np.isnan(said).any() else 1.0
    calibration, excess = calibration_measure(scores, there), excess_measure(scores, there)
    return lambda weights: np.concatenate(
        [
            within(weights),
            pooled(weights),
            says * confusion_figures(confusion(weights))[wanted],
            calibration(weights)[:1],
            excess(weights),
        ]
    )


def _classes(known: Known, scores: FloatArray, keys: Sequence[str], rounds: int) -> ClassesResult:
    """Which class was taken for which, on images that are known to be of exactly one class, which is assessed."""
    assessed: BoolArray = np.asarray(~np.isnan(scores).any(axis=0))
    there = known.there & known.counted
    images = (there.sum(axis=1) == 1) & there[:, assessed].any(axis=1)
    names = tuple(key for key, ok in zip(keys, assessed, strict=True) if ok)
    values, truth = scores[images][:, assessed], there[images][:, assessed]
    classes: IntArray = truth.argmax(axis=1) if truth.size else np.empty(0, dtype=np.intp)
    said: IntArray = values.argmax(axis=1) if values.size else np.empty(0, dtype=np.intp)
    best = values.max(axis=1, initial=0.0)
    table = class_confusion_measure(said, classes, len(names))
    calibration = calibration_measure(best, said == classes)
    squared = ((values - truth) ** 2).sum(axis=1)

    def measure(weights: FloatArray) -> FloatArray:
        total = weights.sum()
        right = float(weights @ (said == classes))
        figures = np.array([right, float(weights @ squared)]) / total if total > 0 else np.full(2, np.nan)
        return np.concatenate([figures, calibration(weights)])

    patients = [known.patients[place] for place in np.flatnonzero(images)]
    accuracy, brier, ece, *shares = bootstrap_all(measure, patients, rounds=rounds)
    made, mean_score = image_score_bins(best)
    counts = table(np.ones(len(classes))).astype(int).reshape(len(names), len(names))
    return ClassesResult(
        classes=names,
        confusion=tuple(tuple(row) for row in counts.tolist()),
        accuracy=accuracy,
        ece=ece,
        brier=brier,
        bins=score_bins(made.tolist(), mean_score.tolist(), shares),
    )
