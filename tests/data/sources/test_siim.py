"""SIIM-FISABIO-RSNA COVID-19: a literal of boxes, a placeholder that is none, a study behind each image."""

from collections import Counter

import pytest

from boxray.core.errors import DataError
from boxray.data.sources import Download
from boxray.data.sources.siim import read_boxes, records
from making import write_chest, write_text

ONE_BOX = "\"[{'x': 10.5, 'y': 20.0, 'width': 30.0, 'height': 40.0}]\""


@pytest.fixture(scope="module")
def published(shared):
    """The records of the real tables."""
    return list(records(Download(shared / "data" / "siim")))


@pytest.mark.real
def test_the_published_tables_have_7853_boxes_on_4294_of_6334_images(published):
    boxed = [record for record in published if record.boxes]

    assert len(published) == 6334
    assert sum(len(record.boxes) for record in published) == 7853
    assert len(boxed) == 4294
    assert len({record.patient for record in published}) == 3261
    assert sum(record.file is not None for record in published) == 5039
    assert Counter(record.labels for record in published) == {
        ("Negative for Pneumonia",): 1736,
        ("Typical Appearance",): 3007,
        ("Indeterminate Appearance",): 1108,
        ("Atypical Appearance",): 483,
    }
    assert all(record.labels != ("Negative for Pneumonia",) for record in boxed)


@pytest.mark.real
def test_one_published_box_starts_left_of_its_image_and_none_is_the_placeholder(published):
    corners = {(record.image, box.xyxy) for record in published for box in record.boxes}

    outside = [(image, xyxy) for image, xyxy in corners if min(xyxy) < 0]
    assert [image for image, _ in outside] == ["6ea732c63929"]
    assert outside[0][1][0] == pytest.approx(-3.56, abs=0.01)
    assert not any(xyxy == (0, 0, 1, 1) for _, xyxy in corners)


def test_a_literal_of_boxes_gives_corners():
    boxes = read_boxes(
        "[{'x': 10.5, 'y': 20, 'width': 30, 'height': 40}, {'x': -3.5, 'y': 0, 'width': 9, 'height': 9}]"
    )

    assert [box.xyxy for box in boxes] == [(10.5, 20, 40.5, 60), (-3.5, 0, 5.5, 9)]
    assert {box.label for box in boxes} == {"opacity"}


def test_an_empty_cell_is_no_box():
    assert read_boxes("") == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("none 1 0 0 1 1", id="the-placeholder-of-the-other-column"),
        pytest.param("[{'x': 1, 'y': 2, 'width': 3}]", id="without-a-height"),
        pytest.param("[{'x': 'a', 'y': 2, 'width': 'b', 'height': 4}]", id="words"),
        pytest.param("5", id="a-number"),
        pytest.param("[1, 2]", id="numbers"),
        pytest.param("__import__('os').system('id')", id="code"),
        pytest.param("[" * 3000, id="too-deep"),
        pytest.param("[{'x': 1,", id="torn"),
    ],
)
def test_what_is_no_list_of_boxes_is_an_error(text):
    with pytest.raises(DataError, match="siim: expected a list of x, y, width, height"):
        read_boxes(text)


def made_source(root, *, sizes=("a,4256,3488", "b,2000,1000"), studies=("s1_study,0,1,0,0", "s2_study,1,0,0,0")):
    write_text(
        root / "train_image_level.csv",
        "id,boxes,label,StudyInstanceUID",
        "b_image,,none 1 0 0 1 1,s2",
        f"a_image,{ONE_BOX},opacity 1 10.5 20 40.5 60,s1",
    )
    write_text(
        root / "train_study_level.csv",
        "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance",
        *studies,
    )
    write_text(root / "original_sizes.csv", "image_id,width,height", *sizes)
    write_text(root / "train_meta.csv", "patientid,studyid,series_id,imageid", "p1,s1,x,a", ",s2,x,b")
    write_chest(root / "train" / "a.jpg")
    return root


def test_an_image_has_the_frame_of_its_dicom_the_label_of_its_study_and_the_placeholder_is_no_box(tmp_path):
    boxed, unboxed = records(Download(made_source(tmp_path)))

    assert (boxed.image, boxed.patient, boxed.frame_wh) == ("a", "p1", (4256, 3488))
    assert boxed.labels == ("Typical Appearance",)
    assert boxed.boxes[0].xyxy == (10.5, 20, 40.5, 60)
    assert boxed.file == tmp_path / "train" / "a.jpg"
    assert unboxed.boxes == ()
    assert unboxed.labels == ("Negative for Pneumonia",)
    assert unboxed.file is None


def test_a_patient_left_blank_does_not_make_one_patient_of_all_who_are(tmp_path):
    _, blank = records(Download(made_source(tmp_path)))

    assert blank.patient == "b"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"sizes": ("b,2000,1000",)}, "image 'a' has no size", id="no-size"),
        pytest.param({"sizes": ("a,wide,3488", "b,1,1")}, "'a' has no size, but 'wide' x '3488'", id="no-number"),
        pytest.param({"sizes": ("a,0,3488", "b,1,1")}, "'a' has no size", id="no-area"),
        pytest.param({"studies": ("s2_study,1,0,0,0",)}, "the study of image 'a' is not in", id="no-study"),
    ],
)
def test_tables_that_do_not_fit_together_are_an_error_that_names_the_image(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        list(records(Download(made_source(tmp_path, **changes))))
