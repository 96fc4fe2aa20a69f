"""Pascal VOC: one XML per picture, corners as they are written."""

import pytest

from boxray.core.errors import DataError
from boxray.data.sources import Download
from boxray.data.sources.voc import read_xml, records
from boxray.data.sources.yolo import MISSING_LABELS
from making import write_chest, write_text

BOX = "<bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"


def an_xml(path, *names, size="<size><width>300</width><height>200</height><depth>1</depth></size>", box=BOX):
    objects = [f"<object><name>{name}</name>{box}</object>" for name in names]
    return write_text(path, "<annotation>", size, *objects, "</annotation>")


@pytest.mark.parametrize("folders", [("annotations", "images"), ("Annotations", "JPEGImages")])
def test_boxes_are_in_the_frame_of_their_own_file_by_the_pictures_stem(tmp_path, folders):
    annotations, images = folders
    an_xml(tmp_path / annotations / "b.xml", "effusion", "edema")
    an_xml(tmp_path / annotations / "a.xml")
    picture = write_chest(tmp_path / images / "b.png")

    first, second = records(Download(tmp_path))

    assert (first.image, first.file, first.boxes, first.labels) == ("a", None, (), ())
    assert (second.image, second.patient, second.file, second.frame_wh) == ("b", "b", picture, (300, 200))
    assert [(box.label, box.xyxy) for box in second.boxes] == [
        ("effusion", (1, 2.5, 30, 40)),
        ("edema", (1, 2.5, 30, 40)),
    ]


def test_a_picture_without_xml_says_nothing_d4(tmp_path):
    an_xml(tmp_path / "annotations" / "a.xml")
    write_chest(tmp_path / "images" / "b.png")

    _, missing = records(Download(tmp_path))

    assert (missing.boxes, missing.labels, missing.frame_wh) == ((), (MISSING_LABELS,), None)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"size": ""}, id="no-size"),
        pytest.param({"size": "<size><width>0</width><height>0</height></size>"}, id="a-size-that-a-tool-left-at-0"),
        pytest.param({"box": ""}, id="no-box"),
        pytest.param({"box": BOX.replace("30", "nan")}, id="nan"),
        pytest.param({"box": BOX.replace("30", "")}, id="an-empty-corner"),
    ],
)
def test_what_is_no_voc_is_refused_by_its_name(tmp_path, changes):
    path = an_xml(tmp_path / "a.xml", "effusion", **changes)

    with pytest.raises(DataError, match=r"a\.xml: not the XML of Pascal VOC"):
        read_xml(path)
