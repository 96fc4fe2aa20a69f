"""`boxray detection evaluate` from the command line, with a made detector in the place of weights."""

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

import boxray.cli.detection as commands
from boxray.cli.main import main
from boxray.core.boxes import Box
from boxray.core.errors import MissingExtra
from boxray.core.protocols import FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection, ModelIdentity
from built import SQUARE_XYXY, TWO, build_tiny_set
from tiny_detector import tiny_weights


@dataclass(frozen=True)
class SeesTheSquare(FixedDetector):
    """Finds the bright square where there is one, and counts how often it was asked."""

    asked: ClassVar[int] = 0

    def detect(self, rad: Radiograph, min_score: float | None = None) -> tuple[Detection, ...]:
        type(self).asked += 1
        return (Detection("fluid", 0.9, Box(*SQUARE_XYXY)),) if rad.pixels[180, 90] > 0.9 else ()


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """The command on a tiny set; gives exit code and what stood on stdout."""
    build_tiny_set(tmp_path / "set")
    identity = ModelIdentity("made", "1", "0" * 64, {"fluid": 0.5})
    SeesTheSquare.asked = 0
    detector = SeesTheSquare(TWO, assessed=("fluid",), identity=identity)
    monkeypatch.setattr(commands, "open_detector", lambda weights, state: detector)

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["detection", "evaluate", "made.onnx", "--data", str(tmp_path / "set"), *arguments])
        return int(left.value.code or 0), capsys.readouterr().out

    return run


def test_the_table_fits_eighty_columns_and_has_one_line_a_finding(evaluate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    code, said = evaluate()

    assert code == 0
    (fluid,) = [line for line in said.splitlines() if "Fluid" in line]
    assert "1.00 (no interval)" in fluid
    assert "3/3" in fluid
    assert "…" not in said
    assert "not assessed" in said
    assert max(map(len, said.splitlines())) <= 80


def test_json_is_one_list_on_stdout_with_the_keys_that_it_always_had(evaluate):
    code, said = evaluate("--json")

    fluid, heart = json.loads(said)
    assert code == 0
    assert (fluid["ap50"], fluid["low"], fluid["high"], fluid["boxes"]) == (1.0, 1.0, 1.0, 3)
    assert heart["assessed"] is False


def test_a_report_reads_every_image_once_and_does_without_torch(evaluate, tmp_path, monkeypatch):
    def no_torch(*arguments):
        raise MissingExtra("training a detector", "train")

    monkeypatch.setattr("boxray.detection.features.pooled_features", no_torch)

    code, _ = evaluate("--report", str(tmp_path / "report"))

    assert code == 0
    assert SeesTheSquare.asked == 6
    content = json.loads((tmp_path / "report" / "results.json").read_text())
    assert "train" in content["source_from_features"]["not_computed"]
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_source_check_can_be_left_out(evaluate, tmp_path):
    evaluate("--report", str(tmp_path / "report"), "--no-source-check")

    content = json.loads((tmp_path / "report" / "results.json").read_text())
    assert content["source_from_features"] == {"not_computed": "not asked for"}


def test_weights_are_calibrated_and_their_page_is_written_from_the_command_line(tmp_path, capsys):
    build_tiny_set(tmp_path / "set")
    weights = tiny_weights(tmp_path / "weights")
    data, graph = ["--data", str(tmp_path / "set")], str(weights.with_suffix(".onnx"))
    commands = [
        ["calibrate", graph, *data, "--version", "1"],
        ["evaluate", graph, *data, "--report", str(tmp_path / "report"), "--no-source-check"],
        ["card", graph, "--results", str(tmp_path / "report" / "results.json")],
    ]

    for command in commands:
        with pytest.raises(SystemExit) as left:
            main(["detection", *command])
        assert not left.value.code

    assert capsys.readouterr().out.split()[-1].endswith("tiny.md")
    assert json.loads(weights.read_text())["calibrated_on"]["images"] == 6
    assert weights.with_suffix(".md").read_text().startswith("# tiny 1\n")
