"""NIH ChestX-ray14: three forms of one table, and labels that may be missing."""

from collections import Counter

import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources import Download
from boxray.data.sources.nih import FRAME_WH, read_boxes, records
from making import write_chest, write_text

PUBLISHED = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
SIX_COLUMNS = 'Image Index,Finding Label,"Bbox [x,y,w,h]"'
ENTRIES = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


@pytest.fixture(scope="module")
def forms(shared):
    """The boxes of the three circulating forms, by image."""
    folder = shared / "data"
    variants = folder / "tables" / "nih_variants"
    tables = [
        folder / "nih" / "BBox_List_2017.csv",
        variants / "BBox_List_2017.worker38.csv",
        variants / "BBox_List_2017.mrdchry.csv",
    ]
    return [read_boxes(table) for table in tables]


@pytest.mark.real
def test_the_published_table_has_984_boxes_on_880_images_of_726_patients(forms):
    published = forms[0]

    labels = Counter(box.label for boxes in published.values() for box in boxes)
    assert labels.total() == 984
    assert len(published) == 880
    assert len({image[:8] for image in published}) == 726
    assert labels["Atelectasis"] == 180
    assert labels["Cardiomegaly"] == 146
    assert labels["Effusion"] == 153
    assert labels["Pneumonia"] == 120


@pytest.mark.real
def test_all_three_circulating_forms_give_the_same_boxes(forms):
    def rows(form):
        boxes = [(image, box) for image in sorted(form) for box in form[image]]
        labels = [box.label.replace("Infiltration", "Infiltrate") for _, box in boxes]
        return sorted(zip([image for image, _ in boxes], labels, [box.xyxy for _, box in boxes], strict=True))

    published, *others = map(rows, forms)

    for other in others:
        assert [row[:2] for row in other] == [row[:2] for row in published]
        assert np.abs(np.array([row[2] for row in other]) - [row[2] for row in published]).max() < 2e-7


@pytest.mark.real
def test_no_published_box_leaves_its_frame(forms):
    corners = np.array([box.xyxy for boxes in forms[0].values() for box in boxes])

    assert corners.min() >= 0
    assert corners.max() <= FRAME_WH[0]


@pytest.mark.real
def test_the_published_images_have_labels_and_731_of_them_lie_here(shared):
    found = list(records(Download(shared / "data" / "nih")))

    assert len(found) == 880
    assert sum(record.file is not None for record in found) == 731
    assert all(record.labels for record in found)
    assert {record.view for record in found} == {"PA", "AP"}
    assert {record.sex for record in found} == {"F", "M"}
    assert all(0 < record.age_years <= 95 for record in found)
    card = load_card("nih")
    assert {label for record in found for label in record.labels} <= card.labels.keys()
    assert Counter(card.finding_of(box.label) for record in found for box in record.boxes) == {
        "atelectasis": 180,
        "effusion": 153,
        "cardiomegaly": 146,
        "pneumonia": 120,
        "mass": 85,
        "nodule": 79,
        None: 123 + 98,
    }
    assert [record.image for record in found] == sorted(record.image for record in found)


@pytest.mark.parametrize("header", [PUBLISHED, SIX_COLUMNS])
def test_a_row_is_corner_and_size_whatever_the_header_claims(tmp_path, header):
    table = write_text(tmp_path / "b.csv", header, "00000001_000.png,Effusion,10.5,20,30,40", "")

    (box,) = read_boxes(table)["00000001_000"]

    assert box.label == "Effusion"
    assert box.xyxy == (10.5, 20, 40.5, 60)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("a.png,Effusion,1,2,3", id="five-values"),
        pytest.param("a.png,Effusion,1,2,3,4,5", id="seven-values"),
        pytest.param("a.png,Effusion,1,2,3,wide", id="a-word"),
        pytest.param("a.png,Effusion,1,2,3,nan", id="nan"),
        pytest.param("a.png,Effusion,1,2,3,inf", id="endless"),
        pytest.param("a.png", id="only-a-name"),
    ],
)
def test_a_row_that_is_no_box_is_an_error_with_its_line_d1(tmp_path, row):
    table = write_text(tmp_path / "b.csv", PUBLISHED, "a.png,Effusion,1,2,3,4", "", row)

    with pytest.raises(DataError, match=r"nih: b\.csv:4: expected x, y, w, h, got"):
        read_boxes(table)


def test_a_table_without_its_header_does_not_lose_its_first_box(tmp_path):
    table = write_text(tmp_path / "b.csv", "a.png,Effusion,1,2,3,4", "b.png,Effusion,1,2,3,4")

    with pytest.raises(DataError, match=r"b\.csv:1: expected the header"):
        read_boxes(table)


def made_source(root, *entries):
    write_text(
        root / "BBox_List_2017.csv",
        PUBLISHED,
        "00000002_001.png,Effusion,0,0,512,512",
        "00000001_000.png,Mass,0,0,100,100",
        "00000002_001.png,Atelectasis,10,10,20,20",
    )
    write_text(root / "Data_Entry_2017_v2020.csv", ENTRIES, *entries)
    write_chest(root / "images" / "00000002_001.jpg")
    return root


def test_a_record_is_an_image_with_all_its_boxes_its_labels_its_patient_and_its_file(tmp_path):
    root = made_source(tmp_path, "00000002_001.png,Effusion|Edema,0,1,57,M,AP,2682,2749,0.143,0.143")

    first, second = records(Download(root))

    assert (first.image, first.file, first.frame_wh) == ("00000001_000", None, (1024, 1024))
    assert (second.image, second.patient, second.view) == ("00000002_001", "00000002", "AP")
    assert (second.sex, second.age_years) == ("M", 57)
    assert second.labels == ("Effusion", "Edema")
    assert [box.label for box in second.boxes] == ["Effusion", "Atelectasis"]
    assert second.file == root / "images" / "00000002_001.jpg"


def test_an_image_without_a_row_of_labels_is_not_one_without_labels(tmp_path):
    """Or the silence of a table would make six findings absent."""
    first, _ = records(Download(made_source(tmp_path)))

    assert first.labels is None
    assert first.view is None


@pytest.mark.parametrize(("age", "years"), [("058Y", 58), ("414Y", None)])
def test_the_first_release_writes_ages_with_a_unit_and_some_that_nobody_reaches(tmp_path, age, years):
    made_source(tmp_path, f"00000002_001.png,Effusion,0,1,{age},F,AP,2682,2749,0.143,0.143")
    (tmp_path / "Data_Entry_2017_v2020.csv").rename(tmp_path / "Data_Entry_2017.csv")

    _, second = records(Download(tmp_path))

    assert (second.sex, second.age_years) == ("F", years)
