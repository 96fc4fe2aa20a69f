"""`boxray data sources`: what there is a card for, and what of it is here."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from boxray.cli.main import app
from boxray.core.errors import DataError
from making import write_card, write_chest, write_text


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    write_card(
        tmp_path / "cards", "mine", boxes={"Fluid": "effusion", "Heart": "cardiomegaly"}, exhaustive=["effusion"]
    )
    write_card(tmp_path / "cards", "other", licence="[no] " + "licence " * 60, commercial_use=False)
    write_chest(tmp_path / "here" / "a.png")
    sources = {"one": {"card": "mine", "root": "here"}, "two": {"card": "mine", "root": "nowhere"}}
    write_text(tmp_path / "datasets.yaml", yaml.safe_dump({"sources": sources}))
    return tmp_path


def said(*words):
    result = CliRunner().invoke(app, ["data", "sources", "--cards", "cards", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_each_card_tells_licence_findings_and_what_is_on_disk(project):
    text = " ".join(said().split())

    assert "mine Made for a test boxed effusion boxed, not every one cardiomegaly" in text
    assert "licence none needed (commercial use allowed)" in text
    assert "in use as one: 1 pictures on disk in use as two: its folder is missing" in text
    assert "other Made for a test licence [no] licence" in text
    assert "(not for commercial use) get it this file" in text


def test_no_line_is_wider_than_the_terminal_and_no_word_is_cut(project):
    lines = said().splitlines()

    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_programs_get_it_as_json(project):
    mine, other = json.loads(said("--json"))

    assert mine["in_use"] == {"one": 1, "two": None}
    assert other["boxed"] == []
    assert other["commercial_use"] is False


def test_every_card_of_the_bench_is_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["data", "sources", "--json"])

    assert {"nih", "vindr", "covid_seg"} <= {row["card"] for row in json.loads(result.output)}


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("--datasets", "mine.yaml"), "there is no mine.yaml"), (("--cards", "here"), "there is no card in here")],
)
def test_what_is_named_and_not_there_is_said(project, words, reason):
    result = CliRunner().invoke(app, ["data", "sources", *words])

    assert isinstance(result.exception, DataError)
    assert reason in str(result.exception)
