"""MS-CXR in its published form, with made rows: credentialed data is not reproduced."""

import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.ms_cxr import records
from making import write_chest, write_text

HEADER = "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height"
A = "files/p10/p10000001/s1/a.jpg"
B = "files/p11/p11000002/s2/b.jpg"


def made_source(root, *rows, version="1.0.0", header=HEADER):
    write_text(root / f"MS_CXR_Local_Alignment_v{version}.csv", header, *rows)
    return Download(root)


def test_rows_of_an_image_are_its_boxes_in_the_size_that_they_state(tmp_path):
    picture = write_chest(tmp_path / "files" / "p10" / "p10000001" / "s1" / "a.jpg")
    rows = [
        f'b,Pneumonia,"left, lower",{B},5,6,7,8,2544,3056',
        f"a,Pleural Effusion,x,{A},10,20,30,40,3056,2544",
        f"a,Edema,y,{A},1,2,3,4,3056,2544",
    ]

    first, second = records(made_source(tmp_path, *rows))

    assert (first.image, first.patient, first.file, first.frame_wh) == ("a", "10000001", picture, (3056, 2544))
    assert [(box.label, box.xyxy) for box in first.boxes] == [
        ("Pleural Effusion", (10, 20, 40, 60)),
        ("Edema", (1, 2, 4, 6)),
    ]
    assert (first.labels, first.split) == (None, None)
    assert (second.patient, second.file, second.frame_wh) == ("11000002", None, (2544, 3056))


def test_release_1_1_tells_the_part_and_is_taken_before_the_older_one(tmp_path):
    made_source(tmp_path, f"b,Edema,x,{B},1,2,3,4,10,10")
    row = f"a,Edema,x,{A},1,2,3,4,10,10,test"

    (record,) = records(made_source(tmp_path, row, version="1.1.0", header=f"{HEADER},split"))

    assert (record.image, record.split) == ("a", "test")


def test_nothing_is_ever_absent():
    card = load_card("ms_cxr")

    assert not any((card.exhaustive, card.absent_without_label, card.absent_because, card.absent_by_assumption))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(f"a,Edema,x,{A},1,2,3,,10,10", id="no-height"),
        pytest.param(f"a,Edema,x,{A},1,2,3,nan,10,10", id="nan"),
        pytest.param(f"a,Edema,x,{A},1,2,3,4,0,10", id="no-area"),
        pytest.param("a,Edema,x,files/a.jpg,1,2,3,4,10,10", id="a-path-without-a-patient"),
    ],
)
def test_a_row_that_is_no_box_is_refused_with_its_image(tmp_path, row):
    with pytest.raises(DataError, match=r"MS_CXR_Local_Alignment_v1\.0\.0\.csv: image 'a': "):
        list(records(made_source(tmp_path, row)))


@pytest.mark.parametrize("other", [f"a,Edema,x,{A},1,2,3,4,10,11", f"a,Edema,x,{B},1,2,3,4,10,10"])
def test_rows_of_one_image_that_differ_in_size_or_patient_are_refused(tmp_path, other):
    with pytest.raises(DataError, match="the rows of image 'a' differ"):
        list(records(made_source(tmp_path, f"a,Edema,x,{A},1,2,3,4,10,10", other)))
