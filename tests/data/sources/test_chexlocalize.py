"""CheXlocalize: contours become boxes, height comes before width, and silence is a negative."""

import json

import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.chexlocalize import records
from making import write_chest, write_text

HEART = [[1400.9, 825.5], [1391.2, 2000.25], [2100.0, 900.0]]
FILM = "patient64541_study1_view1_frontal"


def made_source(root, content, part="val"):
    write_text(root / f"gt_annotations_{part}.json", json.dumps(content))
    return Download(root)


def test_a_box_bounds_a_contour_in_a_frame_that_is_written_height_first(tmp_path):
    content = {FILM: {"img_size": [2320, 2828], "Cardiomegaly": [HEART], "Edema": [HEART, [[1, 2], [3, 4]]]}}

    (film,) = records(made_source(tmp_path, content))

    assert (film.image, film.patient, film.split) == (FILM, "patient64541", "val")
    assert film.frame_wh == (2828, 2320)
    assert [(box.label, box.xyxy) for box in film.boxes] == [
        ("Cardiomegaly", (1391.2, 825.5, 2100, 2000.25)),
        ("Edema", (1391.2, 825.5, 2100, 2000.25)),
        ("Edema", (1, 2, 3, 4)),
    ]


def test_pictures_lie_by_patient_and_study_or_are_called_by_their_id(tmp_path):
    content = {
        name: {"img_size": [9, 9]} for name in ("patient1_study1_view1_frontal", "patient2_study1_view1_frontal")
    }
    deep = write_chest(tmp_path / "CheXpert" / "val" / "patient1" / "study1" / "view1_frontal.jpg")
    flat = write_chest(tmp_path / "images" / "patient2_study1_view1_frontal.png")

    assert [film.file for film in records(made_source(tmp_path, content))] == [deep, flat]


def test_a_picture_of_the_part_that_the_json_leaves_out_is_negative_and_one_of_another_part_is_not_known(tmp_path):
    content = {FILM: {"img_size": [9, 9]}}
    for part in ("val", "test", "train"):
        write_chest(tmp_path / "CheXpert" / part / f"patient_{part}" / "study1" / "view1_frontal.jpg")

    films = list(records(made_source(tmp_path, content)))

    assert [(film.image, film.boxes, film.labels) for film in films] == [
        (FILM, (), ()),
        ("patient_val_study1_view1_frontal", (), ()),
    ]
    assert films[1].split == "val"
    assert "effusion" in load_card("chexlocalize").exhaustive


def test_both_parts_keep_their_place_and_lateral_films_are_told_as_such(tmp_path):
    made_source(tmp_path, {FILM: {"img_size": [9, 9]}, FILM.replace("frontal", "lateral"): {"img_size": [9, 9]}})
    write_chest(tmp_path / "CheXpert" / "val" / "patient64541" / "study1" / "view2_lateral.jpg")
    other = {"patient64622_study1_view1_frontal": {"img_size": [9, 9]}}

    films = list(records(made_source(tmp_path, other, part="test")))

    assert [(film.split, film.view) for film in films] == [("val", None), ("val", "L"), ("val", "L"), ("test", None)]
    assert load_card("chexlocalize").splits == {"val": "val", "test": "test"}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="a-list"),
        pytest.param({FILM: {"Edema": [HEART]}}, id="no-size"),
        pytest.param({FILM: {"img_size": [0, 9]}}, id="no-area"),
        pytest.param({FILM: {"img_size": [9, 9, 3]}}, id="three-sides"),
        pytest.param({FILM: {"img_size": [9, 9], "Edema": [[]]}}, id="an-empty-contour"),
        pytest.param({FILM: {"img_size": [9, 9], "Edema": [[[1, 2, 3]]]}}, id="points-in-space"),
        pytest.param({FILM: {"img_size": [9, 9], "Edema": [[[1, 2], [3, float("nan")]]]}}, id="nan"),
        pytest.param({FILM: {"img_size": [9, 9], "Edema": {"size": [9, 9], "counts": "x"}}}, id="the-other-json"),
    ],
)
def test_what_is_no_json_of_contours_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"gt_annotations_val\.json: not the contours"):
        list(records(made_source(tmp_path, content)))
