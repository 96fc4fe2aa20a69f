"""`boxray data check`: one line a fault, counts at the end, an exit code that says whether there are any."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from boxray.cli.data_check import check
from boxray.core.errors import DataError
from making import write_chest, write_text

app = typer.Typer()
app.command()(check)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, stem in enumerate("ab"):
        write_chest(tmp_path / "images" / f"{stem}.png", seed=seed)
        write_text(tmp_path / "labels" / f"{stem}.txt", "0 0.5 0.5 0.1 0.1")
    write_text(tmp_path / "data.yaml", "names: [covid]")
    return tmp_path


def test_a_clean_set_leaves_with_0_and_says_what_was_looked_at(folder: Path) -> None:
    done = run(folder)

    assert done.exit_code == 0
    assert done.stdout == "2 pictures, 2 label files, 2 boxes: clean\n"


def test_faults_are_lines_in_order_with_a_count_per_code_and_leave_with_1(folder: Path) -> None:
    write_text(folder / "labels" / "b.txt", "0 nan 0.5 0.1 0.1", "9 0.5 0.5 0.1 0.1")
    (folder / "labels" / "a.txt").unlink()

    done = run(folder)

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "images/a.png: label.missing: there is no 'labels/a.txt': write one, empty if nothing is there",
        "labels/b.txt:1: label.invalid_row: expected finite numbers, got 'nan'",
        "labels/b.txt:2: label.invalid_row: class 9, but data.yaml has 1, counted from 0",
        "       2  label.invalid_row",
        "       1  label.missing",
        "2 pictures, 1 label files, 2 boxes: 3 faults",
    ]


def test_a_remark_is_told_and_leaves_with_0(folder: Path) -> None:
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1")

    done = run(folder)

    assert done.exit_code == 0
    assert "labels/a.txt:1: label.half_written" in done.stdout
    assert "1  label.half_written  (a remark)" in done.stdout


@pytest.mark.parametrize("harm", [True, False])
def test_json_is_the_whole_report(folder: Path, harm: bool) -> None:
    if harm:
        write_text(folder / "labels" / "b.txt", "0 0.5 0.5 0.1 0.0")

    done = run(folder, "--json")
    report = json.loads(done.stdout)

    assert done.exit_code == int(harm)
    assert report["clean"] is not harm
    assert (report["pictures"], report["label_files"], report["boxes"]) == (2, 2, 2)
    assert report["counts"] == ({"label.degenerate": 1} if harm else {})
    assert [(fault["file"], fault["line"], fault["code"]) for fault in report["faults"]] == (
        [("labels/b.txt", 1, "label.degenerate")] if harm else []
    )


def test_pixels_are_decoded_where_that_is_asked_for(folder: Path) -> None:
    import cv2
    import numpy as np

    assert cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((256, 256), np.uint8))

    assert run(folder).exit_code == 0
    assert "images/a.png: quality.blank" in run(folder, "--pixels").stdout


def test_links_are_followed_where_that_is_asked_for(folder: Path) -> None:
    write_text(folder / "labels" / "c.txt", "0 0.5 0.5 0.1 0.1")
    (folder / "images" / "c.png").symlink_to(write_chest(folder / "store" / "c.png", seed=7))

    assert "images/c.png: data.link" in run(folder).stdout
    assert run(folder, "--follow-links").exit_code == 0


def test_no_data_set_is_an_error_of_ours_and_not_a_list_of_faults(tmp_path: Path) -> None:
    done = run(tmp_path / "gone")

    assert isinstance(done.exception, DataError)
    assert done.stdout == ""
