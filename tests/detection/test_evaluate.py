import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from boxray.core.boxes import Box
from boxray.core.errors import ModelError
from boxray.core.findings import Presence
from boxray.core.metrics import average_precision
from boxray.core.protocols import FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split
from boxray.detection.evaluate import evaluate, match_finding
from built import SQUARE_XYXY, TWO, box_row, build_tiny_set, image_row, manifest_of
from making import label_space

HIT = Detection("fluid", 0.9, Box(*SQUARE_XYXY))
BOXED = (Presence.BOXED.value, Rule.BOX.value)
NOT_HEART = {"heart": (Presence.UNKNOWN.value, Rule.NONE.value)}


def one_boxed_and_one(presence: Presence, rule: Rule) -> Manifest:
    images = [
        image_row(0, "test", {"fluid": BOXED} | NOT_HEART),
        image_row(1, "test", {"fluid": (presence.value, rule.value)} | NOT_HEART),
    ]
    return manifest_of(Path(), images, [box_row("made:0", "fluid", SQUARE_XYXY)])


def ap_with_a_detection_on_both(manifest: Manifest, *, with_assumed: bool = False) -> float:
    false_alarm = Detection("fluid", 0.95, Box(*SQUARE_XYXY))
    matches, _ = match_finding(manifest, [(HIT,), (false_alarm,)], "fluid", with_assumed=with_assumed)
    return average_precision(matches)


def test_a_detection_where_the_finding_is_absent_is_a_false_alarm() -> None:
    assert ap_with_a_detection_on_both(one_boxed_and_one(Presence.ABSENT, Rule.LABEL)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("presence", "rule"), [(Presence.UNKNOWN, Rule.NONE), (Presence.PRESENT, Rule.LABEL)], ids=["unknown", "present"]
)
def test_a_detection_where_nobody_drew_boxes_is_neither_right_nor_wrong(presence: Presence, rule: Rule) -> None:
    assert ap_with_a_detection_on_both(one_boxed_and_one(presence, rule)) == 1.0


def test_an_assumed_absence_counts_only_when_asked_for() -> None:
    manifest = one_boxed_and_one(Presence.ABSENT, Rule.ASSUMPTION)

    assert ap_with_a_detection_on_both(manifest) == 1.0
    assert ap_with_a_detection_on_both(manifest, with_assumed=True) == pytest.approx(0.5)


def test_a_detection_of_another_finding_hits_nothing() -> None:
    manifest = one_boxed_and_one(Presence.ABSENT, Rule.LABEL)
    other = Detection("heart", 0.9, Box(*SQUARE_XYXY))

    matches, _ = match_finding(manifest, [(other,), ()], "fluid")

    assert len(matches.scores) == 0
    assert average_precision(matches) == 0.0


@dataclass(frozen=True)
class SeesTheSquare(FixedDetector):
    """Finds the bright square where there is one."""

    def detect(self, rad: Radiograph, min_score: float | None = None) -> tuple[Detection, ...]:
        return (HIT,) if rad.pixels[180, 90] > 0.9 else ()


def test_a_detector_that_is_right_everywhere_has_ap_one_and_counts_what_it_was_judged_on(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path).part(Split.TEST)

    fluid, heart = evaluate(SeesTheSquare(TWO, assessed=("fluid",)), manifest, rounds=50)

    assert (fluid.ap50.value, fluid.ap50.low, fluid.ap50.high) == (1.0, 1.0, 1.0)
    assert (fluid.n_boxes, fluid.n_images_with, fluid.n_images_without, fluid.n_patients) == (3, 3, 3, 6)
    assert not heart.assessed
    assert math.isnan(heart.ap50.value)
    assert heart.to_json()["ap50"] is None


def test_a_detector_that_is_silent_has_ap_zero(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path).part(Split.TEST)

    fluid, _ = evaluate(FixedDetector(TWO, assessed=("fluid",)), manifest, rounds=50)

    assert fluid.ap50.value == 0.0


def test_a_detector_of_another_label_space_is_not_judged(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path)

    with pytest.raises(ModelError, match="missing"):
        evaluate(FixedDetector(label_space("fluid", "lung")), manifest)
