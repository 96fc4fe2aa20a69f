"""How well the lung fields fit the boxes that readers drew, and masks where there are any. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from boxray.classification.lungs.masks import drawn_lungs
from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.boxes import Box, box_iou
from boxray.core.errors import ModelError
from boxray.core.lungs import LungField
from boxray.core.metrics import Interval, bootstrap_all
from boxray.core.protocols import Classifier
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import CORNERS, Manifest

GOOD: Final = 0.75
"""IoU from which on a box counts as found."""


@dataclass(frozen=True, slots=True)
class LungScore:
    """One lung over the images in which a reader boxed it."""

    finding: str
    """Of the label space `lungs`."""
    images: int
    patients: int
    not_found: int
    """Images in which the lung was boxed and no field of it was drawn; their IoU is 0."""
    median_iou: Interval
    """Of the smallest box round the field with the reader's."""
    good_share: Interval
    """Share of the images with an IoU of at least `GOOD`."""

    def to_json(self) -> dict[str, Any]:
        """Numbers rounded to four digits; None where there is nothing to measure."""
        return {
            "finding": self.finding,
            "images": self.images,
            "patients": self.patients,
            "not_found": self.not_found,
            "median_iou": self.median_iou.to_json(),
            "good_share": self.good_share.to_json(),
        }


@dataclass(frozen=True, slots=True)
class MaskScore:
    """Both lungs together over the images in which somebody drew them."""

    images: int
    patients: int
    dice: Interval
    """Mean over the images."""
    iou: Interval

    def to_json(self) -> dict[str, Any]:
        """Numbers rounded to four digits; None where there is nothing to measure."""
        return {
            "images": self.images,
            "patients": self.patients,
            "dice": self.dice.to_json(),
            "iou": self.iou.to_json(),
        }


def evaluate_masks(
    classifier: Classifier,
    manifest: Manifest,
    masks: Path,
    *,
    rounds: int = 1000,
    progress: Callable[[], None] = lambda: None,
) -> MaskScore:
    """Drawn lungs against masks that somebody drew, with 95 % intervals by patient.

    Args:
        classifier: One that draws lung fields.
        manifest: Images without both masks have no part.
        masks: As `drawn_lungs` takes them.
        rounds: Of the bootstrap.
        progress: Called after each image.

    Raises:
        DataError: If there is no such download, or a mask is not what it should be.
        MissingExtra: If torchxrayvision is asked for and not installed.
        ModelError: If the classifier draws no lung fields.
    """
    both_of, patients, overlaps = drawn_lungs(masks), [], []
    for row in manifest.images.itertuples():
        both = both_of(row.image_id, row.copies)
        if both is not None:
            ours = _lungs(classifier, manifest.radiograph(row.picture))
            size_wh = ours.right.shape[::-1]
            right, left = (cv2.resize(mask, size_wh, interpolation=cv2.INTER_NEAREST) > 0 for mask in both)
            overlaps.append(dice_and_iou(ours, LungField(right, left)))
            patients.append(row.patient)
        progress()
    if not overlaps:
        return MaskScore(0, 0, Interval.nothing(), Interval.nothing())
    values = np.array(overlaps)
    dice, iou = bootstrap_all(lambda weights: weights @ values / weights.sum(), patients, rounds=rounds)
    return MaskScore(len(overlaps), len(set(patients)), dice, iou)


def evaluate_lungs(
    classifier: Classifier, manifest: Manifest, *, rounds: int = 1000, progress: Callable[[], None] = lambda: None
) -> list[LungScore]:
    """Boxes of the drawn lungs against the readers', with 95 % intervals by patient.

    Args:
        classifier: One that draws lung fields.
        manifest: In the label space `lungs`; images without the box of a lung have no part.
        rounds: Of the bootstrap.
        progress: Called after each image that has a part.

    Raises:
        ModelError: If the classifier draws no lung fields.
    """
    of_finding: dict[str, list[tuple[str, float | None]]] = {key: [] for key in ("right_lung", "left_lung")}
    pictures = manifest.images.set_index("image_id")
    for image_id, rows in manifest.boxes.groupby("image_id"):
        lungs = _lungs(classifier, manifest.radiograph(pictures.at[image_id, "picture"]))
        drawn = {"right_lung": lungs.right_box, "left_lung": lungs.left_box}
        for row in rows.itertuples():
            if row.finding in drawn:
                readers = Box(*(float(getattr(row, corner)) for corner in CORNERS))
                of_finding[row.finding].append((pictures.at[image_id, "patient"], _iou(drawn[row.finding], readers)))
        progress()
    return [_score(finding, cases, rounds) for finding, cases in of_finding.items()]


def dice_and_iou(ours: LungField, theirs: LungField) -> tuple[float, float]:
    """Overlap of two fields, both lungs together: Dice and IoU, in [0, 1]. Two empty ones give 1."""
    shared, ours_px, theirs_px = (int(mask.sum()) for mask in (ours.both & theirs.both, ours.both, theirs.both))
    if not ours_px + theirs_px:
        return 1.0, 1.0
    return 2 * shared / (ours_px + theirs_px), shared / (ours_px + theirs_px - shared)


def _lungs(classifier: Classifier, rad: Radiograph) -> LungField:
    lungs = classifier.classify(rad).lungs
    if lungs is None:
        raise ModelError(f"{classifier.identity.name} draws no lung fields; see `boxray classification lungs`")
    return lungs


def _iou(ours: Box | None, readers: Box) -> float | None:
    return None if ours is None else float(box_iou(np.array([ours.xyxy]), np.array([readers.xyxy]))[0, 0])


def _score(finding: str, cases: list[tuple[str, float | None]], rounds: int) -> LungScore:
    patients = [patient for patient, _ in cases]
    not_found = sum(iou is None for _, iou in cases)
    ious = np.array([iou or 0.0 for _, iou in cases])
    if not cases:
        return LungScore(finding, 0, 0, 0, Interval.nothing(), Interval.nothing())
    order = np.argsort(ious)

    def measure(weights: FloatArray) -> FloatArray:
        return np.array([_weighted_median(ious[order], weights[order]), _share(ious >= GOOD, weights)])

    median, good = bootstrap_all(measure, patients, rounds=rounds)
    return LungScore(finding, len(cases), len(set(patients)), not_found, median, good)


def _weighted_median(rising: FloatArray, weights: FloatArray) -> float:
    """The lowest value that at least half of the weight does not exceed; the mean of two where half is met exactly."""
    reached = np.cumsum(weights)
    half = reached[-1] / 2
    if half <= 0:
        return float("nan")
    low, high = np.searchsorted(reached, half, side="left"), np.searchsorted(reached, half, side="right")
    return float(rising[low] + rising[min(high, len(rising) - 1)]) / 2


def _share(hits: BoolArray, weights: FloatArray) -> float:
    return float((hits * weights).sum() / weights.sum()) if weights.sum() > 0 else float("nan")
