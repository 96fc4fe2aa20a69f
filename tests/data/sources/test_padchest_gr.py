"""PadChest-GR in its published form, with made studies: credentialed data is not reproduced."""

import json

import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.padchest_gr import NO_LABEL, NORMAL, NOT_ABNORMAL, records
from making import write_chest, write_text

MASTER = "StudyID,PatientID,ImageID,label,label_group,split,PatientSex_DICOM,PatientAge"


def a_sentence(*labels, abnormal=True, boxes=(), extra_boxes=()):
    return {"abnormal": abnormal, "labels": list(labels), "boxes": list(boxes), "extra_boxes": list(extra_boxes)}


def made_source(root, studies, *rows):
    content = [{"StudyID": name, "ImageID": f"{name}.png", "findings": findings} for name, findings in studies]
    write_text(root / "grounded_reports_20240819.json", json.dumps(content))
    write_text(root / "master_table.csv", MASTER, *rows)
    return root


def one(root, *sentences):
    (record,) = records(Download(made_source(root, [("s1", list(sentences))], "s1,p1,s1.png,x,x,train,F,63")))
    return record


def test_boxes_of_both_readers_come_with_their_reader_and_every_label_of_their_sentence(tmp_path):
    heart = a_sentence("cardiomegaly", boxes=[[0.3, 0.4, 0.8, 0.9]], extra_boxes=[[0.31, 0.4, 0.8, 0.9]])
    fluid = a_sentence("pleural effusion ", "atelectasis", boxes=[[0.1, 0.7, 0.3, 0.9]])

    record = one(tmp_path, heart, fluid)

    assert record.frame_wh is None
    assert record.readers == ("first", "second")
    assert [(box.label, box.reader, box.xyxy) for box in record.boxes] == [
        ("cardiomegaly", "first", (0.3, 0.4, 0.8, 0.9)),
        ("cardiomegaly", "second", (0.31, 0.4, 0.8, 0.9)),
        ("atelectasis", "first", (0.1, 0.7, 0.3, 0.9)),
        ("pleural effusion", "first", (0.1, 0.7, 0.3, 0.9)),
    ]
    assert record.labels == ("atelectasis", "cardiomegaly", "pleural effusion")


def test_a_sentence_that_denies_a_finding_does_not_state_it(tmp_path):
    denied = a_sentence("pleural effusion", abnormal=False, boxes=[[0, 0, 1, 1]])

    record = one(tmp_path, denied, {"sentence_en": "Normal heart.", "abnormal": False})

    assert record.labels == (NORMAL,)
    assert [box.label for box in record.boxes] == [NOT_ABNORMAL]
    assert record.readers == ("first",)


def test_a_finding_without_a_box_is_a_label_and_one_without_labels_is_said_so(tmp_path):
    record = one(tmp_path, a_sentence("emphysema"), a_sentence(boxes=[[0, 0, 1, 1]]))

    assert record.labels == (NO_LABEL, "emphysema")
    assert [box.label for box in record.boxes] == [NO_LABEL]


def test_patient_part_sex_and_age_come_from_the_table_that_repeats_a_study_per_label(tmp_path):
    rows = ("s2,p2,s2.png,x,x,validation,M,", "s1,p1,s1.png,x,x,test,F,63", "s1,p1,s1.png,y,y,test,F,63")
    root = made_source(tmp_path, [("s2", []), ("s1", [])], *rows)
    picture = write_chest(root / "images" / "s1.png")

    first, second = records(Download(root))

    assert (first.image, first.patient, first.split, first.sex, first.age_years) == ("s1", "p1", "test", "F", 63)
    assert (second.patient, second.split, second.sex, second.age_years) == ("p2", "validation", "M", None)
    assert (first.file, second.file) == (picture, None)
    assert {first.split, second.split} <= load_card("padchest_gr").splits.keys()


def test_what_the_importer_says_by_itself_is_in_the_card():
    card = load_card("padchest_gr")

    assert {NORMAL, NO_LABEL} <= card.labels.keys()
    assert {NO_LABEL, NOT_ABNORMAL} <= card.dropped_boxes.keys()
    assert card.labels.keys() - {NORMAL, NO_LABEL} == {*card.boxes, *card.dropped_boxes} - {NO_LABEL, NOT_ABNORMAL}


def test_air_under_the_skin_is_no_emphysema():
    card = load_card("padchest_gr")

    assert card.finding_of("emphysema") == "emphysema"
    assert card.finding_of("subcutaneous emphysema") is None
    assert not card.labels["subcutaneous emphysema"]


def test_a_study_without_a_patient_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"image 's1\.png' has no row in master_table\.csv"):
        list(records(Download(made_source(tmp_path, [("s1", [])]))))


@pytest.mark.parametrize(
    "studies",
    [
        pytest.param([("s1", [a_sentence("x", boxes=[[0, 0, 1]])])], id="three-corners"),
        pytest.param([("s1", [a_sentence("x", boxes=[0, 0, 1, 1])])], id="a-box-that-is-no-list"),
        pytest.param([("s1", ["text"])], id="a-sentence-that-is-text"),
        pytest.param([("s1", 3)], id="a-number-of-findings"),
        pytest.param([("s1", []), ("s1", [])], id="an-image-twice"),
    ],
)
def test_what_is_not_the_grounded_reports_is_refused(tmp_path, studies):
    with pytest.raises(DataError, match="not the grounded reports of PadChest-GR"):
        list(records(Download(made_source(tmp_path, studies))))
