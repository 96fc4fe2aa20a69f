"""The worst errors of a detector as pictures: false boxes of the highest score, and readers' boxes left unfound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.boxes import Box, as_xyxy, box_area, box_iou
from boxray.core.findings import LabelSpace, Presence
from boxray.core.reading import DISCLAIMER, Detection
from boxray.data.groups import first_of_each
from boxray.data.manifest import Manifest
from boxray.data.presence import absence_words
from boxray.detection.evaluate import Detections, scored_images
from boxray.imaging.draw import PAPER, QUIET, WARNING, Mark, Panel, compose, film_of, marks_picture, on_film, words_px

TOUCHES_IOU = 0.1
"""A detection that overlaps a reader's box by less lies somewhere else; by more, it is a matter of extent."""

MOST_EACH = 6
"""Errors of each kind per finding; of one patient only the worst."""

SHOWN_SIDE_PX = 768


class ErrorKind(StrEnum):
    """What went wrong."""

    FALSE_BOX = "false box"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in one image."""

    kind: ErrorKind
    finding: str
    image_id: str
    source: str
    picture: str
    score: float
    """Of the false box; for a miss that of the best detection that touches the reader's box, 0 where none does."""
    why: str
    """In words, for the caption."""
    box: Box
    """The false box, or the reader's box that was missed."""
    share: float
    """Of the picture that `box` covers."""
    found: tuple[Detection, ...]
    """All of the finding in the image that reach the operating point."""
    drawn: tuple[Box, ...]
    """All of the readers' boxes of the finding in the image."""


def worst_faults(
    manifest: Manifest, detections: Detections, finding: str, threshold: float, most: int = MOST_EACH
) -> list[Fault]:
    """The worst false boxes, then the worst misses, each kind by falling badness.

    A false box reaches the threshold and lies on an image where the finding is absent (an absence that is only
    assumed is left out), or touches no reader's box where it is boxed; the higher its score, the worse. A miss is
    a reader's box that no detection at the threshold touches; the lower the score of what touches it, the worse,
    and of equal ones the box that covers more of its picture.

    Args:
        manifest: The images.
        detections: Per image of the manifest.
        finding: Of the label space.
        threshold: Its operating point.
        most: Of each kind.
    """
    false: list[Fault] = []
    missed: list[Fault] = []
    for index in np.flatnonzero(scored_images(manifest, finding)).tolist():
        found = tuple(det for det in detections[index] if det.finding == finding)
        for fault in _faults_of_image(manifest, index, finding, found, threshold):
            (false if fault.kind is ErrorKind.FALSE_BOX else missed).append(fault)
    false.sort(key=lambda fault: -fault.score)
    missed.sort(key=lambda fault: (fault.score, -fault.share))
    patient = dict(zip(manifest.images["image_id"], manifest.images["patient"], strict=True))

    def owner(fault: Fault) -> str:
        return str(patient[fault.image_id])

    return [*first_of_each(false, owner, most), *first_of_each(missed, owner, most)]


def _faults_of_image(
    manifest: Manifest, index: int, finding: str, found: tuple[Detection, ...], threshold: float
) -> Iterator[Fault]:
    row = manifest.images.iloc[index]
    rows = manifest.boxes[(manifest.boxes["image_id"] == row["image_id"]) & (manifest.boxes["finding"] == finding)]
    drawn = tuple(Box(*map(float, corners)) for corners in rows[["x1", "y1", "x2", "y2"]].to_numpy())
    reported = tuple(det for det in found if det.score >= threshold)
    overlaps = box_iou(as_xyxy([det.box for det in found]), as_xyxy(drawn))

    def share(box: Box) -> float:
        return float(box_area(as_xyxy([box]))[0]) / float(row["width"] * row["height"])

    where = row["image_id"], str(row["source"]), row["picture"]
    absent = row[f"presence_{finding}"] == Presence.ABSENT.value
    why = f"absent ({absence_words(str(row[f'rule_{finding}']))})" if absent else "touches no reader's box"
    for det, near in zip(found, overlaps.max(axis=1, initial=0), strict=True):
        if det.score >= threshold and near < TOUCHES_IOU:
            yield Fault(ErrorKind.FALSE_BOX, finding, *where, det.score, why, det.box, share(det.box), reported, drawn)
    scores = np.array([det.score for det in found])
    for place, box in enumerate(drawn):
        best = _best_touching(scores, overlaps[:, place])
        if best < threshold:
            why = f"best touching box has score {best:.3f}" if best else "no box touches it at any score"
            yield Fault(ErrorKind.MISS, finding, *where, best, why, box, share(box), reported, drawn)


def _best_touching(scores: FloatArray, overlaps: FloatArray) -> float:
    return float(scores[overlaps >= TOUCHES_IOU].max(initial=0.0))


def fault_picture(fault: Fault, manifest: Manifest) -> ByteArray:
    """The film with the detector's boxes in full lines and the readers' in broken ones, each named in the margin.

    Returns:
        RGB, uint8, shape ``(H, W, 3)``; the disclaimer stands on it.
    """
    rad = manifest.radiograph(fault.picture)
    film = film_of(rad.pixels, SHOWN_SIDE_PX)
    width, height = rad.size_wh
    marks = [*_found_marks(fault, manifest.label_space), *_drawn_marks(fault)]
    margin = words_px(film, [word for mark in marks for word in mark.words])
    finding = manifest.label_space[fault.finding].display
    panel = Panel(
        f"{finding}: {fault.kind.value}",
        (fault.why, f"{fault.image_id}, {width} x {height} px"),
        marks_picture(film, marks, margin),
        margin,
    )
    legend = "Full line: detector, at its operating point. Broken line: reader."
    return compose([panel], [(legend, QUIET), (DISCLAIMER, WARNING)])


def _found_marks(fault: Fault, label_space: LabelSpace) -> list[Mark]:
    colour = on_film(label_space[fault.finding].colour)
    overlaps = box_iou(as_xyxy([det.box for det in fault.found]), as_xyxy(fault.drawn)).max(axis=1, initial=0)
    return [
        Mark(det.box, colour, ("Detector", f"{det.score:.2f}" + (", false" if near < TOUCHES_IOU else "")), det.score)
        for det, near in zip(fault.found, overlaps, strict=True)
    ]


def _drawn_marks(fault: Fault) -> list[Mark]:
    missed = fault.kind is ErrorKind.MISS
    return [
        Mark(box, PAPER, ("Reader", "missed" if missed and box == fault.box else ""), 2.0, dashed=True)
        for box in fault.drawn
    ]
