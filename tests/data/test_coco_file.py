"""The built set as COCO: read back it is the same boxes, and it says what nobody looked for."""

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from typer.testing import CliRunner

from boxray.cli.main import app
from boxray.data.check import check
from boxray.data.coco_file import write_coco_file
from boxray.data.sources import Download
from boxray.data.sources.coco import records
from boxray.data.split import Split
from built import TWO, box_row, build_tiny_set, image_row, manifest_of
from making import SIX, label_space

CELLS = {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}


def written(manifest, path):
    write_coco_file(manifest, path)
    return json.loads(path.read_text(encoding="utf-8"))


@st.composite
def picture_with_boxes(draw):
    size_wh = draw(st.tuples(st.integers(128, 5000), st.integers(128, 5000)))
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x1, y1 = (draw(st.floats(0, side - 2)) for side in size_wh)
        x2, y2 = draw(st.floats(x1 + 1, size_wh[0])), draw(st.floats(y1 + 1, size_wh[1]))
        boxes.append((draw(st.sampled_from(SIX)), x1, y1, x2, y2))
    return size_wh, boxes


@given(picture_with_boxes())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_boxes_come_back_through_the_importer_to_a_billionth_of_a_pixel(tmp_path, case):
    (width, height), boxes = case
    image = image_row(7, "train", dict.fromkeys(SIX, ("unknown", "none"))) | {"width": width, "height": height}
    rows = [box_row(image["image_id"], finding, tuple(corners)) for finding, *corners in boxes]

    write_coco_file(manifest_of(tmp_path, [image], rows, label_space(*SIX)), tmp_path / "annotations.json")
    (record,) = records(Download(tmp_path))

    assert (record.image, record.frame_wh) == ("7", (width, height))
    assert [box.label for box in record.boxes] == [finding for finding, *_ in boxes]
    ours = np.array([box.xyxy for box in record.boxes]).reshape(-1, 4)
    assert np.allclose(ours, np.array([corners for _, *corners in boxes]).reshape(-1, 4), rtol=0, atol=1e-9)


def test_each_cell_of_presence_is_in_its_list(tmp_path):
    states = ("boxed", "present", "absent", "unknown")
    space = label_space(*states)
    image = image_row(0, "train", {state: (state, "label") for state in states})

    content = written(
        manifest_of(tmp_path, [image], [box_row("made:0", "boxed", (1, 2, 3, 5))], space), tmp_path / "a.json"
    )

    (row,) = content["images"]
    assert row["neg_category_ids"] == [space.index("absent") + 1]
    assert row["not_exhaustive_category_ids"] == [space.index("present") + 1, space.index("unknown") + 1]
    assert [(one["id"], one["name"]) for one in content["categories"]] == list(enumerate(states, start=1))


def test_an_annotation_has_its_readers_and_the_published_word(tmp_path):
    box = box_row("made:1", "heart", (1.25, 2.5, 11.25, 22.5)) | {"readers": "made/R8 made/R9", "raw_label": "Herz"}
    images = [image_row(number, "train", CELLS) for number in (0, 1)]

    (row,) = written(manifest_of(tmp_path, images, [box]), tmp_path / "a.json")["annotations"]

    assert row == {
        "id": 1,
        "image_id": 2,
        "category_id": TWO.index("heart") + 1,
        "bbox": [1.25, 2.5, 10.0, 20.0],
        "area": 200.0,
        "iscrowd": 0,
        "reader": "made/R8 made/R9",
        "raw_label": "Herz",
    }


def test_pycocotools_reads_it_and_our_check_finds_no_fault(tmp_path):
    manifest = build_tiny_set(tmp_path)
    write_coco_file(manifest, tmp_path / "annotations.json")

    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(tmp_path / "annotations.json"))

    assert len(theirs.getImgIds()) == len(manifest.images)
    for image_id in theirs.getImgIds():
        boxes = [row["bbox"] for row in theirs.loadAnns(theirs.getAnnIds(imgIds=[image_id]))]
        (image,) = theirs.loadImgs([image_id])
        ours = manifest.boxes[manifest.boxes["image_id"] == manifest.images["image_id"][image_id - 1]]
        assert boxes == [[60.0, 150.0, 60.0, 60.0]] * len(ours)
        assert (tmp_path / image["file_name"]).is_file()
    assert check(tmp_path).faults == ()


def test_a_part_is_written_alone_and_what_was_there_is_replaced(tmp_path):
    manifest = manifest_of(tmp_path, [image_row(number, "train", CELLS) for number in range(3)], [])
    path = tmp_path / "annotations.json"
    path.write_text("something else")

    content = written(manifest.only(manifest.images["image"] == "2"), path)

    assert [(row["id"], row["file_name"]) for row in content["images"]] == [(1, "images/made/2.png")]
    assert content["annotations"] == []
    assert [one.name for one in tmp_path.iterdir()] == ["annotations.json"]


def test_a_corner_that_is_no_number_is_never_written(tmp_path):
    box = box_row("made:0", "fluid", (1, 2, float("nan"), 4))
    path = tmp_path / "annotations.json"

    with pytest.raises(ValueError, match="JSON compliant"):
        write_coco_file(manifest_of(tmp_path, [image_row(0, "train", CELLS)], [box]), path)
    assert not path.exists()


def test_the_command_writes_the_whole_set_or_one_part_beside_its_images(tmp_path):
    manifest = build_tiny_set(tmp_path)

    told = [CliRunner().invoke(app, ["data", "coco", str(tmp_path), *part]) for part in ([], ["--split", "test"])]

    files = [tmp_path / name for name in ("annotations.json", "annotations-test.json")]
    assert [result.exit_code for result in told] == [0, 0]
    assert all(str(file) in result.stdout for file, result in zip(files, told, strict=True))
    written_images = [json.loads(file.read_text())["images"] for file in files]
    assert [len(images) for images in written_images] == [len(manifest.images), len(manifest.part(Split.TEST).images)]
