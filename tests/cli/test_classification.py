"""`boxray classification train`, `ablate-clahe` and `download`, on a made set."""

import json
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.cli.main import main
from built import build_tiny_set


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small recipe on a tiny set, in a folder of its own to run in."""
    build_tiny_set(tmp_path / "set", per_split=8)
    asked = {"data": str(tmp_path / "set"), "side_px": 64, "batch": 4, "head_epochs": 1, "epochs": 0}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(asked))
    monkeypatch.chdir(tmp_path)
    return "tiny.yaml"


def boxray(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["classification", *arguments])
    return int(left.value.code or 0)


def clahe_of(runs: Path) -> list[bool]:
    recipes = [yaml.safe_load(path.read_text()) for path in sorted(runs.glob("classification/*/recipe.yaml"))]
    return sorted(recipe["clahe"] is not None for recipe in recipes)


def test_leaving_out_clahe_trains_twice_and_compares_with_against_without(recipe: str, tmp_path: Path, capsys) -> None:
    assert boxray("ablate-clahe", recipe, "--json") == 0

    said = json.loads(capsys.readouterr().out)
    assert clahe_of(tmp_path / "runs") == [False, True]
    assert {row["finding"] for row in said["auroc"]} == {"fluid", "heart", "mean"}
    for side, there in (("ours", True), ("theirs", False)):
        asked = yaml.safe_load((tmp_path / "runs" / "classification" / said[side]["name"] / "recipe.yaml").read_text())
        assert (asked["clahe"] is not None) is there


def test_an_ablation_that_was_cut_off_begins_what_was_not_begun(recipe: str, tmp_path: Path) -> None:
    assert boxray("train", recipe) == 0

    assert boxray("ablate-clahe", recipe, "--resume", "--json") == 0

    assert clahe_of(tmp_path / "runs") == [False, True], "the first training was gone on with, not begun anew"


def test_there_must_be_clahe_to_leave_out(recipe: str, capsys) -> None:
    assert boxray("ablate-clahe", recipe, "clahe=null") == 2

    assert "none to leave out" in capsys.readouterr().err


def test_a_backbone_without_start_weights_is_named_beside_those_that_have_some(capsys) -> None:
    assert boxray("download", "vgg99") == 2

    assert "resnet50" in capsys.readouterr().err
