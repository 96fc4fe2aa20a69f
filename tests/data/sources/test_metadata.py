"""`metadata.csv`: what it says of a picture, and what its silence does not say."""

from collections import Counter

import pytest

from boxray.core.errors import DataError
from boxray.data.card import load_card
from boxray.data.sources.metadata import About, read_metadata
from making import write_text


@pytest.mark.real
@pytest.mark.parametrize("source", ["covid_gb", "covid_lungs"])
def test_every_finding_of_the_published_table_is_in_the_cards_that_read_it(shared, source):
    rows = read_metadata(shared / "data" / source).rows

    findings = Counter(label for about in rows.values() for label in about.labels)
    assert findings.total() == 758
    assert (findings["COVID-19"], findings["COVID-19, ARDS"], findings["todo"]) == (521, 12, 100)
    for card in (load_card("covid_gb"), load_card("covid_lungs"), load_card("covid_seg")):
        assert findings.keys() <= card.labels.keys()
    assert Counter(about.view for about in rows.values()) == {"PA": 303, "AP": 157 + 118, "L": 57, None: 123}
    assert Counter(about.sex for about in rows.values()) == {"M": 433, "F": 256, None: 69}
    assert sum(about.age_years is not None for about in rows.values()) == 758 - 163


def test_patients_come_by_file_name_even_where_rows_end_with_an_extra_comma(tmp_path):
    rows = ("7,0,a.b.jpeg,", '8,"notes', 'on two lines",c.png,', ",1,d.png,", "9")
    write_text(tmp_path / "metadata.csv", "patientid,offset,filename", *rows)

    metadata = read_metadata(tmp_path)

    assert {stem: about.patient for stem, about in metadata.rows.items()} == {"a.b": "7", "c": "8", "d": None}


def test_without_a_column_of_findings_nothing_is_said_by_labels_and_nothing_is_hidden_by_them(tmp_path):
    """An empty label file then still says that somebody looked."""
    write_text(tmp_path / "metadata.csv", "patientid,filename", "7,a.png")

    assert read_metadata(tmp_path).of("a") == About(patient="7", labels=())
    assert read_metadata(tmp_path).of("elsewhere") == About(labels=())
    assert read_metadata(tmp_path / "nowhere").of("a") == About(labels=())


def test_a_finding_left_blank_and_a_picture_without_a_row_are_unknown_not_negative(tmp_path):
    write_text(tmp_path / "metadata.csv", "patientid,finding,filename", "7,  ,a.png", "8, SARS ,b.png")

    metadata = read_metadata(tmp_path)

    assert (metadata.of("a").labels, metadata.of("b").labels) == (None, ("SARS",))
    assert metadata.of("elsewhere").labels is None


def test_a_picture_of_two_patients_is_refused_and_one_that_is_named_twice_alike_is_not(tmp_path):
    """Which of the two rows holds would be chance, and a patient might fall into two splits."""
    header, row = "patientid,filename,sex", "7,a.png,F"
    write_text(tmp_path / "metadata.csv", header, row, row)
    assert read_metadata(tmp_path).of("a").patient == "7"

    write_text(tmp_path / "metadata.csv", header, row, "8,a.jpg,F")
    with pytest.raises(DataError, match=r"metadata\.csv:3: 'a' stands there twice"):
        read_metadata(tmp_path)


def test_a_table_that_is_none_is_refused_with_its_line(tmp_path):
    write_text(tmp_path / "metadata.csv", "patientid,filename", "7,a.png", "8,b.png" + "x" * 200_000)

    with pytest.raises(DataError, match=r"metadata\.csv:3: not a CSV"):
        read_metadata(tmp_path)


def test_a_table_without_the_columns_is_refused(tmp_path):
    write_text(tmp_path / "metadata.csv", "patient,file", "7,a.png")

    with pytest.raises(DataError, match=r"metadata\.csv: expected the columns filename, patientid"):
        read_metadata(tmp_path)
