"""Evaluate a detector where somebody looked: AP50 per finding with an interval by patient.

An image counts for a finding if the finding is boxed in it or absent from it. Where it is unknown, or there
without a box, a detection is neither right nor wrong and the image is left out. An absence that a card only
assumes is left out too, unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray
from boxray.core.boxes import as_xyxy
from boxray.core.findings import Presence
from boxray.core.metrics import Interval, Matches, average_precision, bootstrap, match_image
from boxray.core.protocols import Detector
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.detect import LOWEST_SCORE

IOU_LIMIT = 0.5


@dataclass(frozen=True, slots=True)
class FindingResult:
    """How well one finding is found."""

    finding: str
    assessed: bool
    ap50: Interval
    n_boxes: int
    n_images_with: int
    n_images_without: int
    n_patients: int

    def to_json(self) -> dict[str, Any]:
        """Numbers rounded to four digits; None where there is nothing to measure."""

        def number(value: float) -> float | None:
            return None if np.isnan(value) else round(value, 4)

        return {
            "finding": self.finding,
            "assessed": self.assessed,
            "ap50": number(self.ap50.value),
            "low": number(self.ap50.low),
            "high": number(self.ap50.high),
            "boxes": self.n_boxes,
            "images_with": self.n_images_with,
            "images_without": self.n_images_without,
            "patients": self.n_patients,
        }


def detect_all(
    detector: Detector, manifest: Manifest, progress: Callable[[], None] = lambda: None
) -> Iterator[tuple[Detection, ...]]:
    """Every detection down to a score of 0.001, image by image in the manifest's order."""
    for picture in manifest.images["picture"]:
        rad = manifest.radiograph(picture)
        yield detector.detect(rad, LOWEST_SCORE)
        progress()


def scored_images(manifest: Manifest, finding: str, *, with_assumed: bool = False) -> BoolArray:
    """Shape ``(N,)``: the images that count for a finding."""
    presence = manifest.presence(finding)
    known: BoolArray = (presence == Presence.BOXED) | (presence == Presence.ABSENT)
    assumed = (manifest.images[f"rule_{finding}"] == Rule.ASSUMPTION.value).to_numpy()
    return known if with_assumed else known & ~assumed


def match_finding(
    manifest: Manifest, detections: list[tuple[Detection, ...]], finding: str, *, with_assumed: bool = False
) -> tuple[Matches, pd.DataFrame]:
    """Hits and misses of one finding, and the images they are counted on.

    Args:
        manifest: The images, in the order of `detections`.
        detections: Per image, in the frame of the picture.
        finding: Of the manifest's label space.
        with_assumed: Count images in which the finding is only assumed to be absent.
    """
    counted = scored_images(manifest, finding, with_assumed=with_assumed)
    truth_of = manifest.boxes_of(finding)
    none = np.empty((0, 4))
    scores, hits, image, n_boxes = [], [], [], []
    for place, index in enumerate(np.flatnonzero(counted)):
        found = [det for det in detections[index] if det.finding == finding]
        truth = truth_of.get(manifest.images["image_id"].iloc[index], none)
        score = np.array([det.score for det in found], dtype=np.float64)
        scores.append(score)
        hits.append(match_image(as_xyxy([det.box for det in found]), score, truth, IOU_LIMIT))
        image.append(np.full(len(found), place))
        n_boxes.append(len(truth))
    matches = Matches(
        np.concatenate([np.empty(0), *scores]),
        np.concatenate([np.empty(0, dtype=bool), *hits]),
        np.concatenate([np.empty(0, dtype=np.intp), *image]),
        np.array(n_boxes, dtype=np.intp),
    )
    return matches, manifest.images[counted]


def evaluate(
    detector: Detector,
    manifest: Manifest,
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
    progress: Callable[[], None] = lambda: None,
) -> list[FindingResult]:
    """AP50 of every finding of the label space.

    Raises:
        ModelError: If the detector's label space is not the manifest's.
    """
    detector.label_space.require_same(manifest.label_space)
    detections = list(detect_all(detector, manifest, progress))
    results = []
    for finding in manifest.label_space.keys:
        matches, images = match_finding(manifest, detections, finding, with_assumed=with_assumed)
        results.append(_result(finding, finding in detector.assessed, matches, images, rounds))
    return results


def _result(finding: str, assessed: bool, matches: Matches, images: pd.DataFrame, rounds: int) -> FindingResult:
    n_with = int((matches.n_boxes > 0).sum())
    nothing = Interval(float("nan"), float("nan"), float("nan"))

    def ap50(weights: Any) -> float:
        return average_precision(matches, weights)

    return FindingResult(
        finding,
        assessed,
        bootstrap(ap50, images["patient"].tolist(), rounds=rounds) if assessed else nothing,
        int(matches.n_boxes.sum()),
        n_with,
        len(matches.n_boxes) - n_with,
        images["patient"].nunique(),
    )
