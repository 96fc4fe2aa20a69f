"""COCO JSON: the frame is the JSON's own, and no box goes astray."""

import json

import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.coco import NO_CATEGORY, records
from making import write_chest, write_coco, write_text


@pytest.mark.real
def test_covid_lungs_has_1232_boxes_on_616_images_and_one_without_a_category(shared):
    found = list(records(Download(shared / "data" / "covid_lungs")))

    labels = [box.label for record in found for box in record.boxes]
    assert len(found) == 616
    assert {name: labels.count(name) for name in set(labels)} == {"Right Lung": 615, "Left Lung": 616, NO_CATEGORY: 1}
    assert sum(record.file is not None for record in found) == 609
    assert all(len(record.boxes) == 2 for record in found)
    assert [record.image for record in found if record.labels is None] == [
        "4-x-day1",
        "4-x-day13",
        "4-x-day4",
        "4-x-day8",
    ]
    card = load_card("covid_lungs")
    assert card.expected.model_dump() == {"images": 616, "boxes": 1232}
    assert {card.finding_of(label) for label in labels} == {"right_lung", "left_lung", None}
    unlisted = {record.patient for record in found if record.file and record.labels is None}
    assert len({record.patient for record in found if record.file} - unlisted) == 360


@pytest.mark.real
def test_the_frame_is_the_jsons_and_the_right_lung_is_on_the_left_of_the_image(shared):
    for record in records(Download(shared / "data" / "covid_lungs")):
        corners = {box.label: np.array(box.xyxy) for box in record.boxes}

        assert all((box[2:] <= record.frame_wh).all() and (box >= 0).all() for box in corners.values())
        if NO_CATEGORY not in corners:
            assert corners["Right Lung"][0] < corners["Left Lung"][0]


def test_a_box_is_corner_and_size_in_the_frame_of_the_json(tmp_path):
    write_coco(
        tmp_path,
        ["Left Lung", "Right Lung"],
        [("b.webp-day1.jpeg", 882, 888), ("a.png", 300, 400)],
        [(0, "Right Lung", [42, 72, 245, 504]), (0, None, [1, 2, 3, 4])],
    )
    picture = write_chest(tmp_path / "images" / "b.webp-day1.jpg")
    header = "filename,patientid,finding,view,sex,age"
    write_text(tmp_path / "metadata.csv", header, "b.webp-day1.jpeg,p7,No Finding,AP,M,40")

    first, second = records(Download(tmp_path))

    assert (first.image, first.patient, first.file, first.boxes) == ("a", "a", None, ())
    assert first.labels is None
    assert (second.labels, second.view, second.sex, second.age_years) == (("No Finding",), "AP", "M", 40)
    assert (second.image, second.patient, second.file) == ("b.webp-day1", "p7", picture)
    assert second.frame_wh == (882, 888)
    assert [(box.label, box.xyxy) for box in second.boxes] == [
        ("Right Lung", (42, 72, 287, 576)),
        (NO_CATEGORY, (1, 2, 4, 6)),
    ]


IMAGE = {"id": 1, "file_name": "a.png", "width": 300, "height": 400}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
WHOLE = {"categories": [{"id": 1, "name": "covid"}], "images": [IMAGE], "annotations": [BOX]}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="a-list"),
        pytest.param({}, id="nothing"),
        pytest.param(WHOLE | {"annotations": [BOX | {"image_id": 2}]}, id="a-box-on-no-image"),
        pytest.param(WHOLE | {"annotations": [BOX | {"category_id": 2}]}, id="a-category-that-is-not-listed"),
        pytest.param(WHOLE | {"annotations": [BOX | {"bbox": [1, 2, 3]}]}, id="three-numbers"),
        pytest.param(WHOLE | {"annotations": [BOX | {"bbox": ["1", "a", 3, 4]}]}, id="words"),
        pytest.param(WHOLE | {"annotations": [BOX | {"bbox": [1, 2, 3, float("nan")]}]}, id="nan"),
        pytest.param(WHOLE | {"images": [IMAGE | {"width": 0}]}, id="no-area"),
        pytest.param(WHOLE | {"images": [IMAGE | {"width": float("inf")}]}, id="endless"),
        pytest.param(WHOLE | {"images": [{"id": 1, "file_name": "a.png"}]}, id="no-size"),
        pytest.param(WHOLE | {"images": [IMAGE, IMAGE | {"file_name": "b.png"}]}, id="two-images-of-one-id"),
    ],
)
def test_what_is_no_coco_json_of_boxes_is_refused_before_any_image(tmp_path, content):
    write_text(tmp_path / "annotations.json", json.dumps(content))
    write_chest(tmp_path / "images" / "a.png")

    with pytest.raises(DataError, match=r"annotations\.json: not a COCO JSON of boxes"):
        list(records(Download(tmp_path)))


def test_a_torn_json_is_refused(tmp_path):
    write_text(tmp_path / "annotations.json", '{"images": [')

    with pytest.raises(DataError, match=r"annotations\.json: not JSON"):
        list(records(Download(tmp_path)))
