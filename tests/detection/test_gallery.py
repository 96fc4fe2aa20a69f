"""The worst errors: which they are, and how they are drawn."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.findings import Presence
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split
from boxray.detection.gallery import ErrorKind, fault_picture, worst_faults
from built import SQUARE_XYXY, box_row, build_tiny_set, image_row, manifest_of

PLACE = Box(*SQUARE_XYXY)
ELSEWHERE = Box(0, 0, 20, 20)
HALF_BESIDE = Box(60.0, 180.0, 120.0, 240.0)  # shares a third with the place
NOT_HEART = {"heart": (Presence.UNKNOWN.value, Rule.NONE.value)}


def a_set(*states: tuple[Presence, Rule], patients: list[str] | None = None) -> Manifest:
    images = [
        image_row(number, "test", {"fluid": (presence.value, rule.value)} | NOT_HEART)
        for number, (presence, rule) in enumerate(states)
    ]
    for row, patient in zip(images, patients or [], strict=False):
        row["patient"] = patient
    boxed = [number for number, (presence, _) in enumerate(states) if presence is Presence.BOXED]
    return manifest_of(Path(), images, [box_row(f"made:{number}", "fluid", SQUARE_XYXY) for number in boxed])


def fluid(score: float, box: Box = PLACE) -> Detection:
    return Detection("fluid", score, box)


def of_kind(manifest: Manifest, detections: list[tuple[Detection, ...]], kind: ErrorKind) -> list[tuple[str, float]]:
    faults = worst_faults(manifest, detections, "fluid", threshold=0.5)
    return [(fault.image_id, fault.score) for fault in faults if fault.kind is kind]


BOXED, ABSENT = (Presence.BOXED, Rule.BOX), (Presence.ABSENT, Rule.LABEL)


def test_false_boxes_come_by_falling_score_from_absent_images_and_from_beside_the_readers_box() -> None:
    manifest = a_set(BOXED, ABSENT, ABSENT)
    detections = [(fluid(0.9), fluid(0.7, ELSEWHERE)), (fluid(0.8),), (fluid(0.4),)]

    assert of_kind(manifest, detections, ErrorKind.FALSE_BOX) == [("made:1", 0.8), ("made:0", 0.7)]


def test_a_box_that_touches_the_readers_is_neither_false_nor_does_it_leave_a_miss() -> None:
    assert worst_faults(a_set(BOXED), [(fluid(0.9, HALF_BESIDE),)], "fluid", threshold=0.5) == []


def test_misses_come_by_what_touches_them() -> None:
    manifest = a_set(BOXED, BOXED, BOXED)
    detections = [(fluid(0.3),), (fluid(0.8),), (fluid(0.4, ELSEWHERE),)]

    assert of_kind(manifest, detections, ErrorKind.MISS) == [("made:2", 0.0), ("made:0", 0.3)]


@pytest.mark.parametrize(
    "state",
    [
        (Presence.UNKNOWN, Rule.NONE),  # nobody looked
        (Presence.PRESENT, Rule.LABEL),  # there, somewhere
        (Presence.ABSENT, Rule.ASSUMPTION),  # the card only assumes it
    ],
)
def test_where_nobody_looked_no_box_is_called_false(state: tuple[Presence, Rule]) -> None:
    assert worst_faults(a_set(state), [(fluid(0.99),)], "fluid", threshold=0.5) == []


def test_one_patient_has_one_place_in_the_gallery() -> None:
    manifest = a_set(ABSENT, ABSENT, ABSENT, patients=["p", "p", "q"])
    detections = [(fluid(0.7),), (fluid(0.9),), (fluid(0.6),)]

    assert of_kind(manifest, detections, ErrorKind.FALSE_BOX) == [("made:1", 0.9), ("made:2", 0.6)]


def test_the_film_stays_as_it_is_but_for_the_lines_and_the_readers_line_is_broken(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path).part(Split.TEST)
    detections: list[tuple[Detection, ...]] = [()] * len(manifest.images)
    (miss, *_) = worst_faults(manifest, detections, "fluid", threshold=0.5)

    picture = fault_picture(miss, manifest)

    x1, y1, x2, _ = map(int, SQUARE_XYXY)
    grey = np.round(manifest.radiograph(miss.picture).pixels * 255).astype(np.uint8)
    above = np.repeat(grey[: y1 - 5, :, None], 3, axis=2)  # nothing is drawn there
    least, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(picture, above, cv2.TM_SQDIFF))
    assert least == 0
    line = picture[top + y1 - 2, left + x1 : left + x2].mean(axis=1)  # one dark pixel lies between it and the box
    assert line.max() == 236
    assert 0.3 < (line == 236).mean() < 0.7  # broken, so that colour is not all that tells a reader's box
