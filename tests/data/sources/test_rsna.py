"""RSNA: one row per box, a class table that repeats itself, and patients that only NIH's names tell."""

import json
from collections import Counter

import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.rsna import FRAME_WH, NAMES, records
from making import write_chest, write_text

LABELS = "patientId,x,y,width,height,Target"


@pytest.fixture(scope="module")
def published(shared):
    return list(records(Download(shared / "data" / "tables" / "rsna")))


@pytest.mark.real
def test_the_table_has_26684_images_of_which_6012_have_9555_boxes(published):
    per_image = Counter(len(record.boxes) for record in published)

    assert load_card("rsna").expected.model_dump() == {"images": 26684, "boxes": 9555}
    assert len(published) == 26684
    assert {n: per_image[n] for n in (1, 2, 3, 4)} == {1: 2614, 2: 3266, 3: 119, 4: 13}
    assert sum(len(record.boxes) for record in published) == 9555
    assert len({record.image for record in published}) == 26684


@pytest.mark.real
def test_every_image_has_one_class_though_the_table_repeats_it_per_box(published):
    assert Counter(record.labels for record in published) == {
        ("Target 0", "No Lung Opacity / Not Normal"): 11821,
        ("Target 0", "Normal"): 8851,
        ("Target 1", "Lung Opacity"): 6012,
    }
    assert {label for record in published for label in record.labels} == load_card("rsna").labels.keys()


@pytest.mark.real
def test_no_box_leaves_the_dicom_and_the_smallest_is_40_by_45(published):
    corners = np.array([box.xyxy for record in published for box in record.boxes])
    sides = corners[:, 2:] - corners[:, :2]

    assert (corners.min(), corners.max()) >= (0, 0)
    assert corners.max() <= FRAME_WH[0]
    assert sides.min(axis=0).tolist() == [40, 45]


def test_rows_of_an_image_are_its_boxes_and_a_row_without_one_is_an_image_without(tmp_path):
    write_text(tmp_path / "stage_2_train_labels.csv", LABELS, "b,264.0,152.0,213.0,379.0,1", "a,,,,,0", "b,1,2,3,4,1")
    picture = write_chest(tmp_path / "stage_2_train_images" / "a.png")

    first, second = records(Download(tmp_path))

    assert (first.image, first.patient, first.file, first.boxes) == ("a", "a", picture, ())
    assert (first.frame_wh, first.labels) == ((1024, 1024), ("Target 0",))
    assert [(box.label, box.xyxy) for box in second.boxes] == [
        ("Lung Opacity", (264, 152, 477, 531)),
        ("Lung Opacity", (1, 2, 4, 6)),
    ]
    assert second.labels == ("Target 1",)


def test_the_patient_is_that_of_the_nih_name_where_the_map_is_there(tmp_path):
    write_text(tmp_path / "stage_2_train_labels.csv", LABELS, "a,,,,,0", "b,,,,,0")
    write_text(tmp_path / NAMES, json.dumps([{"subset_img_id": "a", "img_id": "00000010_003.png"}]))

    assert [record.patient for record in records(Download(tmp_path))] == ["00000010", "b"]


def test_the_picture_may_be_that_of_nih_under_its_name(tmp_path):
    write_text(tmp_path / "stage_2_train_labels.csv", LABELS, "a,1,2,3,4,1")
    write_text(tmp_path / NAMES, json.dumps([{"subset_img_id": "a", "img_id": "00000010_003.png"}]))
    picture = write_chest(tmp_path / "nih" / "00000010_003.png")

    (record,) = records(Download(tmp_path, tmp_path / "nih"))

    assert (record.image, record.file) == ("a", picture)


def test_a_class_is_taken_once_and_an_image_of_two_classes_is_refused(tmp_path):
    write_text(tmp_path / "stage_2_train_labels.csv", LABELS, "a,1,2,3,4,1", "a,5,6,7,8,1")
    table = tmp_path / "stage_2_detailed_class_info.csv"
    write_text(table, "patientId,class", "a,Lung Opacity", "a,Lung Opacity")

    (record,) = records(Download(tmp_path))

    assert (record.labels, len(record.boxes)) == (("Target 1", "Lung Opacity"), 2)
    write_text(table, "patientId,class", "a,Lung Opacity", "a,Normal")
    with pytest.raises(DataError, match="'a' is of two classes"):
        list(records(Download(tmp_path)))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("a,1,2,3,4,0", id="a-box-on-a-negative"),
        pytest.param("a,,,,,1", id="a-positive-without-a-box"),
        pytest.param("a,1,2,3,,1", id="three-numbers"),
        pytest.param("a,1,2,3,wide,1", id="a-word"),
        pytest.param("a,1,2,3,nan,1", id="nan"),
        pytest.param("a,,,,,", id="no-target"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused_with_its_image(tmp_path, row):
    write_text(tmp_path / "stage_2_train_labels.csv", LABELS, row)

    with pytest.raises(DataError, match="image 'a': expected a box and Target 1, or neither and Target 0"):
        list(records(Download(tmp_path)))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param({"a": "00000010_003.png"}, "expected a list with subset_img_id and img_id", id="no-list"),
        pytest.param([{"img_id": "1.png"}], "expected a list with subset_img_id and img_id", id="half-a-pair"),
        pytest.param(
            [{"subset_img_id": "a", "img_id": name} for name in ("1.png", "2.png")],
            "an image has two names of NIH",
            id="two-names",
        ),
    ],
)
def test_a_map_that_is_none_is_refused(tmp_path, content, what):
    write_text(tmp_path / "stage_2_train_labels.csv", LABELS, "a,,,,,0")
    write_text(tmp_path / NAMES, json.dumps(content))

    with pytest.raises(DataError, match=what):
        list(records(Download(tmp_path)))
