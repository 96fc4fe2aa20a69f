"""`boxray detection compare` from the command line, with made detectors in the place of weights."""

import json
from pathlib import Path

import pytest

import boxray.cli.detection_compare as commands
from boxray.cli.main import main
from boxray.core.boxes import Box
from boxray.core.findings import Finding, LabelSpace
from boxray.core.metrics import Interval
from boxray.core.protocols import FixedDetector
from boxray.core.reading import Detection, ModelIdentity
from boxray.detection.compare import Compared
from built import SQUARE_XYXY, TWO, build_tiny_set

HIT = Detection("fluid", 0.9, Box(*SQUARE_XYXY))


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    """The command: ours boxes everywhere, theirs nowhere; gives exit code, stdout and stderr."""
    build_tiny_set(tmp_path)
    detectors = {
        name: FixedDetector(TWO, found, assessed=("fluid",), identity=ModelIdentity(name, "1", name[0] * 64))
        for name, found in (("loud", (HIT,)), ("silent", ()))
    }
    monkeypatch.setattr(commands, "open_detector", lambda weights, state: detectors[weights.stem])

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["detection", "compare", "loud.onnx", "silent.onnx", "--data", str(tmp_path), *arguments])
        return int(left.value.code or 0), *capsys.readouterr()

    return run


def test_the_table_says_both_figures_and_the_difference_in_eighty_columns(compare, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    code, said, _ = compare()

    assert code == 0
    fluid, error = [line for line in said.splitlines() if "Fluid" in line]
    assert "0.00 (no interval)" in fluid
    assert "+0." in fluid
    assert fluid.split()[-1] == "3"
    assert error.split()[-2:] == ["–", "3"], "who detects nothing has no calibration error"
    assert "Mean" in said
    assert "ours: loud 1; theirs: silent 1" in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_longest_name_and_a_negative_difference_fit_as_well(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    long = LabelSpace("one", (Finding("effusion", "Pleural effusion", "the fluid", "#112233"),))
    row = Compared(
        "effusion", 1, 1155, Interval(0.06, 0.02, 0.15), Interval(0.17, 0.1, 0.3), Interval(-0.11, -0.21, -0.02)
    )
    model = ModelIdentity("yolov8n", "1", "0" * 64)

    commands._print_table("ap50", [row], long, (model, model))

    said = capsys.readouterr().out
    assert "Pleural effusion 0.06 (0.02–0.15) 0.17 (0.10–0.30) -0.11 (-0.21, -0.02)  1155" in said


def test_json_names_both_models_and_what_was_counted(compare):
    code, said, _ = compare("--json", "--findings", "fluid", "--with-assumed")

    content = json.loads(said)
    fluid, mean = content["ap50"]
    assert code == 0
    assert (content["ours"]["name"], content["theirs"]["sha256"]) == ("loud", "s" * 64)
    assert (content["split"], content["assumed_absences_count"]) == ("test", True)
    assert fluid["difference"]["value"] == fluid["ours"]["value"] > fluid["theirs"]["value"] == 0
    assert mean == fluid | {"finding": "mean"}
    assert [row["finding"] for row in content["ece"]] == ["fluid", "mean"]
    assert content["ece"][0]["theirs"]["value"] is None


def test_a_finding_that_one_of_them_does_not_assess_is_named(compare):
    code, said, told = compare("--findings", "heart")

    assert (code, said) == (1, "")
    assert "heart cannot be compared; assessed by ours: fluid" in told


def test_a_folder_that_is_none_of_a_run_is_no_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ultralytics", reason="a run is read by torch")
    build_tiny_set(tmp_path, per_split=1)

    with pytest.raises(SystemExit) as left:
        main(["detection", "compare", str(tmp_path), "other.onnx", "--data", str(tmp_path)])

    assert left.value.code == 1
    assert "has no recipe.yaml" in capsys.readouterr().err
