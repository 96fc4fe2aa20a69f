import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.findings import Finding, LabelSpace
from boxray.core.radiograph import Radiograph
from boxray.core.reading import DISCLAIMER, Agreement, Case, Detection, ModelIdentity, Reading, SaliencyMap
from boxray.imaging import draw
from boxray.imaging.draw import film_of, plain_picture
from boxray.localization.overlay import agreement_words, leading_finding, map_panel, overlay

KEYS = ("edema", "effusion", "nodule")
SPACE = LabelSpace("three", tuple(Finding(key, key.capitalize(), "it", "#EE6677") for key in KEYS))
RAD = Radiograph(np.linspace(0, 1, 120 * 100, dtype=np.float32).reshape(120, 100))


def a_map(finding: str, peak: float) -> SaliencyMap:
    return SaliencyMap(finding, np.full((120, 100), peak, dtype=np.float32))


def a_reading(**changes) -> Reading:
    stated = {
        "size_wh": (100, 120),
        "detections": (Detection("effusion", 0.8, Box(10, 20, 40, 60)),),
        "scores": {"effusion": 0.4, "nodule": 0.9},
        "not_assessed": {"detector": ("edema",), "classifier": ()},
        "agreement": (Agreement("effusion", Case.BOTH, pointing_hit=True, iou=0.41, energy_inside=0.63),),
        "models": {"detector": ModelIdentity("yolo", "1.2", "ab" * 32)},
        "maps": (a_map("effusion", 8.0), a_map("nodule", 0.5)),
    }
    return Reading("a.png", Outcome.RESULT, **{**stated, **changes})


@pytest.fixture
def words(monkeypatch) -> list[str]:
    """What is written on pictures, line by line."""
    said = []
    write = draw._write

    def spy(canvas, lines, px, anchor):
        said.extend(text for _, _, text, _ in lines)
        write(canvas, lines, px, anchor)

    monkeypatch.setattr(draw, "_write", spy)
    return said


def test_a_result_shows_film_boxes_and_map_from_left_to_right():
    picture = overlay(RAD, a_reading(), SPACE)

    film = plain_picture(film_of(RAD.pixels))
    columns = [x for x in range(picture.shape[1] - 100) if (picture[-200:, x : x + 5] != 17).any()]

    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert any((picture[y : y + 120, :][:, 13:113] == film).all() for y in range(picture.shape[0] - 120))
    assert max(columns) > 2 * 100


def test_every_picture_of_a_result_carries_disclaimer_silence_and_model(words):
    overlay(RAD, a_reading(), SPACE)

    said = " ".join(words)

    assert DISCLAIMER in said
    assert "Not assessed by the detector (its silence means nothing): Edema." in said
    assert "yolo 1.2 (abababababab)" in said


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (InputError("image.colour", "got 3 different channels"), "Not read"),
        (ModelError("a score is no number", "model.not_finite"), "Reading failed"),
    ],
)
def test_what_gave_no_result_is_a_card_without_a_word_on_findings(words, error, title):
    overlay(None, Reading.not_answered("a.png", error), SPACE)

    said = " ".join(words)

    assert title in said
    assert error.code.name in said
    assert error.reason in said
    assert DISCLAIMER in said
    assert not any(finding.display in said for finding in SPACE)


def test_a_picture_says_that_boxes_were_asked_for_from_another_score_on(words):
    overlay(RAD, a_reading(min_score=0.123456), SPACE)

    assert "Boxes from a score of 0.1235 on, as asked for." in words


def test_a_result_without_its_radiograph_is_a_mistake():
    with pytest.raises(ValueError, match="drawn on its radiograph"):
        overlay(None, a_reading(), SPACE)


def test_no_box_is_not_called_absent(words):
    overlay(RAD, a_reading(detections=()), SPACE)

    assert "Detector: no box" in words
    assert "not a statement of absence" in " ".join(words)


def test_without_a_map_of_the_finding_there_is_no_panel_for_it(words):
    overlay(RAD, a_reading(), SPACE, "edema")

    assert not any("map:" in word for word in words)


def test_a_map_that_is_zero_says_so(words):
    overlay(RAD, a_reading(maps=(a_map("effusion", 0.0),)), SPACE)

    assert "Nothing in the map speaks" in " ".join(words)


def change_by_map(reading: Reading, finding: str, **options) -> float:
    film = film_of(RAD.pixels)
    picture = map_panel(film, reading, SPACE, finding, **options).picture[:120, :100]
    return float(np.abs(picture.astype(int) - plain_picture(film)).mean())


def test_a_weak_map_looks_weak_beside_a_strong_one_of_the_same_reading():
    reading = a_reading(detections=())

    assert change_by_map(reading, "nodule") < change_by_map(reading, "effusion") / 8


def test_maps_of_two_readings_are_comparable_with_one_reference():
    strong, weak = a_reading(maps=(a_map("nodule", 8.0),)), a_reading(maps=(a_map("nodule", 0.5),))

    assert change_by_map(weak, "nodule") == change_by_map(strong, "nodule")  # each to its own maximum
    assert change_by_map(weak, "nodule", reference=8.0) < change_by_map(strong, "nodule", reference=8.0) / 8


def test_a_map_that_the_reading_does_not_have_is_a_mistake():
    with pytest.raises(ValueError, match="no map of 'edema'"):
        map_panel(film_of(RAD.pixels), a_reading(), SPACE, "edema")


def test_the_best_box_leads_then_the_best_score_that_has_a_map():
    assert leading_finding(a_reading()) == "effusion"
    assert leading_finding(a_reading(detections=())) == "nodule"
    assert leading_finding(a_reading(detections=(), maps=())) is None


def test_agreement_is_said_with_its_numbers():
    assert (
        agreement_words(a_reading(), "effusion") == "Box and map: IoU 0.41, peak inside the box, 63% of the map inside"
    )


def test_a_finding_that_one_model_never_learned_is_not_compared():
    reading = a_reading(agreement=(Agreement("edema", Case.MAP_ONLY),))

    assert agreement_words(reading, "edema") == "Not compared: not assessed by the detector"


@pytest.mark.parametrize("n_findings", [1, 6, 8])
def test_any_number_of_findings_is_drawn(n_findings):
    space = LabelSpace("n", tuple(Finding(f"f{n}", f"Finding {n}", "it", "#4477AA") for n in range(n_findings)))
    reading = Reading(
        "a",
        Outcome.RESULT,
        size_wh=(100, 120),
        detections=tuple(Detection(key, 0.5, Box(1, 1, 9, 9)) for key in space.keys),
    )

    assert overlay(RAD, reading, space).ndim == 3
