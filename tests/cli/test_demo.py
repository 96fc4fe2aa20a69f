"""`boxray demo` on a user's own files: what is refused before any model is loaded."""

from pathlib import Path

import pytest

from boxray.cli.main import main


def demo(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main(["demo", *map(str, arguments)])
    return int(left.value.code or 0)


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def reader(*_: object, **__: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("boxray.cli.demo.released_reader", reader)


@pytest.mark.parametrize(
    ("place", "said"), [("afile", "is a file"), ("afile/x", "lies below a file"), ("/proc/foo", "cannot be made")]
)
def test_a_place_that_holds_no_folder_is_named_with_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    (tmp_path / "afile").write_text("")

    assert demo("--out", tmp_path / place) == 1

    assert capsys.readouterr().err.startswith(f"boxray: --out {said}")


def test_a_folder_without_a_file_to_read_is_a_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()

    assert demo(tmp_path / "in", "--out", tmp_path / "out") == 2

    assert "no file to read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
