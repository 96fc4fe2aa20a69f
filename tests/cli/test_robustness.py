"""`boxray detection robustness` and `boxray classification robustness`, with made models in the place of weights."""

import json

import pytest

import boxray.cli.robustness as commands
from boxray.cli.main import main
from boxray.core.boxes import Box
from boxray.core.metrics import Interval
from boxray.core.protocols import FixedClassifier, FixedDetector
from boxray.core.reading import Detection, ModelIdentity
from boxray.data.card import load_label_space
from boxray.detection.highest_box import HighestBox
from boxray.localization.robustness import CHANGES, Said
from built import TWO, build_tiny_set

CERTAIN = Interval(1.0, 0.5, 1.0)


def brightness(rad) -> float:
    """Of the place where the boxed square is."""
    return float(rad.pixels[150:210, 60:120].mean() - 0.1)


class BrightScored(FixedClassifier):
    """Scores a film by its brightness."""

    __slots__ = ()

    def score_many(self, radiographs):
        return ({"fluid": brightness(rad)} for rad in radiographs)


class BrightBoxed(FixedDetector):
    """Boxes a film, scored by its brightness, and a paler box beside."""

    __slots__ = ()

    def detect(self, rad, min_score=None):
        boxes = (Detection("fluid", brightness(rad) / part, Box(60, 150, 120, 210)) for part in (2, 1))
        return tuple(box for box in boxes if box.score >= (min_score or 0))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A command of one of the models on a tiny set; gives exit code, stdout and stderr."""
    build_tiny_set(tmp_path / "built", per_split=12)
    models = {
        name: ModelIdentity(name, "0", "0" * 64, thresholds)
        for name, thresholds in (("good", {"fluid": 0.5}), ("silent", {}))
    }

    def opened(weights, _):
        identity = models[weights.stem]
        boxed = HighestBox(BrightBoxed(TWO, (), ("fluid",), identity))
        return boxed if weights.parent.name == "detection" else BrightScored(TWO, {}, identity)

    monkeypatch.setattr(commands, "open_scorer", opened)
    monkeypatch.setenv("COLUMNS", "80")

    def call(model: str, *arguments: str, weights: str = "good.onnx") -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([model, "robustness", f"{model}/{weights}", *arguments, "--data", str(tmp_path / "built")])
        return int(left.value.code or 0), *capsys.readouterr()

    return call


@pytest.mark.parametrize("model", ["detection", "classification"])
def test_there_is_a_table_of_films_without_and_of_films_with_the_finding(run, model):
    code, said, _ = run(model)

    assert code == 0
    without, with_it = said.split("Share of the films with the finding")
    assert "Share of the films without the finding" in without
    for table in (without, with_it):
        assert "soft" in table
        assert any(line.split()[:1] == ["Fluid"] for line in table.splitlines())
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("model", ["detection", "classification"])
def test_as_json_it_names_model_and_part_and_has_every_share(run, model):
    code, said, _ = run(model, "--split", "val", "--json")

    told = json.loads(said)
    assert code == 0
    assert (told["model"]["name"], told["data"]["split"], told["assumed_absences_count"]) == ("good", "val", False)
    assert {one["there"] for one in told["said"]} == {True, False}
    assert all(len(one["shares"]) == len(one["differences"]) + 1 == 7 for one in told["said"])
    assert told["changes"]["soft"] == "blurred by 2 px of 640"
    assert told["operating_points"] == {"fluid": 0.5}


def test_a_detector_says_a_finding_where_its_boldest_box_is_bold_enough_as_a_classifier_of_that_score_does(run):
    _, boxed, _ = run("detection", "--json")
    _, scored, _ = run("classification", "--json")

    assert json.loads(boxed) == json.loads(scored)
    shares = [share["value"] for one in json.loads(boxed)["said"] for share in one["shares"].values()]
    assert 0 < sum(shares) < len(shares)


@pytest.mark.parametrize("model", ["detection", "classification"])
def test_weights_that_say_nothing_yet_are_refused(run, model):
    code, _, told = run(model, weights="silent.onnx")

    assert code != 0
    assert "has no operating point yet" in told


def test_the_longest_names_and_every_star_fit_eighty_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shares = dict.fromkeys(("as is", *CHANGES), CERTAIN)
    found = [Said("effusion", "covid_lungs", there, 9999, 5, shares, shares) for there in (False, True)]

    commands._print_tables(found, load_label_space("chest8"))

    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "1.00*" in line]) == 2
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_of_fewer_than_five_patients_no_difference_is_called_certain(capsys):
    shares = dict.fromkeys(("as is", *CHANGES), CERTAIN)

    commands._print_tables([Said("effusion", "nih", True, 9, 4, shares, shares)], load_label_space("chest8"))

    table, _ = capsys.readouterr().out.rsplit("*:", maxsplit=1)
    assert "1.00" in table
    assert "*" not in table
