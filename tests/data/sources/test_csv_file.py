"""One CSV: boxes, statements without a box, readers, patients and frames in one table."""

import pytest

from boxray.core.errors import DataError
from boxray.data.sources import Download
from boxray.data.sources.csv_file import records
from making import write_chest, write_text

SHORT = "image,label,x1,y1,x2,y2"
LONG = f"{SHORT},reader,patient,width,height"


def read(root, *lines):
    write_text(root / "annotations.csv", *lines)
    return list(records(Download(root)))


def test_rows_of_an_image_are_its_boxes_readers_labels_and_frame(tmp_path):
    picture = write_chest(tmp_path / "images" / "a.jpg", (320, 256))

    first, second = read(
        tmp_path,
        LONG,
        "b.png,No finding,,,,,R2,p2,,",
        "a.png,effusion,1,2,30,40,R1,p1,640,512",
        "a.png,edema,5,6,7,8,R2,p1,640,512",
        "a.png,,,,,,R3,,,",
    )

    assert (first.image, first.patient, first.file, first.frame_wh) == ("a", "p1", picture, (640, 512))
    assert [(box.label, box.xyxy, box.reader) for box in first.boxes] == [
        ("effusion", (1, 2, 30, 40), "R1"),
        ("edema", (5, 6, 7, 8), "R2"),
    ]
    assert (first.readers, first.labels) == (("R1", "R2", "R3"), ())
    assert (second.patient, second.boxes, second.labels, second.readers) == ("p2", (), ("No finding",), ("R2",))


def test_without_a_size_corners_are_in_pixels_of_the_picture_on_disk(tmp_path):
    write_chest(tmp_path / "images" / "a.png", (320, 256))

    here, gone = read(tmp_path, SHORT, "a.png,effusion,1,2,30,40", "b.png,effusion,1,2,30,40")

    assert (here.frame_wh, here.patient, here.readers) == ((320, 256), "a", ("published",))
    assert (gone.file, gone.frame_wh, len(gone.boxes)) == (None, None, 1)


def test_an_image_without_a_box_is_named_by_a_row_of_its_own(tmp_path):
    (record,) = read(tmp_path, SHORT, "a.png,,,,,")

    assert (record.boxes, record.labels) == ((), ())


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("a.png,effusion,1,2,30,,,,,", id="three-corners"),
        pytest.param("a.png,effusion,1,2,30,nan,,,,", id="nan"),
        pytest.param("a.png,effusion,1,2,30,wide,,,,", id="a-word"),
        pytest.param("a.png,,1,2,30,40,,,,", id="a-box-without-a-label"),
        pytest.param(",effusion,1,2,30,40,,,,", id="no-image"),
        pytest.param("a.png,effusion,1,2,30,40,,,640,", id="a-width-without-a-height"),
        pytest.param("a.png,effusion,1,2,30,40,,,640,0", id="no-area"),
        pytest.param("a.png,effusion,1,2,30,40,,,,,7", id="eleven-values"),
        pytest.param("z.png,effusion,1,2,30,40,,p2,,", id="a-second-patient"),
        pytest.param("z.png,effusion,1,2,30,40,,,640,512", id="a-second-size"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_with_its_line_d1(tmp_path, row):
    with pytest.raises(DataError, match=r"annotations\.csv:3: "):
        read(tmp_path, LONG, "z.png,effusion,1,2,3,4,,p1,320,256", row)


def test_a_table_without_the_columns_is_refused_with_those_that_are_missing(tmp_path):
    with pytest.raises(DataError, match="expected the columns label, x1"):
        read(tmp_path, "image,class,xmin,y1,x2,y2")
