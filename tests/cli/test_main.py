import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.text import Text

import boxray
from boxray.cli.main import app, main


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("--version") == 0
    assert capsys.readouterr().out == f"boxray {boxray.__version__}\n"


def test_a_wrong_command_leaves_with_2_and_says_where_help_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("raed") == 2
    assert "raed" in capsys.readouterr().err


def test_a_wrong_key_of_a_recipe_leaves_with_2_and_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("data: x\nstages: [{side_px: 64, epochs: 1, lr: 0.1}]\n")

    assert leave("detection", "train", str(recipe), "bacth=3") == 2
    assert "mine.yaml: unknown key 'bacth' (did you mean 'batch'?)" in capsys.readouterr().err


def test_a_value_out_of_range_says_the_key_and_what_was_got(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("data: x\nstages: [{side_px: 65, epochs: 1, lr: 0.1}]\n")

    assert leave("detection", "train", str(recipe)) == 2
    assert "stages.0.side_px" in (said := capsys.readouterr().err)
    assert "65" in said


def test_data_that_was_never_built_leaves_with_1_and_says_how_to_build_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave("classification", "evaluate", "x.onnx", "--data", str(tmp_path)) == 1
    assert "boxray data build" in capsys.readouterr().err


@pytest.mark.parametrize("job", ["detection", "classification", "data"])
def test_the_folder_is_the_command(job: str) -> None:
    root = Path(__file__).parents[2]

    done = subprocess.run([sys.executable, job, "--help"], cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f"boxray {job}" in done.stdout


def test_reading_needs_none_of_the_training_libraries() -> None:
    script = """
import sys
for name in ("torch", "torchvision", "ultralytics", "fiftyone", "onnx", "sklearn"):
    sys.modules[name] = None  # an import of it fails from here on
import numpy as np
from boxray.cli import main
from boxray.core.radiograph import Radiograph
from boxray.localization.reader import released_reader
grey = np.linspace(0, 1, 300 * 256, dtype=np.float32).reshape(300, 256)
print(released_reader(scope_check=False).read_radiograph(Radiograph(grey), "a ramp").status)
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.stdout == "RESULT\n", done.stderr


def _commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*names, name), command
        if hasattr(command, "commands"):
            yield from _commands(command, *names, name)


def test_help_shows_every_word_that_was_written() -> None:
    """Help is rich's markup, which takes ``[pacs]`` for a style and leaves it out."""
    written = [
        (names, words)
        for names, command in _commands(typer.main.get_command(app))
        for words in (command.help, *(getattr(parameter, "help", None) for parameter in command.params))
        if words
    ]

    assert len(written) > 100
    assert [each for each in written if Text.from_markup(each[1]).plain != each[1].replace("\\[", "[")] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "--out", "new"),
        ("detection", "evaluate", "x.onnx"),
        ("detection", "compare", "x.onnx", "y.onnx"),
        ("classification", "evaluate", "x.onnx"),
        ("classification", "compare", "x.onnx", "y.onnx"),
        ("classification", "lungs", "evaluate", "x.onnx"),
    ],
    ids=" ".join,
)
def test_a_part_that_there_is_not_leaves_with_2_and_names_those_there_are(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(*arguments, "--data", "built", "--split", "tets") == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "train" in said
    assert "val" in said


def test_what_the_disk_refuses_is_one_line_and_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/0001-a.png")

    monkeypatch.setattr("boxray.cli.read.released_reader", full)

    assert leave("read", str(tmp_path / "a.png")) == 1

    assert capsys.readouterr().err == "boxray: No space left on device: 'out/0001-a.png'\n"


def test_a_recipe_that_is_no_text_leaves_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")

    assert leave("detection", "train", str(tmp_path / "mine.yaml")) == 2
    assert "mine.yaml is not text in UTF-8" in capsys.readouterr().err
