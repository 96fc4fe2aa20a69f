"""`boxray review` on the command line: pull, undo, sheet."""

import json

import pytest
from typer.testing import CliRunner

from boxray.cli.main import app
from boxray.core.errors import DataError
from boxray.review.edits import VERDICTS
from built import SQUARE_XYXY, build_tiny_set


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    build_tiny_set(folder, per_split=2)
    return folder


@pytest.fixture
def verdicts(data, tmp_path):
    """One verdict that fits, and one on a film that is not there."""
    fits = {"image_id": "made:0", "sha256": "0" * 64, "finding": "fluid", "kind": "box_removed", "reason": "a nipple"}
    fits |= {"box_before_xyxy": SQUARE_XYXY, "made_at": "2026-11-20T10:00:00Z"}
    path = tmp_path / "verdicts.json"
    rows = [fits, fits | {"image_id": "made:99"}]
    path.write_text(json.dumps({"schema": VERDICTS, "base": "b", "reviewer": "alice", "verdicts": rows}))
    return path


@pytest.fixture
def review(data, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ["review", *map(str, words)], env={"COLUMNS": "200"})

    return run


def test_pull_shows_the_diff_and_leaves_with_3_where_a_row_is_refused(review, data, verdicts, tmp_path):
    said = review("pull", "--data", data, "--verdicts", verdicts, "--corrections", tmp_path / "log")

    assert said.exit_code == 3
    assert "[60 150 120 210] → no box" in said.output
    assert "a nipple" in said.output
    assert "not in this set" in said.output
    assert "1 taken, 0 known already, 1 refused; written as batch 000001" in " ".join(said.output.split())


def test_a_dry_run_shows_the_same_and_writes_nothing(review, data, verdicts, tmp_path):
    said = review("pull", "--data", data, "--verdicts", verdicts, "--corrections", tmp_path / "log", "--dry-run")

    assert "[60 150 120 210] → no box" in said.output
    assert "nothing was written" in said.output
    assert not (tmp_path / "log").exists()


def test_pull_as_json_says_what_was_taken_and_why_the_rest_was_not(review, data, verdicts, tmp_path):
    said = review("pull", "--data", data, "--verdicts", verdicts, "--corrections", tmp_path / "log", "--json")

    content = json.loads(said.stdout)
    assert content["batch"] == "000001"
    assert [row["image_id"] for row in content["taken"]] == ["made:0"]
    assert "not in this set" in content["refused"][0]["why"]


def test_undo_reverts_a_batch(review, data, verdicts, tmp_path):
    review("pull", "--data", data, "--verdicts", verdicts, "--corrections", tmp_path / "log")

    said = review("undo", "1", "--corrections", tmp_path / "log")

    assert said.exit_code == 0
    assert "batch 000002 reverts batch 000001" in said.output
    assert isinstance(review("undo", "7", "--corrections", tmp_path / "log").exception, DataError)


def test_sheet_writes_one_file_and_says_what_is_on_it(review, data, tmp_path):
    said = review("sheet", "--data", data, "--out", tmp_path / "a" / "review.html", "--most", 3, "--split", "test")

    assert said.exit_code == 0
    assert "2 of 2 images" in said.output
    assert (tmp_path / "a" / "review.html").is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--split", "dev"], "there are: test, train, val"), (["--finding", "gas"], "fluid, heart")],
)
def test_a_filter_that_nothing_fits_names_what_there_is(review, data, tmp_path, words, expected):
    said = review("sheet", "--data", data, "--out", tmp_path / "review.html", *words)

    assert expected in str(said.exception)
