"""What an evaluation says of a detector: figures with their intervals, and the counts behind each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxray.core.metrics import Curve, Interval
from boxray.core.plain import rounded


@dataclass(frozen=True, slots=True)
class Counts:
    """What a figure was measured on."""

    images_with: int
    """In which the finding is boxed."""
    images_without: int
    """In which it is absent."""
    boxes: int
    patients: int

    def to_json(self) -> dict[str, Any]:
        """As the table names them."""
        return {
            "boxes": self.boxes,
            "images_with": self.images_with,
            "images_without": self.images_without,
            "patients": self.patients,
        }


@dataclass(frozen=True, slots=True)
class LocalizedAt:
    """Localization at one overlap, on the images in which the finding is boxed (Wang et al., 2017)."""

    iou: float
    accuracy: Interval
    false_per_image: Interval

    def to_json(self) -> dict[str, Any]:
        return {"iou": self.iou, "accuracy": self.accuracy.to_json(), "false_per_image": self.false_per_image.to_json()}


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What the detector does at the operating point that its card stores."""

    threshold: float
    sensitivity: Interval
    """Share of readers' boxes hit at IoU 0.5."""
    false_per_image: Interval
    """On all images that take part, with and without the finding."""
    f1_at_40: Interval
    """F1 against the readers' boxes at IoU 0.4: the measure of readers between themselves."""

    def to_json(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "sensitivity": self.sensitivity.to_json(),
            "false_per_image": self.false_per_image.to_json(),
            "f1_at_40": self.f1_at_40.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Detections whose scores lie in ``[low, high)``; in the last bin a score of 1 too."""

    low: float
    high: float
    detections: int
    mean_score: float
    hit: Interval
    """Share of them that hit a reader's box at IoU 0.5: equal to `mean_score` where scores keep their word."""

    def to_json(self) -> dict[str, Any]:
        return {
            "low": rounded(self.low),
            "high": rounded(self.high),
            "detections": self.detections,
            "mean_score": rounded(self.mean_score),
            "hit": self.hit.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether the scores of a finding are the probabilities that they are meant to be."""

    lowest: float
    """Scores below are left out."""
    detections: int
    hits: int
    ece: Interval
    """Expected calibration error (Küppers et al., 2020); NaN without detections."""
    bins: tuple[ScoreBin, ...]
    """Those with detections."""

    def to_json(self) -> dict[str, Any]:
        return {
            "from_score": self.lowest,
            "detections": self.detections,
            "hits": self.hits,
            "ece": self.ece.to_json(),
            "bins": [each.to_json() for each in self.bins],
        }


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One finding on the images of one group; without figures where the boxes are too few."""

    attribute: str
    """``source``, ``sex``, ``age`` or ``view``."""
    group: str
    counts: Counts
    ap50: Interval
    sensitivity: Interval
    false_per_image: Interval

    def to_json(self) -> dict[str, Any]:
        return {
            "attribute": self.attribute,
            "group": self.group,
            **self.counts.to_json(),
            "ap50": self.ap50.to_json(),
            "sensitivity": self.sensitivity.to_json(),
            "false_per_image": self.false_per_image.to_json(),
        }


@dataclass(frozen=True, slots=True)
class FindingResult:
    """How well one finding is found."""

    finding: str
    assessed: bool
    counts: Counts
    ap50: Interval
    ap40: Interval
    ap50_95: Interval
    sensitivity_at: Mapping[float, Interval]
    """False positives per image -> sensitivity at IoU 0.5; empty where nothing is measured."""
    froc_mean: Interval
    """Mean of `sensitivity_at`."""
    localization: tuple[LocalizedAt, ...]
    at_threshold: AtThreshold | None
    """None where the card stores no threshold."""
    reliability: Reliability | None
    """None where the finding is not assessed."""
    groups: tuple[GroupResult, ...]
    precision_recall: Curve
    froc: Curve

    def to_json(self) -> dict[str, Any]:
        """Numbers rounded to four digits; None where there is nothing to measure."""
        return {
            "finding": self.finding,
            "assessed": self.assessed,
            "ap50": rounded(self.ap50.value),
            "low": rounded(self.ap50.low),
            "high": rounded(self.ap50.high),
            **self.counts.to_json(),
            "ap40": self.ap40.to_json(),
            "ap50_95": self.ap50_95.to_json(),
            "sensitivity_at_false_per_image": {f"{rate:g}": at.to_json() for rate, at in self.sensitivity_at.items()},
            "froc_mean": self.froc_mean.to_json(),
            "localization": [at.to_json() for at in self.localization],
            "at_threshold": None if self.at_threshold is None else self.at_threshold.to_json(),
            "reliability": None if self.reliability is None else self.reliability.to_json(),
            "groups": [group.to_json() for group in self.groups],
        }
