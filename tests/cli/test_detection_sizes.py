"""`boxray detection sizes` and `resize` from the command line."""

import json
from types import SimpleNamespace

import pytest

from boxray.cli.main import main
from boxray.core.metrics import Interval
from boxray.detection.compare import Compared
from built import build_tiny_set


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The commands on a tiny set; gives exit code, stdout and stderr."""
    build_tiny_set(tmp_path / "set")

    def judged(detector, manifest, sides, progress):
        figures = Interval(0.5, 0.4, 0.6), Interval(0.4, 0.3, 0.5), Interval(0.1, -0.1, 0.3)
        return {side: tuple(Compared(name, 6, 3, *figures) for name in ("fluid", "mean")) for side in sides}

    monkeypatch.setattr("boxray.detection.sizes.judge_sizes", judged)
    opened = SimpleNamespace(card=SimpleNamespace(side_px=64))
    monkeypatch.setattr("boxray.detection.release.load_torch_detector", lambda weights, state: opened)

    def ask(*arguments: str):
        with pytest.raises(SystemExit) as left:
            main(["detection", *arguments, "--data", str(tmp_path / "set")])
        return int(left.value.code or 0), *capsys.readouterr()

    return ask


def test_sizes_are_told_in_eighty_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    code, said, _ = run("sizes", "any.safetensors", "--sides", "64, 96,128,160,192,1024")

    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert code == 0
    assert "64 0.50 (0.40–0.60) +0.10 (-0.10, +0.30)" in lines
    assert "AP50 at 64 96 128 160 192 1024" in lines
    assert [line for line in lines if line.endswith("0.50 0.50 0.50 0.50 0.50 0.50")] == [
        f"{name} 0.50 0.50 0.50 0.50 0.50 0.50" for name in ("Fluid", "Mean")
    ]
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 80


def test_sizes_as_json_have_a_list_of_findings_each(run):
    code, said, _ = run("sizes", "any.safetensors", "--sides", "64", "--json")

    assert code == 0
    assert [row["finding"] for row in json.loads(said)["64"]] == ["fluid", "mean"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["sizes", "any", "--sides", "64,100"], "100 px is no multiple of 32; the nearest is 96"),
        (["sizes", "any", "--sides", "0"], "0 px is no multiple of 32; the nearest is 32"),
        (["sizes", "any", "--sides", "64,x"], "'x' is no whole number; give sides such as 384,512"),
        (["resize", "any", "--version", "1", "--side", "380"], "380 px is no multiple of 32; the nearest is 384"),
    ],
)
def test_a_size_that_no_grid_divides_is_refused_with_the_nearest_that_one_does(run, asked, said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    code, _, errors = run(*asked)

    assert code == 2
    assert said in errors
