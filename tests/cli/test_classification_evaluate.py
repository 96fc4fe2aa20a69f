"""`boxray classification evaluate`, `compare` and `card`, with made classifiers in the place of weights."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import boxray.cli.classification_evaluate as commands
from boxray.classification.compare import Compared
from boxray.cli.main import main
from boxray.core.findings import Finding, LabelSpace
from boxray.core.metrics import Interval
from boxray.core.protocols import FixedClassifier
from boxray.core.reading import ModelIdentity
from built import TWO, build_tiny_set
from making import classifier_card


class Bright(FixedClassifier):
    """Scores a film by its brightness: the boxed square is bright."""

    __slots__ = ("card",)

    def __init__(self, name: str, sign: float) -> None:
        card = classifier_card(TWO, ("fluid",), 64, {"fluid": 0.5}).model_copy(
            update={"name": name, "sha256": {f"{name}.onnx": name[0] * 64}}
        )
        super().__init__(TWO, {"fluid": sign}, card.identity())
        object.__setattr__(self, "card", card)

    def score_many(self, radiographs) -> Mapping[str, float]:
        sign = self.scores["fluid"]
        for rad in radiographs:
            yield {"fluid": float(0.5 + sign * (rad.pixels[150:210, 60:120].mean() - 0.6))}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A command on a tiny set; gives exit code, stdout and stderr."""
    build_tiny_set(tmp_path / "built", per_split=12)
    classifiers = {"good": Bright("good", 1.0), "bad": Bright("bad", -1.0)}
    monkeypatch.setattr(commands, "open_classifier", lambda weights: classifiers[weights.stem])
    monkeypatch.setattr(commands, "open_scorer", lambda weights, _: classifiers[weights.stem])
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["classification", *arguments, "--data", str(tmp_path / "built")])
        return int(left.value.code or 0), *capsys.readouterr()

    return call


def test_several_weights_have_a_table_each_one_after_the_other(run):
    code, said, _ = run("evaluate", "good.onnx", "bad.onnx")

    assert code == 0
    assert said.index("good 0") < said.index("bad 0")
    fluid = [line for line in said.splitlines() if "Fluid" in line]
    assert "1.00 (no interval)" in fluid[0]
    assert "0.00 (no interval)" in fluid[1]
    assert "6/6" in fluid[0]
    assert "not assessed" in said
    assert max(map(len, said.splitlines())) <= 80


def test_tensors_that_draw_lungs_are_left_out_where_a_whole_folder_is_named(run):
    code, said, told = run("evaluate", "good.safetensors", "good.lungs.safetensors")

    assert code == 0
    assert said.count("good 0") == 1
    assert "good.lungs.safetensors: part of" in told


def test_json_is_a_list_with_an_object_for_each(run):
    _, said, _ = run("evaluate", "good.onnx", "bad.onnx", "--json")

    good, bad = json.loads(said)
    assert (good["model"]["name"], bad["model"]["sha256"]) == ("good", "b" * 64)
    assert good["findings"][0]["pooled"]["auroc"]["value"] == 1
    assert bad["mean"]["auroc_within"]["macro"]["value"] == 0


def test_of_several_weights_each_has_a_report_of_its_own(run, tmp_path):
    code, _, told = run("evaluate", "good.onnx", "bad.onnx", "--report", str(tmp_path / "out"))

    assert code == 0
    assert (tmp_path / "out" / "good" / "report.html").is_file()
    assert (tmp_path / "out" / "bad" / "results.json").is_file()
    assert told.count("written:") == 2


def test_one_report_lies_in_the_very_folder(run, tmp_path):
    run("evaluate", "good.onnx", "--report", str(tmp_path / "out"))

    assert (tmp_path / "out" / "report.html").is_file()


def test_a_comparison_says_both_kinds_of_figure_with_the_difference_in_eighty_columns(run):
    code, said, _ = run("compare", "good.onnx", "bad.onnx")

    assert code == 0
    assert said.index("Within source") < said.index("Pooled")
    fluid = [line for line in said.splitlines() if "Fluid" in line]
    assert all("+1.00 (+1.00, +1.00)" in line for line in fluid)
    assert "ours: good 0; theirs: bad 0" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_comparison_as_json_names_figure_and_counts(run):
    _, said, _ = run("compare", "good.onnx", "bad.onnx", "--json", "--findings", "fluid")

    rows = json.loads(said)["auroc"]
    assert [(row["finding"], row["figure"]) for row in rows] == [
        (name, figure) for figure in ("auroc_within", "auroc_pooled") for name in ("fluid", "mean")
    ]
    assert rows[0]["images_with"] == 6


def test_a_finding_that_one_of_them_does_not_assess_is_named(run):
    code, said, told = run("compare", "good.onnx", "bad.onnx", "--findings", "heart")

    assert (code, said) == (1, "")
    assert "heart cannot be compared" in told


def test_the_longest_name_and_a_negative_difference_fit_as_well(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    long = LabelSpace("one", (Finding("effusion", "Pleural effusion", "the fluid", "#112233"),))
    figures = Interval(0.06, 0.02, 0.15), Interval(0.17, 0.1, 0.3), Interval(-0.11, -0.21, -0.02)
    row = Compared("effusion", "auroc_within", 726, 579, *figures)
    model = ModelIdentity("mobilenetv2-chest8", "1", "0" * 64)

    commands._print_comparison([row], long, (model, model))

    said = capsys.readouterr().out
    assert "0.06 (0.02–0.15) 0.17 (0.10–0.30) -0.11 (-0.21, -0.02)   1305" in said


def test_a_card_without_results_says_how_they_are_made(tmp_path: Path, capsys):
    weights = Path(__file__).parents[2] / "classification" / "weights"
    (graph,) = list(weights.glob("*.onnx"))[:1]
    with pytest.raises(SystemExit) as left:
        main(["classification", "card", str(graph), "--results", str(tmp_path / "no.json")])

    assert left.value.code == 1
    assert "boxray classification evaluate" in capsys.readouterr().err
