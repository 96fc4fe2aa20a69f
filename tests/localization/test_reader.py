from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import ModelError, Outcome
from boxray.core.protocols import Classified, FixedClassifier, FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Case, Detection, ModelIdentity
from boxray.localization.reader import Reader, released_reader
from boxray.weights import released_card, released_cards
from making import chest, label_space, write_chest

SPACE = label_space("fluid", "heart", "air")
THRESHOLDS = ModelIdentity("made", "0", "0", {"fluid": 0.5, "heart": 0.5, "air": 0.5})
FOUND = Detection("fluid", 0.8, Box(10, 10, 60, 60))
FAINT = Detection("heart", 0.3, Box(10, 10, 60, 60))


def reader(*detections: Detection, **scores: float) -> Reader:
    return Reader(
        FixedDetector(SPACE, detections, ("fluid", "heart"), THRESHOLDS),
        FixedClassifier(SPACE, scores or {"fluid": 0.9}, THRESHOLDS),
    )


def film() -> Radiograph:
    return Radiograph((chest() / 255).astype(np.float32))


def test_a_readable_file_gives_a_result_with_what_both_models_say(tmp_path: Path) -> None:
    reading = reader(FOUND).read(write_chest(tmp_path / "a.png"), "as the caller named it")

    assert reading.file == "as the caller named it"
    assert reading.status is Outcome.RESULT
    assert reading.size_wh == (256, 256)
    assert reading.detections == (FOUND,)
    assert reading.scores == {"fluid": 0.9}
    assert [saliency.finding for saliency in reading.maps] == ["fluid"]


def test_what_a_model_was_never_trained_for_is_not_assessed() -> None:
    reading = reader(FOUND).read_radiograph(film(), "a")

    assert reading.not_assessed == {"detector": ("air",), "classifier": ("heart", "air")}
    assert reading.states(SPACE) == {"fluid": "boxed", "heart": "no box", "air": "not assessed"}


def test_a_file_that_is_no_radiograph_is_refused_with_a_code_and_says_nothing_of_findings() -> None:
    reading = reader(FOUND).read(b"not a picture", "letter.txt")

    assert reading.status is Outcome.REFUSED
    assert reading.code == "input.not_supported"
    assert reading.detections == ()
    assert reading.states(SPACE) == dict.fromkeys(SPACE.keys, "not assessed")


def test_a_file_that_is_not_there_fails_without_its_path_in_the_reason(tmp_path: Path) -> None:
    reading = reader().read(tmp_path / "secret-name.png", "x")

    assert reading.status is Outcome.FAILED
    assert reading.code == "input.unreadable"
    assert "secret-name" not in (reading.reason or "")


@dataclass(frozen=True)
class Broken(FixedClassifier):
    def classify(self, rad: Radiograph) -> Classified:
        raise ModelError("output 'logits' holds values that are no finite numbers", "model.not_finite")


def test_a_model_that_breaks_gives_failed_and_not_an_empty_result() -> None:
    broken = Reader(FixedDetector(SPACE, (FOUND,), ("fluid",)), Broken(SPACE, {"fluid": 0.5}))

    reading = broken.read_radiograph(film(), "a")

    assert (reading.status, reading.code) == (Outcome.FAILED, "model.not_finite")
    assert reading.detections == ()


def test_boxes_below_the_operating_point_are_shown_but_do_not_count_for_agreement() -> None:
    reading = reader(FAINT, heart=0.9).read_radiograph(film(), "a", min_score=0.1)

    assert reading.detections == (FAINT,)
    (agreement,) = reading.agreement
    assert agreement.case is Case.MAP_ONLY


def test_a_reading_says_from_which_score_on_boxes_were_asked_for_and_which_threshold_is_stored() -> None:
    both = reader(FAINT, heart=0.9)

    at_stored, asked = (both.read_radiograph(film(), "a", min_score=least) for least in (None, 0.1))
    without_detector = Reader(None, both.classifier).read_radiograph(film(), "a", min_score=0.1)

    assert at_stored.min_score is without_detector.min_score is None
    assert "min_score" not in at_stored.to_json()
    assert asked.to_json()["min_score"] == 0.1
    assert asked.models == at_stored.models
    assert asked.box_threshold("heart") == 0.1


@pytest.mark.parametrize(
    ("box_score", "map_score", "case"),
    [(0.2, 0.7, Case.BOTH), (0.19, 0.7, Case.MAP_ONLY), (0.2, 0.69, Case.BOX_ONLY), (0.19, 0.69, Case.NEITHER)],
)
def test_either_model_speaks_from_its_own_operating_point_on(box_score: float, map_score: float, case: Case) -> None:
    boxes, maps = (ModelIdentity("made", "0", "0", {"fluid": from_score}) for from_score in (0.2, 0.7))
    both = Reader(
        FixedDetector(SPACE, (Detection("fluid", box_score, FOUND.box),), ("fluid",), boxes),
        FixedClassifier(SPACE, {"fluid": map_score}, maps),
    )

    (agreement,) = both.read_radiograph(film(), "a", min_score=0.1).agreement

    assert agreement.case is case


def test_there_is_no_agreement_on_a_finding_that_one_model_does_not_assess() -> None:
    reading = reader(FOUND, air=0.9).read_radiograph(film(), "a")

    assert reading.agreement == ()


def test_one_model_alone_reads_and_nothing_is_said_for_the_other() -> None:
    alone = Reader(None, FixedClassifier(SPACE, {"fluid": 0.9}))

    reading = alone.read_radiograph(film(), "a")

    assert set(reading.models) == {"classifier"}
    assert reading.agreement == ()
    assert set(reading.states(SPACE).values()) == {"not assessed"}


def test_models_of_different_label_spaces_do_not_read_together() -> None:
    with pytest.raises(ModelError, match="missing"):
        Reader(FixedDetector(SPACE), FixedClassifier(label_space("fluid")))


def test_a_reader_without_models_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="detector, a classifier or both"):
        Reader(None, None)


def test_many_files_are_read_in_order_and_a_bad_one_stops_nothing(tmp_path: Path) -> None:
    good = write_chest(tmp_path / "a.png")
    files = [(good, "1"), (b"not a picture", "2"), (tmp_path / "gone.png", "3"), *((good, str(n)) for n in range(4, 9))]

    found = list(Reader(FixedDetector(SPACE, (FOUND,), ("fluid",), THRESHOLDS), None, lanes=2).read_many(iter(files)))

    assert [reading.file for reading in found] == [name for _, name in files]
    assert [reading.status for reading in found] == [
        Outcome.RESULT,
        Outcome.REFUSED,
        Outcome.FAILED,
        *[Outcome.RESULT] * 5,
    ]
    assert found[0].detections == found[-1].detections == (FOUND,)


@pytest.mark.parametrize("card", released_cards("classification"), ids=lambda card: card.stem)
def test_the_classifier_is_the_one_that_was_named(card: Path) -> None:
    for wanted in (card.stem, str(card)):
        classifier = released_reader(only="classifier", classifier=wanted).classifier
        assert classifier is not None
        assert classifier.identity.name == card.stem


def test_the_detector_is_the_one_that_was_named() -> None:
    card = released_card("detection")

    for wanted in (card.stem, str(card)):
        detector = released_reader(only="detector", detector=wanted).detector
        assert detector is not None
        assert detector.identity.name == card.stem


def test_weights_of_another_job_are_refused() -> None:
    with pytest.raises(ModelError, match="is of classification, a detector is wanted"):
        released_reader(only="detector", detector=str(released_card("classification")))
    with pytest.raises(ModelError, match="is of detection, a classifier is wanted"):
        released_reader(only="classifier", classifier=str(released_card("detection")))
