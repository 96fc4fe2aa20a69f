"""Folders by class: the folder's name is the label, and its part where there is one."""

import pytest

from boxray.core.errors import DataError
from boxray.data.sources import Download
from boxray.data.sources.image_folder import records
from making import write_chest, write_text


def test_a_picture_has_the_name_of_its_folder_as_label_and_its_part(tmp_path):
    places = ("test/NORMAL/IM-1", "train/NORMAL/IM-1", "train/PNEUMONIA/deeper/person1_bacteria_1")
    files = [write_chest(tmp_path / f"{place}.jpeg") for place in places]
    (tmp_path / "notes").mkdir()

    found = list(records(Download(tmp_path)))

    assert [(record.image, record.labels, record.split, record.file) for record in found] == [
        ("test__NORMAL__IM-1", ("NORMAL",), "test", files[0]),
        ("train__NORMAL__IM-1", ("NORMAL",), "train", files[1]),
        ("train__PNEUMONIA__deeper__person1_bacteria_1", ("PNEUMONIA",), "train", files[2]),
    ]
    assert {(record.patient == record.image, record.boxes, record.frame_wh) for record in found} == {(True, (), None)}


def test_without_parts_every_folder_is_a_class_and_hidden_ones_are_none(tmp_path):
    for place in ("chest/a.webp-day1", "hand/a", "__MACOSX/a", ".cache/a"):
        write_chest(tmp_path / f"{place}.png")

    found = list(records(Download(tmp_path)))

    assert [(record.image, record.labels, record.split) for record in found] == [
        ("chest__a.webp-day1", ("chest",), None),
        ("hand__a", ("hand",), None),
    ]


def test_two_pictures_of_one_name_in_a_class_are_refused(tmp_path):
    write_chest(tmp_path / "chest" / "a.png")
    write_chest(tmp_path / "chest" / "a.jpg")

    with pytest.raises(DataError, match="two pictures are called 'a' below chest/"):
        list(records(Download(tmp_path)))


@pytest.mark.parametrize("name", ["a.png", "train/a.png"])
def test_pictures_without_a_folder_of_a_class_are_refused(tmp_path, name):
    write_text(tmp_path / name)

    with pytest.raises(DataError, match=r"expected <class>/ or train\|val\|test/<class>/"):
        list(records(Download(tmp_path)))
