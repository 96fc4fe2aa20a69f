"""YOLO text files: every row is checked, and a file that is missing says nothing."""

from collections import Counter

import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card, load_label_space
from boxray.data.sources import Download
from boxray.data.sources.yolo import MISSING_LABELS, read_names, read_rows, records
from making import write_chest, write_text

NAMES = ("covid", "effusion")


@pytest.mark.real
def test_covid_gb_has_159_boxes_on_72_images_of_55_patients(shared):
    """Its metadata.csv ends every row, but not its header's meaning, with an extra comma."""
    found = list(records(Download(shared / "data" / "covid_gb")))

    labels = [box.label for record in found for box in record.boxes]
    assert len(found) == 72
    assert {name: labels.count(name) for name in set(labels)} == {"covid": 103, "pneumonia": 54, "effusion": 2}
    assert sum(bool(record.boxes) for record in found) == 65
    assert len({record.patient for record in found}) == 55
    assert all(record.file is not None for record in found)
    assert Counter(record.labels for record in found) == {
        ("COVID-19",): 41,
        ("Pneumocystis",): 10,
        ("COVID-19, ARDS",): 6,
        ("Streptococcus",): 5,
        ("ARDS",): 4,
        ("SARS",): 2,
        ("Legionella",): 2,
        ("Klebsiella",): 1,
        ("No Finding",): 1,
    }
    assert Counter(record.view for record in found) == {"PA": 70, "AP": 2}
    assert load_card("covid_gb").expected.model_dump() == {"images": 72, "boxes": 159}


@pytest.mark.real
def test_no_diagnosis_of_covid_gb_contradicts_its_boxes(shared):
    """A case of COVID-19 has covid boxes and one of another pneumonia has pneumonia boxes; ARDS has neither."""
    card = load_card("covid_gb")
    for record in records(Download(shared / "data" / "covid_gb")):
        boxed = {card.finding_of(box.label) for box in record.boxes} - {"effusion"}

        assert boxed <= card.labels[record.labels[0]].keys()


def test_a_row_is_class_centre_and_size_as_fractions(tmp_path):
    (box,) = read_rows(write_text(tmp_path / "a.txt", "1 0.5 0.25 0.2 0.5", ""), NAMES)

    assert box.label == "effusion"
    assert box.xyxy == pytest.approx((0.4, 0.0, 0.6, 0.5))


def test_a_box_may_reach_over_the_edge_of_its_picture(tmp_path):
    (box,) = read_rows(write_text(tmp_path / "a.txt", "0 0.98 0.5 0.1 0.1"), NAMES)

    assert box.xyxy == pytest.approx((0.93, 0.45, 1.03, 0.55))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("0 nan 0.5 0.1 0.1", id="nan"),
        pytest.param("0 0.5 inf 0.1 0.1", id="inf"),
        pytest.param("0 -0.5 0.5 0.1 0.1", id="negative"),
        pytest.param("0 1.5 0.5 0.1 0.1", id="out-of-range"),
        pytest.param("0 300 200 100 80", id="D3-pixels"),
        pytest.param("2 0.5 0.5 0.1 0.1", id="class-beyond-the-names"),
        pytest.param("-1 0.5 0.5 0.1 0.1", id="class-below-0"),
        pytest.param("0.0 0.5 0.5 0.1 0.1", id="class-as-a-float"),
        pytest.param("0 0.5 0.5", id="half-a-row"),
        pytest.param("0 0.5 0.5 0.1 0.1 0.9", id="six-columns"),
        pytest.param("effusion, left", id="text"),
        pytest.param("0 0,5 0,5 0,1 0,1", id="decimal-commas"),
        pytest.param("0", id="D6-half-written"),
    ],
)
def test_a_row_that_is_no_box_is_an_error_with_file_and_line_d1(tmp_path, row):
    path = write_text(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1", "", row)

    with pytest.raises(DataError, match=r"a\.txt:3: expected 'class cx cy w h' with a class below 2"):
        read_rows(path, NAMES)


def test_a_label_file_in_another_encoding_is_an_error_that_names_it_d1(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("0 0.5 0.5 0.1 0.1\n".encode("utf-16"))

    with pytest.raises(DataError, match=r"a\.txt: expected text in UTF-8"):
        read_rows(path, NAMES)


@pytest.mark.parametrize(
    "lines",
    [("names: [covid, effusion]",), ("names: {0: covid, 1: effusion}",), ("names:", "  1: effusion", "  0: covid")],
)
def test_names_come_as_a_list_or_numbered(tmp_path, lines):
    write_text(tmp_path / "data.yaml", "train: images/train", "nc: 2", *lines)

    assert read_names(tmp_path) == NAMES


def test_without_a_data_file_the_names_are_the_eight_findings(tmp_path):
    assert read_names(tmp_path) == load_label_space("chest8").keys


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(("names: [a]", "download: print(1)"), "'download:' key, which is code", id="D9b-download"),
        pytest.param(("nc: 2",), "expected 'names'", id="without-names"),
        pytest.param(("names: {0: a, 2: b}",), "expected 'names'", id="a-number-left-out"),
        pytest.param(("names: {a: b}",), "expected 'names'", id="names-for-numbers"),
        pytest.param(("- a",), "expected 'names'", id="a-list"),
        pytest.param((), "expected 'names'", id="empty"),
    ],
)
def test_a_data_file_that_cannot_be_trusted_is_refused(tmp_path, lines, message):
    write_text(tmp_path / "data.yaml", *lines)

    with pytest.raises(DataError, match=message):
        read_names(tmp_path)


def test_an_empty_label_file_says_that_somebody_looked_and_a_missing_one_says_nothing_d4(tmp_path):
    for stem in ("boxed", "empty", "missing"):
        write_chest(tmp_path / "images" / f"{stem}.png")
    write_text(tmp_path / "labels" / "boxed.txt", "6 0.5 0.5 0.1 0.1")
    write_text(tmp_path / "labels" / "empty.txt")

    found = {record.image: record for record in records(Download(tmp_path))}

    assert [box.label for box in found["boxed"].boxes] == ["effusion"]
    assert (found["empty"].boxes, found["empty"].labels) == ((), ())
    assert (found["missing"].boxes, found["missing"].labels) == ((), (MISSING_LABELS,))


def test_what_metadata_says_of_a_picture_goes_with_it_and_a_missing_label_file_is_told_beside_it(tmp_path):
    for stem in ("a", "b", "c"):
        write_chest(tmp_path / "images" / f"{stem}.png")
    for stem in ("a", "b"):
        write_text(tmp_path / "labels" / f"{stem}.txt")
    header = "patientid,sex,age,finding,view,filename"
    rows = ('7,F,57,"COVID-19, ARDS ",AP Supine,a.jpeg,', "8,,,,L,b.png,", "9,M,,SARS,PA,c.png,")
    write_text(tmp_path / "metadata.csv", header, *rows)

    a, b, c = records(Download(tmp_path))

    assert (a.patient, a.labels, a.view, a.sex, a.age_years) == ("7", ("COVID-19, ARDS",), "AP", "F", 57)
    assert (b.patient, b.labels, b.view, b.sex, b.age_years) == ("8", None, "L", None, None)
    assert c.labels == (MISSING_LABELS, "SARS")


def test_labels_without_their_picture_are_named_too(tmp_path):
    write_chest(tmp_path / "images" / "here.png")
    write_text(tmp_path / "labels" / "here.txt")
    write_text(tmp_path / "labels" / "gone.txt", "0 0.5 0.5 0.1 0.1")

    found = {record.image: record for record in records(Download(tmp_path))}

    assert found["gone"].file is None
    assert len(found["gone"].boxes) == 1


def test_the_usual_folders_of_splits_are_looked_into_and_the_class_list_of_labelimg_is_no_label(tmp_path):
    write_chest(tmp_path / "images" / "train" / "a.png")
    write_chest(tmp_path / "images" / "val" / "b.png")
    write_text(tmp_path / "labels" / "train" / "a.txt", "0 0.5 0.5 0.1 0.1")
    write_text(tmp_path / "labels" / "val" / "b.txt")
    write_text(tmp_path / "labels" / "classes.txt", "edema", "pneumonia")

    found = {record.image: record for record in records(Download(tmp_path))}

    assert set(found) == {"a", "b"}
    assert len(found["a"].boxes) == 1
    assert not any(record.labels for record in found.values())
