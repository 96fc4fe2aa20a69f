import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from boxray.core.arrays import FloatArray
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
from boxray.detection.detect import LOWEST_SCORE, YoloDetector
from boxray.detection.evaluate import detect_all, evaluate, judge, match_finding
from boxray.detection.results import Counts, FindingResult
from boxray.weights import load_card
from built import SQUARE_XYXY, TWO, box_row, build_tiny_set, image_row, manifest_of
from making import label_space
from tiny_detector import tiny_weights

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
    assert fluid.counts == Counts(images_with=3, images_without=3, boxes=3, patients=6)
    assert not heart.assessed
    assert math.isnan(heart.ap50.value)
    assert heart.to_json()["ap50"] is None


def test_a_detector_that_is_silent_has_ap_zero(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path).part(Split.TEST)

    fluid, _ = evaluate(FixedDetector(TWO, assessed=("fluid",)), manifest, rounds=50)

    assert fluid.ap50.value == 0.0


def test_many_at_once_find_in_order_what_each_image_gives_alone(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path / "set")
    alone, many = (YoloDetector.load(tiny_weights(tmp_path / "weights"), many=many) for many in (False, True))

    found = list(detect_all(many, manifest))

    assert found == [alone.detect(manifest.radiograph(picture), LOWEST_SCORE) for picture in manifest.images["picture"]]
    assert len(set(found)) == len(manifest.images), "equal answers would have no order to keep"


@dataclass(frozen=True)
class TwoAtOnce:
    """A session that answers only when two threads ask at the same time."""

    both: Barrier = field(default_factory=lambda: Barrier(2, timeout=60))
    lanes = 2

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        self.both.wait()
        return {"output": np.zeros((1, 6, 4), dtype=np.float32)}


def test_several_images_are_in_work_at_once_and_only_a_few_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = build_tiny_set(tmp_path / "set")
    card, _ = load_card(tiny_weights(tmp_path / "weights"), check=".onnx")
    decoded: list[str] = []
    radiograph = Manifest.radiograph
    monkeypatch.setattr(Manifest, "radiograph", lambda self, name: decoded.append(name) or radiograph(self, name))
    told: list[int] = []

    found = detect_all(YoloDetector(card, TwoAtOnce(), TWO), manifest, lambda: told.append(len(decoded)))

    assert next(found) == ()
    assert len(decoded) <= 4
    assert list(found) == [()] * 17
    assert len(decoded) == len(told) == 18  # decoded once each, and each was told


def test_a_detector_of_another_label_space_is_not_judged(tmp_path: Path) -> None:
    manifest = build_tiny_set(tmp_path)

    with pytest.raises(ModelError, match="missing"):
        evaluate(FixedDetector(label_space("fluid", "lung")), manifest)


def a_set_with_every_state() -> Manifest:
    """Six boxed images, two absent, two unknown, two present without a box; a patient each."""
    states = [(Presence.BOXED, Rule.BOX)] * 6 + [(Presence.ABSENT, Rule.LABEL)] * 2
    states += [(Presence.UNKNOWN, Rule.NONE)] * 2 + [(Presence.PRESENT, Rule.LABEL)] * 2
    images = [
        image_row(number, "test", {"fluid": (presence.value, rule.value)} | NOT_HEART)
        for number, (presence, rule) in enumerate(states)
    ]
    return manifest_of(Path(), images, [box_row(f"made:{number}", "fluid", SQUARE_XYXY) for number in range(6)])


def judged(manifest: Manifest, detections: list[tuple[Detection, ...]], threshold: float | None = 0.5) -> FindingResult:
    return judge(manifest, detections, "fluid", assessed=True, threshold=threshold, rounds=40)


def test_what_is_found_on_unknown_images_changes_no_figure_at_all() -> None:
    """The rule of LVIS: an image takes part only for findings that somebody verified in it."""
    manifest = a_set_with_every_state()
    known: list[tuple[Detection, ...]] = [(HIT,)] * 5 + [()] + [(HIT,), ()]
    loud = Detection("fluid", 0.99, Box(0, 0, 9, 9))

    silent = judged(manifest, [*known, (), (), (), ()])
    noisy = judged(manifest, [*known, (HIT, loud), (loud,), (loud, HIT), (HIT,)])

    assert noisy.to_json() == silent.to_json()
    assert noisy.froc == silent.froc
    assert silent.ap50.value < 1  # and the figures are not all at their end, where nothing could change them


def test_every_figure_of_a_finding_is_measured_on_the_same_images() -> None:
    result = judged(a_set_with_every_state(), [(HIT,)] * 3 + [()] * 3 + [(HIT,), ()] + [()] * 4)

    assert result.counts == Counts(images_with=6, images_without=2, boxes=6, patients=8)
    assert result.sensitivity_at[1 / 8].value == pytest.approx(3 / 6)  # one false box on eight images
    assert result.sensitivity_at[8.0].value == pytest.approx(3 / 6)
    assert result.at_threshold is not None
    assert result.at_threshold.sensitivity.value == pytest.approx(3 / 6)
    assert result.at_threshold.false_per_image.value == pytest.approx(1 / 8)  # one box, on all eight images
    assert [at.accuracy.value for at in result.localization] == pytest.approx([3 / 6] * 7)
    assert [at.false_per_image.value for at in result.localization] == [0.0] * 7  # asked on boxed images alone


def test_each_figure_has_its_own_overlap() -> None:
    """All boxes are met with an IoU between 0.4 and 0.5: a hit for AP40 and for the readers' F1, for nothing else."""
    x1, y1, x2, y2 = SQUARE_XYXY
    nearly = Detection("fluid", 0.9, Box(x1, y1, x1 + 0.45 * (x2 - x1), y2))

    result = judged(a_set_with_every_state(), [(nearly,)] * 6 + [()] * 6)

    assert (result.ap40.value, result.ap50.value, result.ap50_95.value, result.froc_mean.value) == (1.0, 0.0, 0.0, 0.0)
    assert result.at_threshold is not None
    assert (result.at_threshold.f1_at_40.value, result.at_threshold.sensitivity.value) == (1.0, 0.0)


def test_without_an_operating_point_nothing_is_said_at_a_threshold() -> None:
    result = judged(a_set_with_every_state(), [(HIT,)] * 12, threshold=None)

    assert result.at_threshold is None
    assert result.localization == ()
    assert result.ap50.value > 0
    assert all(math.isnan(group.sensitivity.value) for group in result.groups)


def test_a_group_of_few_boxes_has_counts_and_no_figure() -> None:
    manifest = a_set_with_every_state()
    manifest.images["sex"] = ["F"] * 5 + ["M"] * 2 + [None] * 5

    groups = {group.group: group for group in judged(manifest, [(HIT,)] * 12).groups if group.attribute == "sex"}

    assert groups["F"].counts.boxes == 5
    assert groups["F"].ap50.value == 1.0
    assert groups["M"].counts == Counts(images_with=1, images_without=1, boxes=1, patients=2)
    assert math.isnan(groups["M"].ap50.value)
    assert math.isnan(groups["M"].false_per_image.value)
    assert groups["not known"].counts.boxes == 0
