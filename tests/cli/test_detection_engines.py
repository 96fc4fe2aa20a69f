"""`boxray detection quantize` and `parity`, from the command line."""

from pathlib import Path

import pytest

from boxray.cli.main import main
from boxray.weights import released_card
from built import build_tiny_set
from tiny_detector import tiny_weights


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([*map(str, arguments)])
    return int(left.value.code or 0)


def test_parity_is_a_table_with_a_row_for_each_engine_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ultralytics")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    build_tiny_set(tmp_path, per_split=2)
    engines = ("--engine", "openvino", "--engine", "openvino-int8", "--engine", "onnxruntime-cuda")

    code = run("detection", "parity", released_card("detection"), "--data", tmp_path, "--images", 1, *engines)

    said = capsys.readouterr().out
    assert code == 0
    assert "against torch, 1 images" in said
    assert "has no CUDAExecutionProvider" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("│")] == list(engines[1::2])


def test_parity_with_an_engine_that_nobody_knows_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("detection", "parity", released_card("detection"), "--data", tmp_path, "--engine", "tflite")

    assert code == 2
    assert "tflite" in capsys.readouterr().err


def test_quantize_shows_both_accuracies_and_names_the_card_that_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tiny_weights(tmp_path / "weights").with_suffix(".onnx")
    build_tiny_set(tmp_path / "built", per_split=2)

    code = run("detection", "quantize", weights, "--data", tmp_path / "built", "--images", 2)

    said = capsys.readouterr().out
    assert code == 0
    assert "AP50 float32" in said
    assert said.count("Fluid") == 1
    assert (tmp_path / "weights/int8/tiny-int8.onnx").is_file()
    assert "tiny-int8.json" in said.replace("\n", "")


def test_quantize_without_a_built_set_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run("detection", "quantize", released_card("detection"), "--data", tmp_path)

    assert code == 1
    assert "make one with: boxray data build" in capsys.readouterr().err
