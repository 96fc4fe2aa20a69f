"""Checking a data set: each fault of the catalogue is written into a made folder and told with file, line and code."""

import json
import os
import shutil
import zipfile
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest

from boxray.core.errors import CODES, DataError
from boxray.data.check import DATA_FAULTS, Fault, check
from boxray.data.check.tree import shown, split_word
from boxray.data.names import one_name
from built import build_tiny_set
from making import write_chest, write_coco, write_text

ROW = "0 0.5 0.5 0.1 0.1"
SPLITS = ("train", "val")


def a_yolo_set(root):
    """Two pictures in train and one in val, one of them without boxes; nothing is wrong with it."""
    for seed, (split, stem, rows) in enumerate(
        [("train", "a", [ROW, "1 0.25 0.75 0.5 0.5"]), ("train", "b", []), ("val", "c", ["1 0.9 0.9 0.2 0.2"])]
    ):
        write_chest(root / "images" / split / f"{stem}.png", seed=seed)
        write_text(root / "labels" / split / f"{stem}.txt", *rows)
    write_text(root / "data.yaml", "train: images/train", "val: images/val", "nc: 2", "names: [covid, effusion]")
    return root


def a_coco_set(root, boxes=((0, "covid", (10, 20, 30, 40)), (1, "effusion", (0, 0, 256, 256)))):
    """Two pictures with a box each."""
    for seed, stem in enumerate("ab"):
        write_chest(root / "images" / f"{stem}.png", seed=seed)
    write_coco(root, ["covid", "effusion"], [("a.png", 256, 256), ("b.png", 256, 256)], boxes)
    return root


def content(root):
    """The bytes of every file, by name."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def told(root, **options):
    """Faults and remarks as file, line and code; what was checked is the same afterwards."""
    before = content(root)
    report = check(root, **options)
    assert content(root) == before
    return [(fault.file, fault.line, fault.code) for fault in (*report.faults, *report.remarks)]


def reason_of(root, code):
    (reason,) = [fault.reason for fault in check(root).faults if fault.code == code]
    return reason


# --- clean sets -------------------------------------------------------------------------------------------------


def test_a_clean_yolo_set_has_no_fault_and_is_counted(tmp_path):
    report = check(a_yolo_set(tmp_path))

    assert (report.faults, report.remarks, report.clean) == ((), (), True)
    assert (report.n_pictures, report.n_label_files, report.n_boxes) == (3, 3, 3)


def test_a_clean_coco_set_has_no_fault_and_is_counted(tmp_path):
    report = check(a_coco_set(tmp_path))

    assert (report.faults, report.remarks) == ((), ())
    assert (report.n_pictures, report.n_label_files, report.n_boxes) == (2, 1, 2)


def test_what_data_build_writes_is_clean(tmp_path):
    build_tiny_set(tmp_path)

    report = check(tmp_path)

    assert report.faults == ()
    assert (report.n_pictures, report.n_boxes) == (18, 9)


def test_a_picture_that_the_built_set_puts_aside_is_in_no_list_and_no_fault(tmp_path):
    build_tiny_set(tmp_path)
    lines = (tmp_path / "train.txt").read_text().splitlines()
    write_text(tmp_path / "train.txt", *lines[1:])
    assert [code for _, _, code in told(tmp_path)] == ["picture.unlisted"]

    table = pd.read_parquet(tmp_path / "images.parquet")
    table.loc[table["picture"] == lines[0].removeprefix("./"), "split"] = "aside"
    table.to_parquet(tmp_path / "images.parquet")

    assert told(tmp_path) == []


@pytest.mark.real
def test_the_published_yolo_set_is_clean(shared):
    report = check(shared / "data" / "covid_gb", pixels=True)

    assert report.faults == ()
    assert (report.n_pictures, report.n_label_files, report.n_boxes) == (72, 72, 159)


@pytest.mark.real
def test_the_published_coco_set_lacks_a_category_and_seven_pictures(shared):
    report = check(shared / "data" / "covid_lungs")

    assert report.counts == {"label.invalid_row": 1, "picture.missing": 7}
    assert (report.n_pictures, report.n_boxes) == (609, 1232)
    assert "annotation 850" in reason_of(shared / "data" / "covid_lungs", "label.invalid_row")


@pytest.mark.parametrize("below", ["", "images/train", "one/two/images"])
def test_pictures_and_labels_may_lie_at_any_depth(tmp_path, below):
    below = below or "images"
    write_chest(tmp_path / below / "a.png")
    write_text(tmp_path / below.replace("images", "labels") / "a.txt", ROW)
    write_text(tmp_path / "beside.txt")  # another entry, or the folder would be looked through

    report = check(tmp_path)

    assert report.faults == ()
    assert (report.n_pictures, report.n_label_files) == (1, 1)


def test_a_folder_that_holds_nothing_but_the_set_is_looked_through(tmp_path):
    a_yolo_set(tmp_path / "download" / "v1")
    write_text(tmp_path / "download" / "v1" / "labels" / "val" / "c.txt", "7 0.5 0.5 0.1 0.1")

    assert told(tmp_path) == [("download/v1/labels/val/c.txt", 1, "label.invalid_row")]


def test_what_is_no_data_set_is_said_to_be_none(tmp_path):
    write_text(tmp_path / "letter.txt", "Dear colleague")

    with pytest.raises(DataError, match="no data set here: expected images/ with labels/"):
        check(tmp_path)
    with pytest.raises(DataError, match="there is no folder 'gone'"):
        check(tmp_path / "gone")


def test_hidden_files_class_lists_and_copies_of_pixels_are_passed_over(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "images" / "train" / ".DS_Store", "x")
    write_text(root / "images" / "train" / "a.npy", "x")
    write_text(root / "labels" / "train" / "classes.txt", "covid", "effusion")
    write_text(root / "labels" / "train.cache", "x")

    assert told(root) == []


# --- rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        pytest.param("0 nan 0.5 0.1 0.1", "label.invalid_row", "finite", id="nan_d1"),
        pytest.param("0 0.5 -INF 0.1 0.1", "label.invalid_row", "finite", id="inf_d1"),
        pytest.param("0 0.5 1e999 0.1 0.1", "label.invalid_row", "0 to 1", id="overflow_d1"),
        pytest.param("0 -0.5 0.5 0.1 0.1", "label.invalid_row", "negative", id="negative_d1"),
        pytest.param("0 1.5 0.5 0.1 0.1", "label.invalid_row", "0 to 1", id="out_of_range_d1"),
        pytest.param("2 0.5 0.5 0.1 0.1", "label.invalid_row", "class 2, but data.yaml has 2", id="class_ge_nc_d1"),
        pytest.param("-1 0.5 0.5 0.1 0.1", "label.invalid_row", "class counted from 0", id="class_below_0_d1"),
        pytest.param("0.0 0.5 0.5 0.1 0.1", "label.invalid_row", "class counted from 0", id="class_float_d1"),
        pytest.param("1_0 0.5 0.5 0.1 0.1", "label.invalid_row", "class counted from 0", id="underscore_d1"),
        pytest.param("0 0.5 0.5 0.1 ٠.1", "label.invalid_row", "numbers such as", id="other_digits_d1"),
        pytest.param("0 0.5 0.5", "label.invalid_row", "cut short", id="half_row_d1"),
        pytest.param("effusion left side of chest", "label.invalid_row", "class", id="text_d1"),
        pytest.param("0 0,5 0,5 0,1 0,1", "label.invalid_row", "numbers such as", id="decimal_commas_d1"),
        pytest.param("0 0.5 0.5 0.1 0.1 0.9", "label.invalid_row", "score", id="six_columns_d1"),
        pytest.param("0 0.1 0.1 0.2 0.1 0.2 0.2", "label.invalid_row", "polygon", id="polygon_d1"),
        pytest.param("0 0.5 0.5 0 0.1", "label.degenerate", "side of 0", id="no_width_d2"),
        pytest.param("0 0.5 0.5 0.1 0.000", "label.degenerate", "side of 0", id="no_height_d2"),
        pytest.param("0 0.955 0.5 0.1 0.1", "label.degenerate", "0.50%", id="over_the_edge_d2"),
        pytest.param("0 0.5 0.046 0.1 0.1", "label.degenerate", "0.40%", id="over_the_upper_edge_d2"),
        pytest.param("0 0.5 0.5 0.1 0.", "label.degenerate", "torn", id="torn_number_d2"),
        pytest.param("0 300 200 100 80", "label.format_suspect", "pixels", id="pixels_d3"),
        pytest.param("0 0 0 300 200", "label.format_suspect", "pixels", id="pixels_from_the_corner_d3"),
        pytest.param("0 0.6 0.7 0.9 0.95", "label.format_suspect", "fits as corners", id="corners_d3"),
        pytest.param("0 0.1 0.2 0.5 0.1", "label.format_suspect", "corner and size", id="corner_and_size_d3"),
    ],
)
def test_a_row_that_is_no_box_is_told_with_its_line(tmp_path, row, code, reason):
    root = a_yolo_set(tmp_path)
    write_text(root / "labels" / "train" / "a.txt", ROW, "", row, "1 0.25 0.75 0.5 0.5")

    assert told(root) == [("labels/train/a.txt", 3, code)]
    assert reason in reason_of(root, code)


def test_what_rounding_puts_over_the_edge_is_no_fault_d2(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "labels" / "train" / "a.txt", "0 0.0333 0.5 0.0667 0.1", "0 0.9667 0.5 0.0667 0.1")

    assert told(root) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_labels_in_another_encoding_are_one_fault_or_one_a_line_d1(tmp_path, encoding):
    root = a_yolo_set(tmp_path)
    (root / "labels" / "train" / "a.txt").write_bytes(f"{ROW} é\n".encode(encoding))

    assert {(file, code) for file, _, code in told(root)} == {("labels/train/a.txt", "label.invalid_row")}


def test_a_byte_order_mark_is_no_fault_d1(tmp_path):
    root = a_yolo_set(tmp_path)
    (root / "labels" / "train" / "a.txt").write_bytes(f"{ROW}\n".encode("utf-8-sig"))

    assert told(root) == []


def test_every_fault_is_told_and_none_hides_the_next(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "labels" / "train" / "a.txt", "x", ROW, "9 0.5 0.5 0.1 0.1", "0 0.5 0.5 0 0")
    (root / "labels" / "train" / "b.txt").write_bytes(b"\xff\xfe\x00")
    (root / "images" / "val" / "c.png").write_bytes(b"no picture")

    assert told(root) == [
        ("images/val/c.png", None, "input.not_supported"),
        ("labels/train/a.txt", 1, "label.invalid_row"),
        ("labels/train/a.txt", 3, "label.invalid_row"),
        ("labels/train/a.txt", 4, "label.degenerate"),
        ("labels/train/b.txt", None, "label.invalid_row"),
    ]


def test_a_label_file_of_megabytes_is_not_read_d1(tmp_path):
    root = a_yolo_set(tmp_path)
    (root / "labels" / "train" / "a.txt").write_bytes(b"\n" * (2**20 + 1))

    assert told(root) == [("labels/train/a.txt", None, "data.unreadable")]


def test_a_whole_set_of_corners_is_suspected_as_a_whole_d3(tmp_path):
    """Most such rows stay inside the picture when they are misread; only together they give themselves away."""
    root = a_yolo_set(tmp_path)
    rows = [f"0 0.{place}5 0.45 0.{place}9 0.55" for place in range(1, 9)]
    write_text(root / "labels" / "train" / "a.txt", *rows)
    write_text(root / "labels" / "val" / "c.txt", "0 0.5 0.5 0.6 0.6")

    assert ("labels", None, "label.format_suspect") in told(root)
    (whole,) = [fault.reason for fault in check(root).faults if fault.file == "labels"]
    assert "In 9 of 9 boxes" in whole


def test_large_boxes_in_the_upper_left_are_not_suspected_d3(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "labels" / "train" / "a.txt", *(f"0 0.3 0.4 0.{digit}1 0.75" for digit in (3, 4, 5)))
    write_text(root / "labels" / "val" / "c.txt", *(f"1 0.3{digit} 0.4 0.5 0.75" for digit in range(7)))

    assert told(root) == []


def test_a_missing_label_file_is_a_fault_and_an_empty_one_is_none_d4(tmp_path):
    root = a_yolo_set(tmp_path)
    (root / "labels" / "train" / "a.txt").unlink()

    assert (root / "labels" / "train" / "b.txt").read_bytes() == b""
    assert told(root) == [("images/train/a.png", None, "label.missing")]


def test_all_label_files_missing_are_so_many_faults_d4(tmp_path):
    root = a_yolo_set(tmp_path)
    shutil.rmtree(root / "labels")

    assert [code for _, _, code in told(root)] == ["label.missing"] * 3


def test_the_same_row_twice_is_told_with_the_first_one_d5(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "labels" / "train" / "a.txt", ROW, "1 0.5 0.5 0.1 0.1", "0 0.50 .5 1e-1 0.1")

    assert told(root) == [("labels/train/a.txt", 3, "label.duplicate_row")]
    assert "line 1" in reason_of(root, "label.duplicate_row")


def test_a_last_row_without_end_of_line_is_a_remark_and_leaves_the_set_clean_d6(tmp_path):
    root = a_yolo_set(tmp_path)
    (root / "labels" / "train" / "a.txt").write_text(f"{ROW}\n1 0.5 0.5 0.1 0.1")

    report = check(root)

    assert report.clean
    assert [(remark.file, remark.line, remark.code) for remark in report.remarks] == [
        ("labels/train/a.txt", 2, "label.half_written")
    ]


# --- splits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [a_yolo_set, None], ids=["yolo", "coco"])
def test_a_patient_in_two_splits_is_told_once_and_not_named_d7(tmp_path, make):
    root = make(tmp_path) if make else two_coco_files(tmp_path)
    names = sorted(path.name for path in (root / "images").rglob("*.png"))
    rows = [f"Jane-Doe-4711,{name}" for name in names]
    write_text(root / "metadata.csv", "patientid,filename", *rows)

    report = check(root)

    assert [fault.code for fault in report.faults] == ["split.patient_overlap"]
    assert report.faults[0].file == f"images/val/{names[-1]}"
    assert "4711" not in json.dumps(report.to_json())


def test_patients_that_keep_to_their_split_or_are_not_known_are_no_fault_d7(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "metadata.csv", "patientid,filename", "1,a.png", "1,b.png", "2,gone.png", ",c.png")

    assert told(root) == []


def test_patients_of_a_built_set_come_from_its_tables_d7(tmp_path):
    build_tiny_set(tmp_path)
    table = pd.read_parquet(tmp_path / "images.parquet")
    table.loc[table["split"] == "test", "patient"] = table.loc[table["split"] == "train", "patient"].to_numpy()
    table.to_parquet(tmp_path / "images.parquet")

    assert [code for _, _, code in told(tmp_path)] == ["split.patient_overlap"] * 6


def test_a_table_of_patients_that_cannot_be_read_is_a_fault_d7(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "metadata.csv", "patient,file", "7,a.png")

    assert told(root) == [("metadata.csv", None, "data.table_invalid")]


def test_the_same_bytes_in_two_splits_are_told_d8(tmp_path):
    root = a_yolo_set(tmp_path)
    shutil.copy(root / "images" / "train" / "a.png", root / "images" / "val" / "c.png")

    assert told(root) == [("images/val/c.png", None, "split.image_overlap")]
    assert "'images/train/a.png', which is in train" in reason_of(root, "split.image_overlap")


def test_the_same_bytes_in_one_split_or_without_splits_are_no_matter_of_splits_d8(tmp_path):
    root = a_yolo_set(tmp_path)
    shutil.copy(root / "images" / "train" / "a.png", root / "images" / "train" / "b.png")

    assert told(root) == []


def test_a_picture_in_two_lists_is_told_d8(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "data.yaml", "train: train.txt", "val: val.txt", "names: [covid, effusion]")
    write_text(root / "train.txt", "./images/train/a.png", "./images/train/b.png", "./images/val/c.png")
    write_text(root / "val.txt", "./images/val/c.png")

    assert told(root) == [("images/val/c.png", None, "split.image_overlap")]


def two_coco_files(root, shared=False):
    """COCO's own layout: a JSON and a folder per split."""
    for seed, (split, stem) in enumerate((("train2017", "a"), ("val2017", "b"))):
        folder = "images/val" if split == "val2017" else "images/train"
        write_chest(root / folder / f"{stem}.png", seed=seed)
        names = [f"{stem}.png"] + (["b.png"] if shared and stem == "a" else [])
        made = write_coco(root, ["covid"], [(name, 256, 256) for name in names], [(0, "covid", (1, 2, 30, 40))])
        (root / "annotations").mkdir(exist_ok=True)
        made.rename(root / "annotations" / f"instances_{split}.json")
    return root


def test_a_picture_that_two_coco_files_name_is_told_d8(tmp_path):
    assert told(two_coco_files(tmp_path / "apart")) == []
    assert told(two_coco_files(tmp_path / "shared", shared=True)) == [("images/val/b.png", None, "split.image_overlap")]


# --- data files, lists, links -----------------------------------------------------------------------------------

BILLION_LAUGHS = ("a: &a [x, x]", "b: &b [*a, *a]", "c: [*b, *b]", "names: [covid, effusion]")


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        pytest.param(("names: !!python/object/apply:os.system ['touch x']",), 1, id="python_object_d9a"),
        pytest.param(BILLION_LAUGHS, 2, id="billion_laughs_d9a"),
        pytest.param(("names: [a, b]", "names: [b, a]"), 2, id="a_key_twice_d9a"),
        pytest.param(("names: [a,",), 2, id="torn_d9a"),
        pytest.param(("when: 2020-99-99",), None, id="an_impossible_date_d9a"),
        pytest.param(("x: " + "[" * 5000,), None, id="deeply_nested_d9a"),
        pytest.param(("- a",), None, id="a_list_d9a"),
        pytest.param(("nc: 2", "names: {0: a, 2: b}"), 2, id="a_number_left_out_d9a"),
        pytest.param(("nc: 3", "names: [a, b]"), 1, id="nc_and_names_differ_d9a"),
    ],
)
def test_a_data_file_that_is_no_plain_yaml_is_a_fault_d9a(tmp_path, lines, line):
    root = a_yolo_set(tmp_path)
    write_text(root / "data.yaml", *lines)

    assert told(root) == [("data.yaml", line, "data.yaml_invalid")]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("download: import os", id="download_d9b"),
        pytest.param("'download': ''", id="quoted_download_d9b"),
        pytest.param("path: /etc", id="absolute_path_d9b"),
        pytest.param("path: ../other", id="path_above_d9b"),
        pytest.param("path: coco8", id="path_to_the_folder_of_a_user_d9b"),
        pytest.param("path: C:\\sets", id="path_of_a_drive_d9b"),
    ],
)
def test_a_key_that_others_run_or_follow_is_a_fault_d9b(tmp_path, key):
    root = a_yolo_set(tmp_path)
    write_text(root / "other.yaml", "names: [covid, effusion]", key)

    assert told(root) == [("other.yaml", 2, "data.yaml_code")]


@pytest.mark.parametrize("path", [".", "./", "absolute"])
def test_a_path_that_is_the_set_itself_is_no_fault_d9b(tmp_path, path):
    root = a_yolo_set(tmp_path)
    path = str(root) if path == "absolute" else path
    write_text(root / "data.yaml", f"path: {path}", "train: images/train", "val: images/val", "names: [a, b]")

    assert told(root) == []


def test_a_link_is_told_and_not_followed_d10(tmp_path):
    root, outside = a_yolo_set(tmp_path / "set"), write_chest(tmp_path / "outside" / "x.png", seed=9)
    (root / "images" / "train" / "x.png").symlink_to(outside)
    (root / "images" / "train" / "y.png").symlink_to("a.png")
    (root / "labels" / "more").symlink_to(tmp_path)

    assert told(root) == [
        ("images/train/x.png", None, "data.link"),
        ("images/train/y.png", None, "data.link"),
        ("labels/more", None, "data.link"),
    ]
    reasons = [fault.reason for fault in check(root).faults]
    assert ["out of the data set" in reason for reason in reasons] == [True, False, True]


def test_links_are_followed_where_that_is_asked_for_and_a_circle_ends_d10(tmp_path):
    root = a_yolo_set(tmp_path / "elsewhere")
    (tmp_path / "set").mkdir()
    for name in ("images", "labels", "data.yaml"):
        (tmp_path / "set" / name).symlink_to(root / name)
    (root / "images" / "train" / "again").symlink_to(root / "images")

    assert check(tmp_path / "set", follow_links=True).n_pictures == 3
    assert told(tmp_path / "set", follow_links=True) == []


def test_a_broken_link_and_a_pipe_are_told_and_not_waited_for_d10(tmp_path):
    root = a_yolo_set(tmp_path)
    os.mkfifo(root / "images" / "train" / "pipe.png")
    (root / "labels" / "gone.txt").symlink_to("nowhere")

    assert {(fault.file, fault.code) for fault in check(root, follow_links=True).faults} == {
        ("images/train/pipe.png", "data.unreadable"),
        ("labels/gone.txt", "data.unreadable"),
    }


@pytest.mark.parametrize("written", ["../secret.png", "images/../../secret.png", "..\\secret.png", "/etc/passwd"])
def test_a_list_that_leads_out_is_told_with_its_line_d10(tmp_path, written):
    root = a_yolo_set(tmp_path / "set")
    write_chest(tmp_path / "secret.png")
    write_text(root / "data.yaml", "names: [covid, effusion]")
    write_text(root / "train.txt", "./images/train/a.png", "images/train/b.png", written)
    write_text(root / "val.txt", str(root / "images" / "val" / "c.png"))

    assert told(root) == [("train.txt", 3, "data.path_outside")]


def test_a_split_of_the_data_file_that_leads_out_or_nowhere_is_told_d10(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "data.yaml", "names: [covid, effusion]", "train: ../train/images", "val: [images/gone]")

    assert told(root) == [("data.yaml", 2, "data.path_outside"), ("data.yaml", 3, "picture.missing")]


def test_a_list_with_a_line_twice_or_without_its_picture_is_told_and_so_is_what_it_leaves_out_d10(tmp_path):
    root = a_yolo_set(tmp_path)
    write_text(root / "data.yaml", "names: [covid, effusion]", "train: train.txt")
    write_text(root / "train.txt", "./images/train/a.png", "./images/train/gone.png", "images/train/a.png")

    assert told(root) == [
        ("images/train/b.png", None, "picture.unlisted"),
        ("images/val/c.png", None, "picture.unlisted"),
        ("train.txt", 2, "picture.missing"),
        ("train.txt", 3, "list.duplicate_line"),
    ]


# --- archives ---------------------------------------------------------------------------------------------------


def zipped(root, archive):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in content(root).items():
            opened.writestr(f"set/{name}", data)
    return archive


def test_a_zip_file_is_checked_like_its_folder_and_nothing_is_left_beside_it_d11(tmp_path):
    root = a_yolo_set(tmp_path / "set")
    write_text(root / "labels" / "train" / "a.txt", "9 0.5 0.5 0.1 0.1")
    archive = zipped(root, tmp_path / "set.zip")
    shutil.rmtree(root)

    report = check(archive)

    assert [(fault.file, fault.line, fault.code) for fault in report.faults] == [
        ("set/labels/train/a.txt", 1, "label.invalid_row")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_an_unsafe_zip_file_gives_its_own_faults_only_d11(tmp_path):
    archive = zipped(a_yolo_set(tmp_path / "set"), tmp_path / "set.zip")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("../out.txt", "x")
        opened.writestr("/abs.txt", "x")

    report = check(archive)

    assert [(fault.file, fault.code) for fault in report.faults] == [
        ("../out.txt", "archive.unsafe"),
        ("/abs.txt", "archive.unsafe"),
    ]
    assert not (tmp_path / "out.txt").exists()


def test_a_file_that_is_no_zip_is_a_fault_d11(tmp_path):
    report = check(write_text(tmp_path / "set.zip", "no archive"))

    assert [(fault.file, fault.code) for fault in report.faults] == [("set.zip", "archive.unsafe")]


# --- names and pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("A", "a"), ("caf\u00e9", "cafe\u0301"), ("straße", "STRASSE")],
    ids=["case_d12", "unicode_form_d12", "folded_d12"],
)
def test_names_that_are_one_elsewhere_are_told_d12(tmp_path, one, other):
    for seed, stem in enumerate((one, other)):
        write_chest(tmp_path / "images" / f"{stem}.png", seed=seed)
        write_text(tmp_path / "labels" / f"{stem}.txt", ROW)
    if len(list((tmp_path / "images").iterdir())) < 2:
        pytest.skip("this file system holds the two names to be one")

    assert [code for _, _, code in told(tmp_path)] == ["name.collision"] * 2
    assert one_name(one) == one_name(other)


def test_a_label_file_in_another_unicode_form_is_hinted_at_d12(tmp_path):
    write_chest(tmp_path / "images" / "caf\u00e9.png")
    write_text(tmp_path / "labels" / "cafe\u0301.txt", ROW)

    assert [code for _, _, code in told(tmp_path)] == ["label.missing", "picture.missing"]
    assert "differs only in case or Unicode form" in reason_of(tmp_path, "label.missing")


def test_two_pictures_of_one_label_file_are_told_d12(tmp_path):
    root = a_yolo_set(tmp_path)
    write_chest(root / "images" / "train" / "a.jpg", seed=5)

    assert told(root) == [("images/train/a.png", None, "name.collision")]


def test_spaces_dots_and_long_paths_are_no_fault_d12(tmp_path):
    below = "/".join(["a folder with a long name and spaces"] * 7)
    stem = "41591_2020_819_Fig1_HTML.webp-day10 (1) é"
    write_chest(tmp_path / "images" / "a.png").rename(tmp_path / "images" / "x.png")
    long = tmp_path / "images" / below
    long.mkdir(parents=True)
    (tmp_path / "images" / "x.png").rename(long / f"{stem}.png")
    write_text(tmp_path / "labels" / below / f"{stem}.txt", ROW)
    write_text(tmp_path / "train.txt", f"./images/{below}/{stem}.png")

    assert len(str(long)) > 300
    assert told(tmp_path) == []


def test_names_that_are_no_utf8_or_would_end_a_line_are_shown_escaped_d12(tmp_path):
    root = a_yolo_set(tmp_path)
    (root / "images" / "train" / "two\nlines\x1b[31m.png").write_bytes(b"")
    (root / "images" / "train" / os.fsdecode(b"\xff.png")).write_bytes(b"")

    lines = [str(fault) for fault in check(root).faults if fault.code == "input.not_supported"]

    assert [line.partition(": ")[0] for line in lines] == [
        "images/train/\\udcff.png",
        "images/train/two\\nlines\\x1b[31m.png",
    ]
    assert shown("é b.png") == "é b.png"


@pytest.mark.parametrize(
    ("suffix", "harm", "code"),
    [
        pytest.param(".png", lambda data: b"", "input.not_supported", id="empty_d12"),
        pytest.param(".png", lambda data: data[:-9], "image.truncated", id="cut_off_png_d12"),
        pytest.param(".jpg", lambda data: data[:-2], "image.truncated", id="cut_off_jpeg_d12"),
        pytest.param(".png", lambda data: b"GIF89a" + data, "input.not_supported", id="gif_d12"),
        pytest.param(".tif", lambda data: data, "picture.suffix", id="suffix_d12"),
    ],
)
def test_a_picture_that_does_not_open_is_told_without_decoding_d12(tmp_path, suffix, harm, code):
    root = a_yolo_set(tmp_path)
    source = write_chest(tmp_path / "made" / ("a.jpg" if suffix == ".jpg" else "a.png"), seed=8)
    shutil.rmtree(root / "images" / "val")
    (root / "images" / "val").mkdir()
    (root / "images" / "val" / f"c{suffix}").write_bytes(harm(source.read_bytes()))
    shutil.rmtree(tmp_path / "made")

    assert told(root) == [(f"images/val/c{suffix}", None, code)]


def test_a_picture_of_too_few_or_too_many_pixels_is_told_from_its_header_d12(tmp_path):
    root = a_yolo_set(tmp_path)
    write_chest(root / "images" / "train" / "a.png", size_wh=(100, 200))
    path = root / "images" / "train" / "b.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)

    assert told(root) == [
        ("images/train/a.png", None, "image.too_small"),
        ("images/train/b.png", None, "image.too_many_pixels"),
    ]


def test_only_decoding_finds_what_the_header_hides_d12(tmp_path):
    root = a_yolo_set(tmp_path)
    assert cv2.imwrite(str(root / "images" / "train" / "a.png"), np.zeros((256, 256), np.uint8))

    assert told(root) == []
    assert told(root, pixels=True) == [("images/train/a.png", None, "quality.blank")]


def test_rows_without_a_picture_are_told_d12(tmp_path):
    root = a_yolo_set(tmp_path)
    (root / "images" / "train" / "b.png").unlink()

    assert told(root) == [("labels/train/b.txt", None, "picture.missing")]


# --- COCO -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xywh", "code", "reason"),
    [
        pytest.param((10, 20, float("nan"), 5), "label.invalid_row", "finite", id="nan_d1"),
        pytest.param((10, 20, float("inf"), 5), "label.invalid_row", "finite", id="inf_d1"),
        pytest.param((10, 20, 10**400, 5), "label.invalid_row", "finite", id="a_number_without_end_d1"),
        pytest.param((10, 20, "30", 5), "label.invalid_row", "finite", id="text_d1"),
        pytest.param((10, 20, True, 5), "label.invalid_row", "finite", id="truth_d1"),
        pytest.param((10, 20, 30), "label.invalid_row", "four", id="half_d1"),
        pytest.param((10, 20, -30, 5), "label.invalid_row", "width", id="negative_d1"),
        pytest.param((10, 20, 0, 5), "label.degenerate", "no area", id="no_width_d2"),
        pytest.param((-1, 20, 30, 40), "label.degenerate", "0.39%", id="over_the_edge_d2"),
        pytest.param((10, 20, 30, 400), "label.degenerate", "64.06%", id="far_over_the_edge_d2"),
        pytest.param((150, 160, 250, 240), "label.format_suspect", "fits as corners", id="corners_d3"),
        pytest.param((0.1, 0.2, 0.3, 0.4), "label.format_suspect", "fractions", id="fractions_d3"),
    ],
)
def test_an_annotation_that_is_no_box_is_told_with_its_id(tmp_path, xywh, code, reason):
    root = a_coco_set(tmp_path, [(0, "covid", (1, 2, 30, 40)), (1, "effusion", xywh)])

    assert told(root) == [("annotations.json", None, code)]
    assert reason_of(root, code).startswith("annotation 2: ")
    assert reason in reason_of(root, code)


def changed(root, **changes):
    """The JSON with some of its keys changed."""
    path = root / "annotations.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return root


IMAGE = {"id": 1, "file_name": "a.png", "width": 256, "height": 256}
OTHER = {"id": 2, "file_name": "b.png", "width": 256, "height": 256}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}
CATEGORY = {"id": 1, "name": "covid"}


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        pytest.param({"annotations": [BOX, BOX | {"id": 2}]}, ["label.duplicate_row"], id="the_same_box_twice_d5"),
        pytest.param({"annotations": [BOX | {"image_id": 9}]}, ["label.invalid_row"], id="on_no_image_d1"),
        pytest.param({"annotations": [BOX | {"category_id": 9}]}, ["label.invalid_row"], id="of_no_category_d1"),
        pytest.param({"annotations": [BOX | {"image_id": [1]}]}, ["label.invalid_row"], id="an_id_that_is_a_list_d1"),
        pytest.param({"annotations": ["x"]}, ["label.invalid_row"], id="an_annotation_that_is_text_d1"),
        pytest.param({"annotations": [BOX, BOX | {"bbox": [5, 5, 9, 9]}]}, ["label.invalid_row"], id="an_id_twice_d1"),
        pytest.param({"annotations": {}}, ["data.json_invalid"], id="no_list_of_annotations_d1"),
        pytest.param({"categories": None}, ["data.json_invalid"], id="no_categories_d1"),
        pytest.param({"categories": [CATEGORY] * 2, "annotations": []}, ["data.json_invalid"], id="category_twice_d1"),
        pytest.param({"images": [IMAGE, OTHER | {"width": 0}]}, ["data.json_invalid"], id="no_width_of_an_image_d1"),
        pytest.param({"images": [IMAGE, OTHER, OTHER]}, ["data.json_invalid"], id="an_image_twice_d1"),
        pytest.param({"images": [IMAGE, OTHER, OTHER | {"id": 3}]}, ["name.collision"], id="a_picture_twice_d5"),
        pytest.param(
            {"images": [IMAGE, OTHER, IMAGE | {"id": 3, "file_name": "../../etc/passwd"}]},
            ["data.path_outside"],
            id="a_path_that_leads_out_d10",
        ),
        pytest.param(
            {"images": [IMAGE, OTHER, IMAGE | {"id": 3, "file_name": "A.png"}]},
            ["name.collision", "picture.missing"],
            id="case_only_d12",
        ),
        pytest.param(
            {"images": [IMAGE | {"neg_category_ids": [1]}, OTHER]}, ["label.contradiction"], id="boxed_and_absent_d1"
        ),
        pytest.param(
            {"images": [IMAGE | {"not_exhaustive_category_ids": [7]}, OTHER]},
            ["label.invalid_row"],
            id="of_a_category_that_is_not_listed_d1",
        ),
        pytest.param({"images": [IMAGE]}, ["picture.unlisted", "label.invalid_row"], id="a_picture_without_row_d12"),
        pytest.param(
            {"images": [IMAGE, OTHER, IMAGE | {"id": 3, "file_name": "gone.png"}]},
            ["picture.missing"],
            id="a_row_without_picture_d12",
        ),
    ],
)
def test_a_coco_file_that_contradicts_itself_or_its_pictures_is_told(tmp_path, changes, codes):
    root = changed(a_coco_set(tmp_path), **changes)

    assert sorted(code for _, _, code in told(root)) == sorted(codes)


@pytest.mark.parametrize(
    ("text", "line"),
    [('{"images": [],\n"annotations": [', 2), ("[" * 200_000, None), ('{"images": ' + "9" * 5000 + "}", None)],
    ids=["torn_d6", "deeply_nested_d9a", "a_number_of_5000_digits_d9a"],
)
def test_a_json_that_cannot_be_read_is_a_fault_and_so_are_the_pictures_it_does_not_name(tmp_path, text, line):
    root = a_coco_set(tmp_path)
    (root / "annotations.json").write_text(text)

    assert told(root)[0] == ("annotations.json", line, "data.json_invalid")


def test_corners_in_a_whole_coco_file_are_suspected_d3(tmp_path):
    corners = [(0, "covid", (10 * n, 10 * n, 25 * n, 20 * n)) for n in range(1, 11)]
    root = a_coco_set(tmp_path, corners)

    assert any("In 10 of 10 boxes" in fault.reason for fault in check(root).faults)


def test_one_torn_coco_file_does_not_hide_the_other(tmp_path):
    root = two_coco_files(tmp_path)
    write_text(root / "annotations" / "instances_train2017.json", "{")
    path = root / "annotations" / "instances_val2017.json"
    path.write_text(path.read_text().replace("[1, 2, 30, 40]", "[1, 2, 30]"))

    assert [(file, code) for file, _, code in told(root)] == [
        ("annotations/instances_train2017.json", "data.json_invalid"),
        ("annotations/instances_val2017.json", "label.invalid_row"),
        ("images/train/a.png", "picture.unlisted"),
    ]


# --- the report -------------------------------------------------------------------------------------------------


def test_progress_ends_at_the_number_of_files(tmp_path):
    calls = []

    check(a_yolo_set(tmp_path), progress=lambda done, total: calls.append((done, total)))

    assert calls == [(done, 6) for done in range(1, 7)]


def test_a_code_that_is_in_no_table_cannot_be_told():
    with pytest.raises(KeyError, match="not a code of a data fault"):
        Fault("a.txt", 1, "label.strange", "x")
    assert not DATA_FAULTS.keys() & CODES.keys()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("instances_train2017", "train"),
        ("valid", "val"),
        ("Testing", "test"),
        ("trainval", None),
        ("train_and_test", None),
        ("retrained", None),
    ],
)
def test_a_split_is_a_word_of_a_name(text, word):
    assert split_word(text) == word
