"""Object-CXR: shapes in pixels of a JPEG whose size no table states."""

import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.object_cxr import SHAPES, read_shapes, records
from making import write_chest, write_text


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("", []),
        ("0 1 2 30 40", [("rectangle", (1, 2, 30, 40))]),
        ("1 5 6 7 8;0 1 2 3 4;", [("ellipse", (5, 6, 7, 8)), ("rectangle", (1, 2, 3, 4))]),
        ("2 10 20 30 5 20 60", [("polygon", (10, 5, 30, 60))]),
        ("0 30 40 1 2", [("rectangle", (1, 2, 30, 40))]),
    ],
)
def test_a_shape_becomes_its_bounding_box(text, boxes):
    assert [(box.label, box.xyxy) for box in read_shapes(text)] == boxes


@pytest.mark.parametrize(
    "text", ["0", "0 1 2 3", "0 1 2 3 4 5 6", "2 1 2 3 4", "2 1 2 3 4 5", "3 1 2 3 4", "0 1 2 3 wide", "0 1 2 3 nan"]
)
def test_what_is_no_shape_is_refused_with_its_image(tmp_path, text):
    write_text(tmp_path / "train.csv", "image_name,annotation", f"00001.jpg,{text}")

    with pytest.raises(DataError, match=r"train\.csv: image '00001': "):
        list(records(Download(tmp_path)))


def test_the_frame_is_the_pictures_own_and_what_is_not_here_needs_none(tmp_path):
    write_text(
        tmp_path / "train.csv", "image_name,annotation", "00002.jpg,0 1 2 3 4", "00001.jpg,0 1 2 3 4", "00003.jpg,"
    )
    write_text(tmp_path / "dev.csv", "image_path,annotation", "/dev/00004.jpg,1 1 2 3 4")
    picture = write_chest(tmp_path / "train" / "00001.jpg", (640, 512))
    write_chest(tmp_path / "dev" / "00004.jpg", (300, 400))

    first, second, third, fourth = records(Download(tmp_path))

    assert (first.image, first.file, first.frame_wh, first.split) == ("00001", picture, (640, 512), "train")
    assert (second.file, second.frame_wh, len(second.boxes)) == (None, None, 1)
    assert (third.boxes, third.labels) == ((), ())
    assert (fourth.image, fourth.frame_wh, fourth.split) == ("00004", (300, 400), "dev")


def test_every_shape_is_a_foreign_object_and_none_of_the_eight():
    card = load_card("object_cxr")

    assert {card.finding_of(shape) for shape in SHAPES.values()} == {"foreign_object"}
    assert card.exhaustive == ("foreign_object",)


def test_a_table_without_names_is_refused(tmp_path):
    write_text(tmp_path / "dev.csv", "name,annotation", "a,")

    with pytest.raises(DataError, match=r"dev\.csv: expected the column image_name or image_path"):
        list(records(Download(tmp_path)))
