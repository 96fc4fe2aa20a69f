"""What importers share: stems, tables, and the folder that something is missing from."""

import gzip

import pytest

from boxray.core.errors import DataError
from boxray.data.sources.files import pictures_by_stem, read_table, read_text, require
from making import write_text


def test_pictures_are_found_by_stem_below_the_folder_and_only_the_last_suffix_is_cut(tmp_path):
    for name in ("a.PNG", "deep/er/b.jpeg", "41591_Fig1_HTML.webp-day10.jpg", "c.dcm", "notes.txt", "d.tif"):
        write_text(tmp_path / name)
    (tmp_path / "folder.png").mkdir()

    found = pictures_by_stem(tmp_path)

    assert set(found) == {"a", "b", "41591_Fig1_HTML.webp-day10", "c"}
    assert found["b"] == tmp_path / "deep" / "er" / "b.jpeg"


def test_two_pictures_of_one_stem_are_refused_because_the_table_could_mean_either(tmp_path):
    write_text(tmp_path / "one" / "a.png")
    write_text(tmp_path / "two" / "a.jpg")

    with pytest.raises(DataError, match="two pictures are called 'a' below"):
        pictures_by_stem(tmp_path)


@pytest.mark.parametrize("stem", ["A", "ä", "a b", "x" * 200])
def test_stems_that_differ_in_case_accents_or_spaces_are_different_d12(tmp_path, stem):
    write_text(tmp_path / "a.png")
    write_text(tmp_path / f"{stem}.png")

    assert set(pictures_by_stem(tmp_path)) == {"a", stem}


def test_the_first_name_that_is_there_is_taken(tmp_path):
    write_text(tmp_path / "b.csv")

    assert require(tmp_path, "a.csv", "b.csv") == tmp_path / "b.csv"


def test_what_is_missing_is_said_with_every_name_that_would_do(tmp_path):
    with pytest.raises(DataError, match=r"expected a\.csv or b\.csv in the source's folder"):
        require(tmp_path, "a.csv", "b.csv")


def test_a_table_is_text_without_guesses_gzipped_or_not(tmp_path):
    lines = b"\xef\xbb\xbfid,label,n\n007,NA,1e3\n008,,nan\n"
    (tmp_path / "t.csv").write_bytes(lines)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(lines))

    for name in ("t.csv", "t.csv.gz"):
        assert read_table(tmp_path / name, ["id", "label", "n"]).to_numpy().tolist() == [
            ["007", "NA", "1e3"],
            ["008", "", "nan"],
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"id,name\n1,2\n", r"t\.csv: expected the columns label, got id, name", id="a-column-missing"),
        pytest.param(b"", r"t\.csv: not a CSV", id="empty"),
        pytest.param(b"id,label\n1,2\n1,2,3,4\n", r"t\.csv: not a CSV", id="a-row-too-long"),
        pytest.param("id,label\nä,b\n".encode("utf-16"), r"t\.csv: not a CSV", id="D1-another-encoding"),
    ],
)
def test_what_is_no_such_table_is_an_error_that_names_it(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.csv", ["id", "label"])


def test_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes("ä".encode("utf-16"))

    with pytest.raises(DataError, match=r"a\.txt: expected text in UTF-8"):
        read_text(tmp_path / "a.txt")
