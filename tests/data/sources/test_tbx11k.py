"""TBX11K: a frame per film, and lists that say what a film without XML is."""

from collections import Counter

import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.core.frames import ScaleShift
from boxray.data.sources import Download
from boxray.data.sources.tbx11k import records
from boxray.data.sources.voc import read_xml
from making import write_chest, write_coco, write_text


def an_xml(path, *, size=("1756", "2022"), objects=(("ActiveTuberculosis", 1313, 505, 1451, 681),)):
    boxes = [
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for name, x1, y1, x2, y2 in objects
    ]
    width, height = size
    return write_text(
        path, f"<annotation><size><width>{width}</width><height>{height}</height></size>", *boxes, "</annotation>"
    )


@pytest.fixture(scope="module")
def published(shared):
    """The records of the real list."""
    return list(records(Download(shared / "data" / "tbx11k")))


@pytest.mark.real
def test_the_training_list_has_902_boxes_on_599_of_600_tuberculosis_films(published):
    boxed = [record for record in published if record.boxes]
    labels = Counter(box.label for record in boxed for box in record.boxes)

    assert Counter(record.labels for record in published) == {("tb",): 600, ("sick",): 3000, ("health",): 3000}
    assert len(boxed) == 599
    assert labels == {"ActiveTuberculosis": 724, "ObsoletePulmonaryTuberculosis": 178}
    assert [record.image for record in published if record.labels == ("tb",) and not record.boxes] == ["tb1199"]
    assert sum(record.file is not None for record in published) == 600


@pytest.mark.real
def test_every_film_has_its_own_frame_and_its_boxes_lie_in_it(published):
    boxed = [record for record in published if record.boxes]

    frames = np.array([record.frame_wh for record in boxed])
    assert (frames[:, 0].min(), frames[:, 0].max()) == (1612, 3056)
    assert (frames[:, 1].min(), frames[:, 1].max()) == (1656, 3072)
    for record in boxed:
        corners = np.array([box.xyxy for box in record.boxes])
        assert corners.min() >= 0
        assert (corners <= np.tile(record.frame_wh, 2)).all()


def test_boxes_and_frame_come_in_pixels_of_the_original_film(tmp_path):
    """And not one pixel up and left, as the authors' JSON has them: there tb0005 begins at 381.83, 126.87."""
    frame_wh, (box,) = read_xml(an_xml(tmp_path / "tb0005.xml"))

    squashed = ScaleShift.between(frame_wh, (512, 512)).apply(np.array([box.xyxy]))

    assert frame_wh == (1756, 2022)
    assert box.label == "ActiveTuberculosis"
    assert squashed[0, :2].round(2).tolist() == [382.83, 127.87]


def test_corners_between_pixels_are_not_rounded(tmp_path):
    _, (box,) = read_xml(an_xml(tmp_path / "a.xml", objects=[("ActiveTuberculosis", 10.5, 20.25, 30.75, 40)]))

    assert box.xyxy == (10.5, 20.25, 30.75, 40)


def test_an_xml_without_an_object_has_no_box(tmp_path):
    assert read_xml(an_xml(tmp_path / "tb1199.xml", objects=[])) == ((1756, 2022), ())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("<annotation><size>", id="torn"),
        pytest.param("<annotation></annotation>", id="without-a-size"),
        pytest.param("<a><size><width>0</width><height>5</height></size></a>", id="without-an-area"),
        pytest.param("<a><size><width>inf</width><height>5</height></size></a>", id="endless"),
        pytest.param(
            "<a><size><width>9</width><height>9</height></size><object><name>x</name></object></a>", id="no-bndbox"
        ),
    ],
)
def test_what_is_not_the_xml_of_this_source_is_an_error_that_names_the_file(tmp_path, content):
    path = write_text(tmp_path / "tb0001.xml", content)

    with pytest.raises(DataError, match=r"tb0001\.xml: not the XML"):
        read_xml(path)


def test_the_label_is_the_folder_in_the_list_and_a_negative_has_no_xml(tmp_path):
    write_text(tmp_path / "lists" / "TBX11K_train.txt", "tb/tb0005.png", "sick/s1.png", "health/h1.png")
    an_xml(tmp_path / "annotations" / "xml" / "tb0005.xml")
    write_chest(tmp_path / "imgs" / "tb" / "tb0005.jpg")
    write_chest(tmp_path / "imgs" / "sick" / "s1.png")

    found = {record.image: record for record in records(Download(tmp_path))}

    assert {image: record.labels for image, record in found.items()} == {
        "h1": ("health",),
        "s1": ("sick",),
        "tb0005": ("tb",),
    }
    assert len(found["tb0005"].boxes) == 1
    assert found["tb0005"].patient == "tb0005"
    assert found["s1"].boxes == ()
    assert found["s1"].file == tmp_path / "imgs" / "sick" / "s1.png"
    assert found["h1"].file is None


def made_json(root):
    """tb0005 as the authors' JSON has it, one pixel up and left of its XML."""
    write_coco(
        root,
        ["ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis"],
        [("tb/tb0005.png", 512, 512), ("tb/tb1199.png", 512, 512)],
        [(0, "ActiveTuberculosis", (381.83, 126.87, 40.24, 44.57))],
    )
    (root / "annotations" / "json").mkdir(parents=True)
    (root / "annotations.json").rename(root / "annotations" / "json" / "TBX11K_train.json")
    write_text(root / "lists" / "TBX11K_train.txt", "tb/tb0005.png", "tb/tb1199.png", "health/h1.png")
    return root


def test_the_authors_json_gives_the_boxes_of_the_xml(tmp_path):
    healthy, film, empty = records(Download(made_json(tmp_path)))
    frame_wh, (published,) = read_xml(an_xml(tmp_path / "tb0005.xml"))

    squashed = ScaleShift.between(frame_wh, (512, 512)).apply(np.array([published.xyxy]))

    assert (film.frame_wh, film.labels, film.boxes[0].label) == ((512, 512), ("tb",), "ActiveTuberculosis")
    assert np.abs(np.array(film.boxes[0].xyxy) - squashed[0]).max() < 0.011
    assert (healthy.boxes, healthy.labels, empty.boxes) == ((), ("health",), ())


def test_the_xml_is_read_where_both_are_there(tmp_path):
    an_xml(made_json(tmp_path) / "annotations" / "xml" / "tb0005.xml")

    _, film, _ = records(Download(tmp_path))

    assert (film.frame_wh, film.boxes[0].xyxy) == ((1756, 2022), (1313, 505, 1451, 681))
