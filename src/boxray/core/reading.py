"""A reading: all that is said about one radiograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from boxray.core.arrays import FloatArray
from boxray.core.boxes import Box
from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.lungs import LungField

DISCLAIMER: Final = "Research use only. Not a medical device."
SCHEMA: Final = "boxray.reading/1"


@dataclass(frozen=True, slots=True)
class Detection:
    """The detector's box, in the radiograph's frame."""

    finding: str
    score: float
    """In [0, 1]. Of a calibrated finding: the probability that the box hits a reader's at IoU 0.5; of others comparable
    within one finding of one detector only."""
    box: Box

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:  # NaN fails too
            raise ValueError(f"a score lies in [0, 1], got {self.score} for {self.finding!r}")


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyMap:
    """Where the classifier's score for one finding came from, on the radiograph's own grid.

    Neither a segmentation nor a probability: Grad-CAM's rectified, weighted activations (Selvaraju et
    al., 2017, eq. 2). Values stay raw, so that a weak map still looks weak; only drawing scales them.
    Two are equal only if they are one and the same.
    """

    finding: str
    values: FloatArray
    """Shape ``(H, W)`` of the radiograph, >= 0, no upper bound. All zeros: nothing spoke for the
    finding, which does not mean that it is absent."""


class Case(StrEnum):
    """Which of the two models speaks for a finding."""

    BOTH = "both"
    BOX_ONLY = "box_only"
    MAP_ONLY = "map_only"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Boxes against the map, for one finding. The three measures are None unless `case` is BOTH."""

    finding: str
    case: Case
    pointing_hit: bool | None = None
    """The map's highest point lies in a box (Zhang et al., 2018, the pointing game)."""
    iou: float | None = None
    """Union of the boxes against the region where the map reaches half its maximum, in [0, 1]."""
    energy_inside: float | None = None
    """Share of the map's sum that lies in the boxes, in [0, 1] (Wang et al., 2020)."""
    energy_in_lungs: float | None = None
    """Share of the map's sum that lies in the lungs, in [0, 1], whatever the case; None where both are not known."""


@dataclass(frozen=True, slots=True)
class Chest:
    """What the lung fields of a radiograph give, in its frame."""

    right_lung: Box | None
    """The smallest box round the patient's right lung; None where it was not found."""
    left_lung: Box | None
    cardiothoracic_ratio: float | None = None
    """Width of the heart over width of the chest (Danzer, 1919), above 0."""
    reason: str | None = None
    """Why there is no ratio; None where there is one."""

    def __post_init__(self) -> None:
        if (self.cardiothoracic_ratio is None) == (self.reason is None):
            raise ValueError(
                f"a chest has a ratio or the reason why not, got {self.cardiothoracic_ratio} and {self.reason!r}"
            )


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights spoke, and at which thresholds."""

    name: str
    version: str
    sha256: str
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is said about one radiograph. `maps` and `lungs` are pixels and stay out of the JSON form.

    Raises:
        ValueError: If it is a result without a size or with a code, or no result and yet says something of a
            finding, or not why: a refusal must not be readable as "nothing found".
    """

    file: str
    """As the caller named it."""
    status: Outcome
    code: str | None = None
    reason: str | None = None
    size_wh: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    detections: tuple[Detection, ...] = ()
    min_score: float | None = None
    """The score from which on boxes were asked for; None: each from its stored threshold on."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Classifier's score per finding, in [0, 1]; findings it was not trained for are not in it."""
    not_assessed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per model, the findings it was never trained to answer. *Not assessed* is never *absent*."""
    agreement: tuple[Agreement, ...] = ()
    models: Mapping[str, ModelIdentity] = field(default_factory=dict)
    maps: tuple[SaliencyMap, ...] = ()
    lungs: LungField | None = None
    """None where the classifier draws none."""
    chest: Chest | None = None
    """What they give; None without them."""

    def __post_init__(self) -> None:
        if self.status is Outcome.RESULT:
            if self.size_wh is None or self.code is not None or self.reason is not None:
                raise ValueError(f"a result has a size and no code or reason, got {self.size_wh}, {self.code}")
        elif not (self.code and self.reason) or any(
            (self.detections, self.scores, self.agreement, self.maps, self.lungs, self.chest)
        ):
            raise ValueError(f"a reading that is {self.status} has a code and a reason, and states nothing else")

    @classmethod
    def not_answered(cls, file: str, error: InputError | ModelError) -> Reading:
        """A refused or failed reading: a code and a reason, and no statement about any finding."""
        return cls(file, error.code.outcome, code=error.code.name, reason=error.reason)

    def box_threshold(self, finding: str) -> float | None:
        """Which score a box of the finding had to reach to be among the detections; None where none is stored."""
        if self.min_score is not None or "detector" not in self.models:
            return self.min_score
        return self.models["detector"].thresholds.get(finding)

    def states(self, label_space: LabelSpace) -> dict[str, str]:
        """What the detector says of each finding: ``boxed``, ``no box`` or ``not assessed``.

        A reading that gives no result says ``not assessed`` of all.
        """
        boxed = {detection.finding for detection in self.detections}
        silent = self.not_assessed.get("detector", label_space.keys)
        return {
            key: "boxed" if key in boxed else "not assessed" if key in silent else "no box" for key in label_space.keys
        }

    def to_json(self) -> dict[str, Any]:
        """The published form, one line a radiograph; `reading.schema.json` beside this file describes it."""
        # Models hand over numpy's numbers, which json does not write.
        width, height = map(int, self.size_wh) if self.size_wh else (None, None)
        return {
            "schema": SCHEMA,
            "file": self.file,
            "status": self.status.value,
            "code": self.code,
            "reason": self.reason,
            "width": width,
            "height": height,
            "notes": list(self.notes),
            "detections": [
                {
                    "id": f"d{number}",
                    "finding": detection.finding,
                    "score": round(float(detection.score), 4),
                    "box_xyxy": _corners(detection.box),
                }
                for number, detection in enumerate(self.detections, start=1)
            ],
            "scores": {finding: round(float(score), 4) for finding, score in self.scores.items()},
            "not_assessed": {model: list(findings) for model, findings in self.not_assessed.items()},
            "agreement": [_agreement_json(agreement) for agreement in self.agreement],
            "models": {
                role: {
                    "name": model.name,
                    "version": model.version,
                    "sha256": model.sha256,
                    "thresholds": {finding: float(score) for finding, score in model.thresholds.items()},
                }
                for role, model in self.models.items()
            },
            "disclaimer": DISCLAIMER,
            **({} if self.chest is None else {"chest": _chest_json(self.chest)}),
            **({} if self.min_score is None else {"min_score": float(self.min_score)}),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _corners(box: Box | None) -> list[float] | None:
    return None if box is None else [round(float(value), 1) for value in box.xyxy]


def _chest_json(chest: Chest) -> dict[str, Any]:
    return {
        "right_lung_xyxy": _corners(chest.right_lung),
        "left_lung_xyxy": _corners(chest.left_lung),
        "cardiothoracic_ratio": _rounded(chest.cardiothoracic_ratio),
        "reason": chest.reason,
    }


def _agreement_json(agreement: Agreement) -> dict[str, Any]:
    in_lungs = agreement.energy_in_lungs
    return {
        "finding": agreement.finding,
        "case": agreement.case.value,
        "pointing_hit": None if agreement.pointing_hit is None else bool(agreement.pointing_hit),
        "iou": _rounded(agreement.iou),
        "energy_inside": _rounded(agreement.energy_inside),
    } | ({} if in_lungs is None else {"energy_in_lungs": _rounded(in_lungs)})
