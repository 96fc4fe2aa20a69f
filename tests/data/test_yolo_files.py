"""YOLO files of the built set: read back they are the same boxes, and they lie where ultralytics looks."""

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxray.core.boxes import yolo_to_xyxy
from boxray.data.manifest import BOX_COLUMNS, Manifest
from boxray.data.sources.yolo import read_rows
from boxray.data.yolo_files import label_file, write_yolo_files
from making import SIX, label_space

STEM = "41591_2020_819_Fig1_HTML.webp-day10"


def a_manifest(folder, keys, boxes, size_wh=(640, 512), stem=STEM):
    """One picture in train with these boxes, rows of finding, x1, y1, x2, y2; one without any in val."""
    images = pd.DataFrame(
        {
            "image_id": [f"made:{stem}", "made:empty"],
            "split": ["train", "val"],
            "picture": [f"images/made/{stem}.png", "images/made/empty.png"],
            "width": size_wh[0],
            "height": size_wh[1],
        }
    )
    rows = [(f"made:{stem}", *box, 1, 1, "made/published", "raw") for box in boxes]
    return Manifest(folder, label_space(*keys), images, pd.DataFrame(rows, columns=BOX_COLUMNS))


def rows_of(path):
    """Class and numbers of a label file, read as ultralytics does."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [int(row[0]) for row in rows], np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 4)


@st.composite
def picture_with_boxes(draw):
    size_wh = draw(st.tuples(st.integers(128, 5000), st.integers(128, 5000)))
    n = draw(st.integers(0, 4))
    boxes = []
    for _ in range(n):
        x1, y1 = (draw(st.floats(0, side - 2)) for side in size_wh)
        x2, y2 = draw(st.floats(x1 + 1, size_wh[0])), draw(st.floats(y1 + 1, size_wh[1]))
        boxes.append((draw(st.sampled_from(SIX)), x1, y1, x2, y2))
    return size_wh, boxes


@given(picture_with_boxes())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_label_files_read_back_are_the_same_boxes_to_a_millionth_of_a_pixel(tmp_path, case):
    size_wh, boxes = case

    write_yolo_files(a_manifest(tmp_path, SIX, boxes, size_wh))

    classes, fractions = rows_of(tmp_path / "labels" / "made" / f"{STEM}.txt")
    assert classes == [SIX.index(finding) for finding, *_ in boxes]
    assert ((fractions >= 0) & (fractions <= 1)).all()
    expected = np.array([corners for _, *corners in boxes]).reshape(-1, 4)
    assert np.allclose(yolo_to_xyxy(fractions, size_wh), expected, rtol=0, atol=1e-6)
    imported = read_rows(tmp_path / "labels" / "made" / f"{STEM}.txt", SIX)
    assert [box.label for box in imported] == [finding for finding, *_ in boxes]
    ours = np.array([box.xyxy for box in imported]).reshape(-1, 4) * np.tile(size_wh, 2)
    assert np.allclose(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("keys", [("nodule",), SIX, tuple("abcdefgh")], ids=len)
def test_the_class_is_the_position_in_the_label_space(tmp_path, keys):
    write_yolo_files(a_manifest(tmp_path, keys, [(keys[-1], 0, 0, 64, 64)]))

    assert rows_of(tmp_path / "labels" / "made" / f"{STEM}.txt")[0] == [len(keys) - 1]


def test_a_picture_without_boxes_has_an_empty_label_file(tmp_path):
    write_yolo_files(a_manifest(tmp_path, ("a",), []))

    assert (tmp_path / "labels" / "made" / "empty.txt").read_bytes() == b""


def ultralytics_label_path(picture):
    """`img2label_paths` of ultralytics 8.4: the last `images` becomes `labels`, the last suffix `.txt`."""
    images, labels = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    return labels.join(picture.rsplit(images, 1)).rsplit(".", 1)[0] + ".txt"


def test_the_lists_name_pictures_whose_labels_ultralytics_finds(tmp_path):
    write_yolo_files(a_manifest(tmp_path, ("a",), [("a", 0, 0, 9, 9)]))

    lists = {name: (tmp_path / f"{name}.txt").read_text().splitlines() for name in ("train", "val", "test")}
    assert lists == {"train": [f"./images/made/{STEM}.png"], "val": ["./images/made/empty.png"], "test": []}
    for line in lists["train"] + lists["val"]:
        picture = line.replace("./", f"{tmp_path}{os.sep}")  # what ultralytics does with a line
        assert os.path.exists(ultralytics_label_path(picture))  # noqa: PTH110 - as ultralytics asks


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("images/nih/00013118_008.png", "labels/nih/00013118_008.txt"),
        (f"images/lungs/{STEM}.png", f"labels/lungs/{STEM}.txt"),
    ],
)
def test_only_the_last_suffix_is_cut(tmp_path, picture, expected):
    assert label_file(tmp_path, picture) == tmp_path / expected
