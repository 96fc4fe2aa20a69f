"""All that an evaluation says, together: what the page shows and what `results.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from boxray.core.findings import LabelSpace
from boxray.core.metrics import Interval
from boxray.core.reading import DISCLAIMER, ModelIdentity
from boxray.data.manifest import Manifest
from boxray.detection.compare import mean_ap50
from boxray.detection.evaluate import FEWEST_BOXES, Detections
from boxray.detection.results import FindingResult
from boxray.detection.shift import FalseAlarms, SourceTold, false_alarms

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
    label_space: LabelSpace
    fingerprint: str
    """Of the whole built set."""
    split: str
    sources: Mapping[str, int]
    """Source -> images in the split."""
    n_patients: int
    with_assumed: bool
    rounds: int
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
        return {
            "schema": SCHEMA,
            "disclaimer": DISCLAIMER,
            "model": {"name": self.model.name, "version": self.model.version, "sha256": self.model.sha256},
            "data": {
                "fingerprint": self.fingerprint,
                "split": self.split,
                "images": sum(self.sources.values()),
                "patients": self.n_patients,
                "sources": dict(self.sources),
            },
            "assumed_absences_count": self.with_assumed,
            "bootstrap_rounds": self.rounds,
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
    *,
    fingerprint: str,
    split: str,
    with_assumed: bool,
    told: SourceTold | None,
    told_note: str = "",
    rounds: int = 1000,
) -> Evaluation:
    """What is measured beyond the figures per finding, put beside them.

    Args:
        manifest: The images of the split.
        detections: Per image of the manifest.
        results: Of `evaluate` or `judge`.
        model: Which weights spoke.
        fingerprint: Of the whole built set.
        split: Its name.
        with_assumed: As for `results`.
        told: Of `tell_sources`, where it was asked for.
        told_note: Why not, where it is None.
        rounds: Of the bootstrap.
    """
    averaged = tuple(result.finding for result in results if result.assessed and result.counts.boxes >= FEWEST_BOXES)
    mean = Interval.nothing()
    if averaged:
        mean = mean_ap50(manifest, detections, averaged, with_assumed=with_assumed, rounds=rounds)
    assessed = {result.finding for result in results if result.assessed}
    thresholds = {finding: at for finding, at in model.thresholds.items() if finding in assessed}
    return Evaluation(
        model=model,
        label_space=manifest.label_space,
        fingerprint=fingerprint,
        split=split,
        sources={str(name): int(n) for name, n in manifest.images["source"].astype(str).value_counts().items()},
        n_patients=manifest.images["patient"].nunique(),
        with_assumed=with_assumed,
        rounds=rounds,
        results=tuple(results),
        mean=mean,
        averaged=averaged,
        alarms=tuple(false_alarms(manifest, detections, thresholds, rounds=rounds)),
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
