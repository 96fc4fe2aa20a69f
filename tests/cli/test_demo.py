"""`boxray demo` on a user's own files: what is refused before any model is loaded, and what it leaves."""

import json
from pathlib import Path

import pytest

from boxray.cli.main import main
from boxray.core.reading import SCHEMA
from making import write_chest


def demo(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main(["demo", *map(str, arguments)])
    return int(left.value.code or 0)


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def reader(*_: object, **__: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("boxray.cli.demo.released_reader", reader)


@pytest.mark.usefixtures("no_models")
@pytest.mark.parametrize(
    ("place", "said"), [("afile", "is a file"), ("afile/x", "lies below a file"), ("/proc/foo", "cannot be made")]
)
def test_a_place_that_holds_no_folder_is_named_with_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    (tmp_path / "afile").write_text("")

    assert demo("--out", tmp_path / place) == 1

    assert capsys.readouterr().err.startswith(f"boxray: --out {said}")


@pytest.mark.usefixtures("no_models")
def test_a_folder_without_a_file_to_read_is_a_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()

    assert demo(tmp_path / "in", "--out", tmp_path / "out") == 2

    assert "no file to read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_models")
def test_a_film_that_has_a_pictures_name_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = write_chest(tmp_path / "001.png")
    before = film.read_bytes()

    assert demo(film, "--out", tmp_path) == 1

    assert "--out holds 1 file or folder that no earlier reading wrote" in capsys.readouterr().err
    assert film.read_bytes() == before


@pytest.mark.usefixtures("no_models")
def test_the_record_of_a_reading_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = json.dumps({"schema": SCHEMA, "file": "a.png"}) + "\n"
    (tmp_path / "readings.jsonl").write_text(line)
    (tmp_path / "0001-a.png").write_bytes(b"drawn by boxray read")

    assert demo(write_chest(tmp_path / "b.png"), "--out", tmp_path) == 1

    assert "of an earlier `boxray demo --out` alone" in capsys.readouterr().err
    assert (tmp_path / "readings.jsonl").read_text() == line


def test_a_second_demo_replaces_the_first_whole(tmp_path: Path) -> None:
    films = [write_chest(tmp_path / f"{name}.png") for name in "ab"]
    out = tmp_path / "out"

    assert demo(*films, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["001.png", "002.png", "index.html", "readings.jsonl"]
    assert demo(films[0], "--out", out) == 0

    assert sorted(path.name for path in out.iterdir()) == ["001.png", "index.html", "readings.jsonl"]
    assert len((out / "readings.jsonl").read_text().splitlines()) == 1
