"""A reading in one line of text: what each model that was asked says, and what it was never trained to say."""

import pytest

from boxray.cli.show import line_of
from boxray.core.boxes import Box
from boxray.core.errors import InputError, Outcome
from boxray.core.reading import Detection, ModelIdentity, Reading
from making import label_space

SPACE = label_space("a", "b", "c")
DETECTOR = {"detector": ModelIdentity("boxes", "1", "0" * 64)}
CLASSIFIER = {"classifier": ModelIdentity("scores", "1", "1" * 64, {"a": 0.033, "b": 0.5})}


def a_reading(**changes: object) -> Reading:
    said = {
        "size_wh": (100, 120),
        "detections": (Detection("a", 0.83, Box(1, 2, 3, 4)), Detection("a", 0.4, Box(5, 6, 7, 8))),
        "scores": {"a": 0.04, "b": 0.25, "c": 0.75},
        "not_assessed": {"detector": ("b", "c"), "classifier": ()},
        "models": DETECTOR | CLASSIFIER,
    }
    return Reading("a.png", Outcome.RESULT, **{**said, **changes})  # type: ignore[arg-type]


def test_both_models_are_told_each_over_its_thresholds_and_silence_has_its_owner() -> None:
    line = line_of(a_reading(), SPACE)

    assert line == "a.png: A 0.83; classifier: A 0.04, C 0.75  (not assessed by the detector: B, C)"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"detections": ()}, "a.png: no boxed finding; classifier: A 0.04, C 0.75"),
        ({"scores": {"a": 0.01}}, "a.png: A 0.83; classifier: no finding over its threshold"),
        ({"models": DETECTOR, "scores": {}}, "a.png: A 0.83"),
        ({"models": CLASSIFIER, "detections": ()}, "a.png: classifier: A 0.04, C 0.75"),
    ],
)
def test_a_model_that_found_nothing_says_so_and_one_that_was_not_asked_says_nothing(
    changes: dict[str, object], line: str
) -> None:
    assert line_of(a_reading(**changes, not_assessed={}), SPACE) == line


def test_what_the_classifier_does_not_assess_is_told_as_its_own_silence() -> None:
    said = line_of(a_reading(not_assessed={"detector": ("b",), "classifier": ("c",)}), SPACE)

    assert said.endswith("  (not assessed by the detector: B; by the classifier: C)")


def test_what_was_not_read_has_code_and_reason_and_no_finding() -> None:
    refused = Reading.not_answered("a.png", InputError("image.colour", "three channels"))

    assert line_of(refused, SPACE) == "a.png: REFUSED image.colour: three channels"
