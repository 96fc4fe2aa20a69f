"""All that an evaluation says, together: what the page shows and what `results.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from boxray.core.metrics import Interval
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.detection.compare import mean_ap50
from boxray.detection.evaluate import FEWEST_BOXES, Detections
from boxray.detection.results import FindingResult
from boxray.detection.shift import FalseAlarms, SourceTold, false_alarms
from boxray.page.judged import JudgedOn

SCHEMA: Final = "boxray.detection.evaluation/1"


@dataclass(frozen=True, slots=True)
class ReaderCeiling:
    """How far readers of the same films agree on a finding, over all splits: F1 over boxes at IoU 0.4."""

    n_images: int
    n_boxes: int
    f1: Interval

    def to_json(self) -> dict[str, Any]:
        return {"images": self.n_images, "boxes": self.n_boxes, "f1_at_40": self.f1.to_json()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A detector judged on one split of one built set."""

    model: ModelIdentity
    on: JudgedOn
    results: tuple[FindingResult, ...]
    mean: Interval
    """Of AP50 over `averaged`."""
    averaged: tuple[str, ...]
    """Findings that are assessed and have at least five boxes."""
    alarms: tuple[FalseAlarms, ...]
    told: SourceTold | None
    told_note: str
    """Why `told` is not there; empty where it is."""
    readers: Mapping[str, ReaderCeiling]

    def to_json(self) -> dict[str, Any]:
        """Plain data; `detection/README.md` says what the keys mean."""
        return self.on.to_json(SCHEMA, self.model) | {
            "mean_ap50": {"findings": list(self.averaged), **self.mean.to_json()},
            "findings": [
                result.to_json()
                | {
                    "precision_recall": result.precision_recall.to_json(),
                    "froc": result.froc.to_json(),
                    "readers": self.readers[result.finding].to_json() if result.finding in self.readers else None,
                }
                for result in self.results
            ],
            "false_boxes_where_absent": [alarm.to_json() for alarm in self.alarms],
            "source_from_features": self.told.to_json() if self.told else {"not_computed": self.told_note},
        }


def whole_evaluation(
    manifest: Manifest,
    detections: Detections,
    results: list[FindingResult],
    model: ModelIdentity,
    on: JudgedOn,
    *,
    told: SourceTold | None,
    told_note: str = "",
) -> Evaluation:
    """What is measured beyond the figures per finding, put beside them.

    Args:
        manifest: The images of the split.
        detections: Per image of the manifest.
        results: Of `evaluate` or `judge`.
        model: Which weights spoke.
        on: These images, and by which rules `results` were made.
        told: Of `tell_sources`, where it was asked for.
        told_note: Why not, where it is None.
    """
    averaged = tuple(result.finding for result in results if result.assessed and result.counts.boxes >= FEWEST_BOXES)
    mean = Interval.nothing()
    if averaged:
        mean = mean_ap50(manifest, detections, averaged, with_assumed=on.with_assumed, rounds=on.rounds)
    assessed = {result.finding for result in results if result.assessed}
    thresholds = {finding: at for finding, at in model.thresholds.items() if finding in assessed}
    return Evaluation(
        model=model,
        on=on,
        results=tuple(results),
        mean=mean,
        averaged=averaged,
        alarms=tuple(false_alarms(manifest, detections, thresholds, rounds=on.rounds)),
        told=told,
        told_note=told_note,
        readers=reader_ceilings(manifest),
    )


def reader_ceilings(manifest: Manifest) -> dict[str, ReaderCeiling]:
    """Finding -> how far readers agree, as the audit of the build says; findings of one reader are not in it.

    It is a ceiling of a kind: a detector judged by one reader's boxes is not to be expected to agree with that
    reader more than a second reader does.
    """
    return {
        finding: ReaderCeiling(
            int(row["images"]), int(row["boxes"]), Interval(row["f1"], row["f1_low"], row["f1_high"])
        )
        for finding, row in manifest.audit().get("readers", {}).items()
    }
