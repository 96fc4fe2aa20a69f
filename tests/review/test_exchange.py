"""To CVAT and Label Studio and back: nothing is lost, and what was changed there is a correction here."""

import json
from xml.etree import ElementTree as ET

import pytest

from boxray.core.boxes import Box
from boxray.core.errors import DataError
from boxray.core.reading import Detection
from boxray.data.corrections import Kind
from boxray.review.exchange import (
    edits_from,
    label_config,
    out_images,
    read_cvat,
    read_label_studio,
    write_cvat,
    write_label_studio,
)
from boxray.review.readings import Said
from built import TWO, box_row, image_row, manifest_of

XYXY = (10.25, 20.5, 90.0, 140.125)
WAYS = [
    pytest.param(write_cvat, read_cvat, "out.xml", id="cvat"),
    pytest.param(write_label_studio, read_label_studio, "out.json", id="label_studio"),
]


@pytest.fixture
def made(tmp_path):
    rows = [
        image_row(1, "test", {"fluid": ("boxed", "box"), "heart": ("unknown", "none")}),
        image_row(2, "test", {"fluid": ("absent", "label"), "heart": ("present", "label")}),
    ]
    return manifest_of(tmp_path, rows, [box_row("made:1", "fluid", XYXY)])


@pytest.fixture
def images(made):
    said = {"made:2": Said("RESULT", detections=(Detection("fluid", 0.8125, Box(1, 2, 30, 40)),))}
    return out_images(made, said, {}, "alice")


@pytest.mark.parametrize(("write", "read", "name"), WAYS)
def test_ids_negatives_presence_and_scores_come_back(images, tmp_path, write, read, name):
    write(images, tmp_path / name)
    back = read(tmp_path / name)
    assert [image.sha256 for image in back] == [image.sha256 for image in images]
    assert [dict(image.presence) for image in back] == [dict(image.presence) for image in images]
    assert back[1].boxes == ()  # the negative is there, and empty
    (box,), (there,) = back[0].boxes, images[0].boxes
    assert (box.id, box.finding) == (there.id, "fluid")
    assert box.xyxy == pytest.approx(XYXY, abs=1e-9)
    (guess,) = back[1].detections
    assert (guess.score, guess.finding) == (0.8125, "fluid")
    assert guess.xyxy == pytest.approx((1, 2, 30, 40), abs=1e-9)


@pytest.mark.parametrize(("write", "read", "name"), WAYS)
def test_what_comes_back_untouched_is_no_edit(made, images, tmp_path, write, read, name):
    write(images, tmp_path / name)
    edits = edits_from(tmp_path / name, "bob", {})(made)
    assert (edits.corrections, edits.unread) == ((), ())


def test_a_box_moved_in_cvat_and_one_drawn_are_corrections(made, images, tmp_path):
    path = tmp_path / "out.xml"
    write_cvat(images, path)
    tree = ET.parse(path)
    box = tree.find("./image[@id='0']/box")
    box.set("xbr", "100.5")
    drawn = {"label": "heart", "source": "manual", "xtl": "5", "ytl": "6", "xbr": "70", "ybr": "80"}
    ET.SubElement(tree.find("./image[@id='1']"), "box", drawn)
    tree.write(path)
    edits = edits_from(path, "bob", {})(made)
    assert {(each.image_id, each.finding, each.kind) for each in edits.corrections} == {
        ("made:1", "fluid", Kind.CHANGED),
        ("made:2", "heart", Kind.ADDED),
    }
    assert {each.reviewer for each in edits.corrections} == {"bob"}
    assert edits.corrections == edits_from(path, "bob", {})(made).corrections


def test_a_box_deleted_and_a_choice_made_in_label_studio_are_corrections(made, images, tmp_path):
    path = tmp_path / "out.json"
    write_label_studio(images, path)
    tasks = json.loads(path.read_text())
    result = tasks[0]["annotations"][0]["result"]
    tasks[0]["annotations"][0]["result"] = [each for each in result if each["type"] != "rectanglelabels"]
    for each in tasks[1]["annotations"][0]["result"]:
        if each["from_name"] == "presence_heart":
            each["value"]["choices"] = ["absent"]
    path.write_text(json.dumps(tasks))
    edits = edits_from(path, "bob", {})(made)
    assert {(each.image_id, each.finding, each.kind) for each in edits.corrections} == {
        ("made:1", "fluid", Kind.REMOVED),
        ("made:2", "heart", Kind.PRESENCE),
    }


def test_a_task_that_nobody_annotated_is_not_a_film_without_boxes(made, images, tmp_path):
    path = tmp_path / "out.json"
    write_label_studio(images, path)
    tasks = json.loads(path.read_text())
    tasks[0]["annotations"] = []
    path.write_text(json.dumps(tasks))
    assert edits_from(path, "bob", {})(made).corrections == ()


def test_a_film_of_another_set_is_named_and_not_taken(made, images, tmp_path):
    path = tmp_path / "out.xml"
    write_cvat(images, path)
    path.write_text(path.read_text().replace("images/made/1.png", "images/other/9.png"))
    edits = edits_from(path, "bob", {})(made)
    assert "not in this set" in edits.unread[0].reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xml", "<html>"),
        ("a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><annotations/>'),
        ("a.xml", '<annotations><image id="0" name="x" width="9"/></annotations>'),
        ("a.json", "{"),
        ("a.json", '{"a": 1}'),
        ("a.json", '[{"annotations": [{"result": []}]}]'),
    ],
)
def test_what_is_no_export_is_refused_with_words(made, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=r"CVAT|Label Studio"):
        edits_from(tmp_path / name, "bob", {})(made)


def test_a_turned_box_is_refused(made, images, tmp_path):
    path = tmp_path / "out.json"
    write_label_studio(images, path)
    path.write_text(path.read_text().replace('"rotation": 0', '"rotation": 7'))
    with pytest.raises(DataError, match="upright"):
        edits_from(path, "bob", {})(made)


def test_the_configuration_asks_for_every_finding():
    root = ET.fromstring(label_config(TWO.keys))
    assert [label.get("value") for label in root.iter("Label")] == list(TWO.keys)
    assert len(list(root.iter("Choices"))) == 2
