"""Whether a detector knows the finding or the source, on made sets where the answer is known."""

from pathlib import Path

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.findings import Presence
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.shift import false_alarms, tell_sources
from built import SQUARE_XYXY, box_row, image_row, manifest_of

FLUID = Detection("fluid", 0.6, Box(*SQUARE_XYXY))
FAINT = Detection("fluid", 0.4, Box(*SQUARE_XYXY))
NOT_HEART = {"heart": (Presence.UNKNOWN.value, Rule.NONE.value)}


def three_sources() -> Manifest:
    """`home` boxes fluid; `away` knows that it is absent; `far` only assumes it. Two images each, then one unknown."""
    states = [
        ("home", Presence.BOXED, Rule.BOX),
        ("home", Presence.ABSENT, Rule.LABEL),
        ("away", Presence.ABSENT, Rule.LABEL),
        ("away", Presence.ABSENT, Rule.LABEL),
        ("far", Presence.ABSENT, Rule.ASSUMPTION),
        ("far", Presence.ABSENT, Rule.ASSUMPTION),
        ("far", Presence.UNKNOWN, Rule.NONE),
    ]
    images = [
        image_row(number, "test", {"fluid": (presence.value, rule.value)} | NOT_HEART, source=source)
        for number, (source, presence, rule) in enumerate(states)
    ]
    return manifest_of(Path(), images, [box_row("home:0", "fluid", SQUARE_XYXY)])


def test_false_boxes_are_counted_source_by_source_and_assumed_absences_apart() -> None:
    detections = [(FLUID,), (), (FLUID, FLUID), (), (FLUID,), (FLUID,), (FLUID,)]

    alarms = false_alarms(three_sources(), detections, {"fluid": 0.5}, rounds=20)

    seen = {
        alarm.source: (alarm.assumed, alarm.boxed_here, alarm.n_images, alarm.n_false, alarm.share_of_images.value)
        for alarm in alarms
    }
    assert seen == {
        "away": (False, False, 2, 2, 0.5),  # both on one image
        "far": (True, False, 2, 2, 1.0),  # the unknown image takes no part
        "home": (False, True, 1, 0, 0.0),  # the boxed image takes no part
    }


def test_boxes_below_the_operating_point_are_no_false_alarms() -> None:
    alarms = false_alarms(three_sources(), [(FAINT,)] * 7, {"fluid": 0.5}, rounds=20)

    assert [alarm.n_false for alarm in alarms] == [0, 0, 0]


def test_no_false_box_on_few_patients_still_allows_some() -> None:
    (away, *_) = false_alarms(three_sources(), [()] * 7, {"fluid": 0.5}, rounds=20)

    assert away.n_patients == 2
    assert away.at_most_if_none == 1.0
    assert away.to_json()["share_at_most_if_none"] == 1.0


def features_of(sources: list[str], gap: float) -> np.ndarray:
    """Eight numbers an image, one of which is shifted by the source."""
    features = np.random.default_rng(5).normal(size=(len(sources), 8))
    features[:, 3] += gap * (np.array(sources) == "one")
    return features


def test_sources_that_shift_a_feature_are_told_and_others_are_guessed() -> None:
    sources = ["one"] * 60 + ["two"] * 60
    patients = [str(place) for place in range(120)]

    clear = tell_sources(features_of(sources, 8.0), sources, patients, rounds=50)
    blind = tell_sources(features_of(sources, 0.0), sources, patients, rounds=50)

    assert clear is not None
    assert blind is not None
    assert clear.balanced_accuracy.value > 0.95
    assert clear.confusion.sum() == 120
    assert blind.balanced_accuracy.low < blind.chance == 0.5 < blind.balanced_accuracy.high


def test_a_rare_source_counts_as_much_as_a_frequent_one() -> None:
    sources = ["one"] * 15 + ["two"] * 285
    patients = [str(place) for place in range(300)]

    told = tell_sources(features_of(sources, 0.0), sources, patients, rounds=20)

    assert told is not None
    assert told.balanced_accuracy.value < 0.75  # always saying "two" would be right on 95 % of the images


def test_nobody_is_told_by_other_images_of_the_same_patient() -> None:
    """Ten images a patient with a mark of the patient's own, in sources that share nothing: memory alone would do."""
    rng = np.random.default_rng(1)
    patients = [str(place // 10) for place in range(400)]
    sources = ["one" if place // 10 % 2 else "two" for place in range(400)]
    marks = rng.normal(size=(40, 60))
    features = marks[np.arange(400) // 10] + rng.normal(scale=0.01, size=(400, 60))

    told = tell_sources(features, sources, patients, rounds=50)

    assert told is not None
    assert told.balanced_accuracy.low < 0.5 < told.balanced_accuracy.high


@pytest.mark.parametrize("sources", [["one"] * 30, ["one"] * 30 + ["two"] * 9])
def test_with_fewer_than_two_sources_of_ten_patients_there_is_nothing_to_tell(sources: list[str]) -> None:
    patients = [str(place) for place in range(len(sources))]

    assert tell_sources(np.zeros((len(sources), 2)), sources, patients) is None
