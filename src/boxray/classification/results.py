"""What an evaluation says of a classifier: figures with their intervals, and the counts behind each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from boxray.core.metrics import CONFUSION_FIGURES, Curve, Interval
from boxray.core.plain import rounded


@dataclass(frozen=True, slots=True)
class Counts:
    """What a figure was measured on."""

    images_with: int
    """In which the finding is there, boxed or not."""
    images_without: int
    """In which it is absent."""
    patients: int

    def to_json(self) -> dict[str, Any]:
        """As the table names them."""
        return {"images_with": self.images_with, "images_without": self.images_without, "patients": self.patients}


@dataclass(frozen=True, slots=True)
class Order:
    """How well scores put images with the finding above those without."""

    auroc: Interval
    ap: Interval
    """Average precision. Chance reaches the share of positives."""
    counts: Counts
    sources: tuple[str, ...]
    """Of the images counted."""

    def to_json(self) -> dict[str, Any]:
        return {
            "auroc": self.auroc.to_json(),
            "ap": self.ap.to_json(),
            **self.counts.to_json(),
            "sources": list(self.sources),
        }


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What is said at the operating point that the card stores; of classes that exclude each other, by the best."""

    threshold: float | None
    """None where the class of the highest score is said."""
    confusion: tuple[int, int, int, int]
    """Images: neither said nor there, said and not there, not said and there, said and there."""
    figures: Mapping[str, Interval]
    """Accuracy, precision, recall, specificity and F1, by the names in `CONFUSION_FIGURES`. Where no image without the
    finding is counted there is recall alone, where none with it specificity."""

    def to_json(self) -> dict[str, Any]:
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        return {
            "threshold": self.threshold,
            **dict(zip(names, self.confusion, strict=True)),
            **{name: interval.to_json() for name, interval in self.figures.items()},
        }


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Images whose scores lie in ``[low, high)``; in the last bin a score of 1 too."""

    low: float
    high: float
    images: int
    mean_score: float
    share: Interval
    """Of them that have the finding: equal to `mean_score` where scores keep their word."""

    def to_json(self) -> dict[str, Any]:
        return {
            "low": rounded(self.low),
            "high": rounded(self.high),
            "images": self.images,
            "mean_score": rounded(self.mean_score),
            "share": self.share.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether scores are the probabilities that they are meant to be."""

    ece: Interval
    """Expected calibration error over ten bins of equal width."""
    brier: Interval
    bins: tuple[ScoreBin, ...]
    """Those with images."""

    def to_json(self) -> dict[str, Any]:
        return {
            "ece": self.ece.to_json(),
            "brier": self.brier.to_json(),
            "bins": [each.to_json() for each in self.bins],
        }


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One finding on the images of one group; without a figure where too few images are counted for it."""

    attribute: str
    """``source``, ``sex``, ``age`` or ``view``."""
    group: str
    counts: Counts
    within: Interval
    """AUROC within source."""
    pooled: Interval
    """AUROC over all sources; of one source the same."""
    recall: Interval
    specificity: Interval
    ece: Interval
    """Of `Calibration`, on these images alone: few images in a bin make it larger than it is."""
    excess: Interval
    """Mean score less the share of images with the finding."""

    def to_json(self) -> dict[str, Any]:
        return {
            "attribute": self.attribute,
            "group": self.group,
            **self.counts.to_json(),
            "auroc_within": self.within.to_json(),
            "auroc_pooled": self.pooled.to_json(),
            "recall": self.recall.to_json(),
            "specificity": self.specificity.to_json(),
            "ece": self.ece.to_json(),
            "excess": self.excess.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Curves:
    """To be drawn: of all images counted, and the ROC of each source that has both kinds."""

    roc: Curve
    roc_of: Mapping[str, Curve]
    sensitivity_at: tuple[tuple[float, Interval], ...]
    """Rate of false positives and sensitivity there."""
    precision_recall: Curve
    precision_at: tuple[tuple[float, Interval], ...]
    """Recall and precision there."""

    def to_json(self) -> dict[str, Any]:
        return {
            "roc": self.roc.to_json(),
            "roc_of_source": {source: curve.to_json() for source, curve in self.roc_of.items()},
            "sensitivity_at_false_positive_rate": {f"{at:g}": y.to_json() for at, y in self.sensitivity_at},
            "precision_recall": self.precision_recall.to_json(),
            "precision_at_recall": {f"{at:g}": y.to_json() for at, y in self.precision_at},
        }


@dataclass(frozen=True, slots=True)
class FindingResult:
    """How well one finding is told from its absence."""

    finding: str
    assessed: bool
    within: Order
    """On sources that have images with and without the finding, each compared with its own."""
    pooled: Order
    """On all images in which it is known."""
    at_threshold: AtThreshold | None
    """None where the card stores no threshold, or the finding is not assessed."""
    calibration: Calibration | None
    """None where the finding is not assessed, or unless there are images with and without it."""
    groups: tuple[GroupResult, ...]
    curves: Curves | None
    """None unless there are images with and without it."""

    def to_json(self) -> dict[str, Any]:
        """Numbers rounded to four digits; None where there is nothing to measure."""
        return {
            "finding": self.finding,
            "assessed": self.assessed,
            "within_source": self.within.to_json(),
            "pooled": self.pooled.to_json(),
            "at_threshold": None if self.at_threshold is None else self.at_threshold.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "groups": [group.to_json() for group in self.groups],
        }


@dataclass(frozen=True, slots=True)
class Mean:
    """A figure over findings, patients resampled once for all of them."""

    macro: Interval
    weighted: Interval
    """By the images with each finding."""
    findings: tuple[str, ...]
    """Over which."""

    def to_json(self) -> dict[str, Any]:
        return {"macro": self.macro.to_json(), "weighted": self.weighted.to_json(), "findings": list(self.findings)}


@dataclass(frozen=True, slots=True)
class ClassesResult:
    """Of classes that exclude each other: which was taken for which."""

    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows: what an image is; columns: the class of its highest score."""
    accuracy: Interval
    ece: Interval
    """Of the highest score: of images at 0.8, are 8 in 10 of the class that is said (Guo et al., 2017)?"""
    brier: Interval
    """Summed over classes (Brier, 1950), in [0, 2]."""
    bins: tuple[ScoreBin, ...]

    @property
    def images(self) -> int:
        """Counted: of one class, which is assessed."""
        return sum(map(sum, self.confusion))

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": list(self.classes),
            "images": self.images,
            "confusion": [list(row) for row in self.confusion],
            "accuracy": self.accuracy.to_json(),
            "ece": self.ece.to_json(),
            "brier": self.brier.to_json(),
            "bins": [each.to_json() for each in self.bins],
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """A classifier judged on some images: finding by finding and over all of them."""

    findings: tuple[FindingResult, ...]
    """All of the label space, in its order."""
    means: Mapping[str, Mean]
    """By the names in `MEAN_FIGURES`."""
    classes: ClassesResult | None
    """None where findings do not exclude each other."""

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": [result.to_json() for result in self.findings],
            "mean": {name: mean.to_json() for name, mean in self.means.items()},
            "classes": None if self.classes is None else self.classes.to_json(),
        }


ORDER_FIGURES = ("auroc_within", "ap_within", "auroc_pooled", "ap_pooled")
MEAN_FIGURES = (*ORDER_FIGURES, *CONFUSION_FIGURES)
"""What is averaged over findings."""


def score_bins(made: Sequence[int], mean_score: Sequence[float], shares: Sequence[Interval]) -> tuple[ScoreBin, ...]:
    """The bins of equal width over [0, 1] that hold an image."""
    edges = [place / len(made) for place in range(len(made) + 1)]
    return tuple(
        ScoreBin(low, high, n, mean, share)
        for (low, high), n, mean, share in zip(pairwise(edges), made, mean_score, shares, strict=True)
        if n
    )
