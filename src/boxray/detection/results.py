"""What an evaluation says of a detector: figures with their intervals, and the counts behind each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxray.core.metrics import Curve, Interval


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
        return {"iou": self.iou, "accuracy": json_of(self.accuracy), "false_per_image": json_of(self.false_per_image)}


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
            "sensitivity": json_of(self.sensitivity),
            "false_per_image": json_of(self.false_per_image),
            "f1_at_40": json_of(self.f1_at_40),
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
            "low": number(self.low),
            "high": number(self.high),
            "detections": self.detections,
            "mean_score": number(self.mean_score),
            "hit": json_of(self.hit),
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
            "ece": json_of(self.ece),
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
            "ap50": json_of(self.ap50),
            "sensitivity": json_of(self.sensitivity),
            "false_per_image": json_of(self.false_per_image),
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
            "ap50": number(self.ap50.value),
            "low": number(self.ap50.low),
            "high": number(self.ap50.high),
            **self.counts.to_json(),
            "ap40": json_of(self.ap40),
            "ap50_95": json_of(self.ap50_95),
            "sensitivity_at_false_per_image": {f"{rate:g}": json_of(at) for rate, at in self.sensitivity_at.items()},
            "froc_mean": json_of(self.froc_mean),
            "localization": [at.to_json() for at in self.localization],
            "at_threshold": None if self.at_threshold is None else self.at_threshold.to_json(),
            "reliability": None if self.reliability is None else self.reliability.to_json(),
            "groups": [group.to_json() for group in self.groups],
        }


def number(value: float) -> float | None:
    """Four digits; None for NaN, which JSON does not know."""
    return None if np.isnan(value) else round(value, 4)


def json_of(interval: Interval) -> dict[str, float | None]:
    """An interval as value, low and high."""
    return {"value": number(interval.value), "low": number(interval.low), "high": number(interval.high)}
