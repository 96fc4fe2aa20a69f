"""Calibration of a detector: what it changes, and all that it must not change."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from boxed import films, seeds
from boxray.core.arrays import FloatArray
from boxray.core.boxes import Box
from boxray.core.calibration import FEW, Scale, sigmoid
from boxray.core.findings import Presence
from boxray.core.metrics import Matches, best_f1_threshold, expected_f1_threshold, precision_measure, rank
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import Split
from boxray.detection import calibrate as calibrating
from boxray.detection.calibrate import calibrate, calibrated_card, operating_point
from boxray.detection.detect import YoloDetector
from boxray.detection.evaluate import detect_all, judge
from boxray.weights import OperatingPoint
from built import SQUARE_XYXY, TWO, build_tiny_set
from making import detector_card

SIDE = 64
LIMITS = (0.5, 0.75)

scales = st.builds(Scale, st.floats(0.1, 3), st.floats(-6, 3))


def matches_of(scores, hits, n_boxes) -> Matches:
    order = np.argsort(-np.asarray(scores), kind="stable")
    image = np.zeros(len(order), dtype=int)
    return Matches(np.asarray(scores, dtype=float)[order], np.asarray(hits)[order], image, np.array([n_boxes]))


@given(seeds, scales)
@settings(max_examples=60)
def test_ranking_and_average_precision_are_the_same_before_and_after(seed, scale) -> None:
    cases = films(seed)
    assume(sum(len(truth) for *_, truth in cases))

    before = rank(cases, LIMITS)
    after = rank([(found, scale.of_scores(scores), truth) for found, scores, truth in cases], LIMITS)

    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.hits, before.hits)
    weights = np.ones(len(cases))
    np.testing.assert_array_equal(precision_measure(after)(weights), precision_measure(before)(weights))


@given(seeds, scales)
@settings(max_examples=60)
def test_the_same_boxes_are_reported_at_the_calibrated_operating_point(seed, scale) -> None:
    """Scores to three digits, so that the threshold stands on one of them, which is reported too."""
    rng = np.random.default_rng(seed)
    scores = rng.permutation(np.arange(1, 999))[:50] / 1000
    matches = matches_of(scores, rng.random(50) < scores, n_boxes=FEW + 10)
    assume(matches.hits.any())

    plain, scaled = operating_point(matches, Scale()), operating_point(matches, scale)

    assert plain.threshold == max(best_f1_threshold(matches), 0.05)
    reported = scale.of_scores(matches.scores) >= scaled.threshold
    np.testing.assert_array_equal(reported, matches.scores >= plain.threshold)


def test_a_weak_finding_may_have_an_operating_point_below_the_floor_of_the_networks_own_score() -> None:
    matches = matches_of([0.2, 0.1, 0.02], [False, True, False], n_boxes=FEW)

    point = operating_point(matches, Scale(1.0, -4.0))

    assert point.threshold == pytest.approx(sigmoid(np.log(0.1 / 0.9) - 4), rel=1e-5)
    assert point.threshold < 0.05
    assert "the network itself scores 0.1" in point.chosen


def few_and_many(copies: int) -> Matches:
    """Twelve boxes as often as asked, three of them found; the sample's own best cut lies at its last hit, at 0.3."""
    scores, hits = [0.9, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [True, False, False, True, True, False, False]
    return matches_of(np.tile(scores, copies), np.tile(hits, copies), n_boxes=12 * copies)


def test_of_few_boxes_the_threshold_is_read_off_the_fitted_scale_and_the_card_says_so() -> None:
    matches = few_and_many(1)
    scale, _ = calibrate(matches)

    point = operating_point(matches, scale)

    probabilities = scale.of_scores(matches.scores)
    best = expected_f1_threshold(probabilities, 12)
    assert point.threshold == pytest.approx(best, rel=1e-5)
    np.testing.assert_array_equal(probabilities >= point.threshold, probabilities >= best)  # what stands on it too
    assert point.threshold != pytest.approx(scale.of_scores(np.array(best_f1_threshold(matches))), rel=1e-3)
    assert point.chosen.startswith("best F1 at IoU 0.5 to be expected by the calibration on 12 boxes of the validation")


def test_of_many_boxes_it_is_the_best_of_the_sample() -> None:
    matches = few_and_many(5)
    scale, _ = calibrate(matches)

    point = operating_point(matches, scale)

    assert point.threshold == pytest.approx(scale.of_scores(np.array(best_f1_threshold(matches))), rel=1e-5)
    assert point.chosen.startswith("best F1 at IoU 0.5 on 60 boxes of the validation part, where the network itself")


def test_the_floor_holds_for_the_networks_own_score() -> None:
    matches = matches_of([0.04, 0.03], [True, True], n_boxes=6)

    point = operating_point(matches, Scale())

    assert point.threshold == 0.05
    assert "scores 0.05, the floor" in point.chosen
    assert point.chosen.endswith("lies below, at 0.03")


def test_scores_become_the_share_of_boxes_that_hit() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(100_000) * 0.5
    hits = rng.random(len(scores)) < sigmoid(2 * np.log(scores / (1 - scores)) - 1)

    scale, said = calibrate(matches_of(scores, hits, n_boxes=70_000))

    assert (scale.slope, scale.offset) == pytest.approx((2, -1), abs=0.1)
    assert said.startswith(f"Platt scaling on 100000 detections of the validation part, {hits.sum()} of them hits")


@pytest.mark.parametrize(
    ("hits", "n_boxes", "why"),
    [
        ([True, False], 4, "4 boxes in the validation part are too few"),
        ([False, False], 9, "none of the 9 boxes of the validation part is found"),
        ([True, True], 9, "every one of its 2 detections is a hit"),
        ([], 9, "none of the 9 boxes"),
    ],
)
def test_where_there_is_too_little_to_learn_from_scores_stay_as_they_are_and_the_card_says_why(
    hits, n_boxes, why
) -> None:
    scale, said = calibrate(matches_of([0.5, 0.25][: len(hits)], np.array(hits, dtype=bool), n_boxes))

    assert scale == Scale()
    assert said.startswith(f"not calibrated: {why}")


class SeesBright:
    """Boxes the place of the square: boldly where it is bright, faintly where it is not."""

    lanes = 1

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        x1, y1, x2, y2 = (corner * SIDE / 256 for corner in SQUARE_XYXY)
        score = 0.8 if inputs[0, 0, int(y1 + y2) // 2, int(x1 + x2) // 2] > 0.9 else 0.3
        faint = (8, 8, 6, 6, 0.1, 0)
        rows = [((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, score, 0), faint]
        return {"output": np.array(rows, dtype=np.float32).T[None]}


def sees_bright(**changes) -> YoloDetector:
    card = detector_card(TWO, ("fluid",), SIDE, {"fluid": 0.5})
    return YoloDetector(card.model_copy(update=changes), SeesBright(), TWO)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Twelve images in each part, six of them with a box."""
    return build_tiny_set(tmp_path_factory.mktemp("built"), per_split=12)


def test_a_card_is_calibrated_on_the_validation_part_and_says_so(built: Manifest) -> None:
    card = calibrated_card(sees_bright(), built)

    made_on = card.calibrated_on
    assert made_on is not None
    assert (made_on.fingerprint, made_on.images) == (built.fingerprint, 12)
    assert made_on.findings["fluid"].startswith("Platt scaling on 24 detections of the validation part, 6 of them hits")
    bold, shy = card.scale("fluid").of_scores(np.array([0.8, 0.3]))
    assert 0.75 < bold < 7 / 8  # six of six hit, which is 7/8 by Platt's targets
    assert shy < 0.25
    assert card.thresholds["fluid"] == pytest.approx(bold, rel=1e-3)


def test_assumed_absences_of_the_validation_part_have_a_say_in_the_operating_point(
    built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """False boxes above all hits, on images whose absence is assumed: who does not count them takes every box."""
    rule = built.images["rule_fluid"].where(built.presence("fluid") != Presence.ABSENT.value, Rule.ASSUMPTION.value)
    assumed = replace(built, images=built.images.assign(rule_fluid=rule))
    presence = assumed.part(Split.VAL).presence("fluid")
    hit, false = Box(*SQUARE_XYXY), Box(0, 0, 9, 9)
    weak, strong = Detection("fluid", 0.3, hit), Detection("fluid", 0.6, hit)
    boxed = [(strong,) if number % 4 < 2 else (weak,) for number in range(len(presence))]
    silent = (Detection("fluid", 0.4, false),) * 3
    said = [boxed[number] if there == Presence.BOXED.value else silent for number, there in enumerate(presence)]
    monkeypatch.setattr(calibrating, "detect_all", lambda *_: said)
    monkeypatch.setattr(calibrating, "FEW", 0)  # the sample's own best: it stands on a score

    points = {}
    for name, manifest in (("known", built), ("assumed", assumed)):
        points[name] = calibrated_card(sees_bright(), manifest).operating_points["fluid"].chosen

    assert points["assumed"] == points["known"]
    assert "where the network itself scores 0.6" in points["assumed"]


def test_a_threshold_is_never_above_the_box_that_it_was_chosen_on() -> None:
    matches = matches_of([0.339741, 0.339739, 0.2], [True, False, False], n_boxes=6)

    assert operating_point(matches, Scale()).threshold == 0.339741
    assert operating_point(matches_of([1 / 3, 0.2], [True, False], n_boxes=6), Scale()).threshold <= 1 / 3


def test_calibrating_again_says_the_same(built: Manifest) -> None:
    once = calibrated_card(sees_bright(), built)

    again = calibrated_card(replace(sees_bright(), card=once), built)

    assert again == once


def test_calibration_moves_no_box_and_changes_no_average_precision(built: Manifest) -> None:
    part = built.part(Split.TEST)
    plain = sees_bright()
    scaled = replace(plain, card=calibrated_card(plain, built))

    before, after = list(detect_all(plain, part)), list(detect_all(scaled, part))

    assert [[det.box for det in dets] for dets in after] == [[det.box for det in dets] for dets in before]
    assert after[0][0].score != before[0][0].score
    figures = [judge(part, dets, "fluid", assessed=True, threshold=None, rounds=5) for dets in (before, after)]
    assert figures[0].ap50 == figures[1].ap50
    assert figures[0].froc == figures[1].froc


def test_calibrated_scores_are_more_reliable_on_other_images(built: Manifest) -> None:
    part = built.part(Split.TEST)
    errors = []
    for card in (sees_bright().card, calibrated_card(sees_bright(), built)):
        detector = replace(sees_bright(), card=card)
        result = judge(part, list(detect_all(detector, part)), "fluid", assessed=True, threshold=None, rounds=5)
        assert result.reliability is not None
        errors.append(result.reliability.ece.value)

    assert errors[0] == pytest.approx((6 * 0.2 + 6 * 0.3 + 12 * 0.1) / 24)
    assert errors[1] < errors[0]


def test_a_calibrated_detector_reports_what_it_reported_before(built: Manifest) -> None:
    card = calibrated_card(sees_bright(), built)
    plain = sees_bright(operating_points={"fluid": OperatingPoint(threshold=0.8, chosen="as calibrated_card does")})
    radiographs = [built.radiograph(picture) for picture in built.images["picture"][:6]]

    for rad in radiographs:
        ours = replace(sees_bright(), card=card).detect(rad)
        assert [det.box for det in ours] == [det.box for det in plain.detect(rad)]
