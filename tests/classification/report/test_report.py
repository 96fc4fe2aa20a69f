"""The report of an evaluation, and the model card that is made from it."""

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from boxray.classification.evaluate import judge
from boxray.classification.model_card import model_card
from boxray.classification.report.evaluation import SCHEMA, Evaluation
from boxray.classification.report.page import report_page
from boxray.classification.report.write import write_report
from boxray.core.errors import DataError, ModelError
from boxray.core.findings import LabelSpace
from boxray.core.protocols import FixedClassifier
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.page.judged import JudgedOn
from boxray.page.model_card import read_results
from boxray.weights import NOT_CHOSEN, ModelCard, OperatingPoint
from built import TWO, build_tiny_set
from making import a_finding, classifier_card

CLASSES = LabelSpace("classes", tuple(a_finding(key) for key in TWO.keys), exclusive=True)


@dataclass
class Written:
    folder: Path
    evaluation: Evaluation
    card: ModelCard
    page: str
    results: dict


class Tags(HTMLParser):
    """Whether every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "img", "br", "link", "line", "rect", "circle", "path", "polyline"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"line", "rect", "circle", "path", "polyline"}:
            assert self.open.pop() == tag


def written(folder: Path, space: LabelSpace, assessed=("fluid", "heart"), thresholds=None) -> Written:
    """Of a classifier that finds most of the bright squares."""
    whole = build_tiny_set(folder / "built", per_split=12)
    manifest = Manifest(whole.folder, space, whole.images, whole.boxes).part(Split.TEST)
    if space.exclusive:  # every other image is of the other class
        other = (manifest.images["presence_heart"] == "absent").map({True: "present", False: "absent"})
        manifest = Manifest(whole.folder, space, manifest.images.assign(presence_heart=other), manifest.boxes)
    there = (manifest.images["presence_fluid"] == "boxed").to_numpy()
    fluid = np.where(there, 0.8, 0.3) + np.linspace(0, 0.1, len(there))
    fluid[[0, 1]] = 0.2, 0.9
    scores = np.stack([fluid, 1 - fluid], axis=1)
    scores[:, [key not in assessed for key in space.keys]] = np.nan
    card = classifier_card(space, assessed, 64, {"fluid": 0.5, "heart": 0.5} if thresholds is None else thresholds)
    classifier = FixedClassifier(space, dict.fromkeys(assessed, 0.5), card.identity())
    judgement = judge(manifest, scores, classifier, rounds=20)
    on = JudgedOn.of(manifest, fingerprint="f" * 64, split="test", with_assumed=False, rounds=20)
    evaluation = Evaluation(card, on, judgement)
    page = write_report(folder / "report", evaluation, manifest, scores, classifier)
    results = json.loads((folder / "report" / "results.json").read_text())
    return Written(folder / "report", evaluation, card, page.read_text(), results)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Written:
    return written(tmp_path_factory.mktemp("many"), TWO)


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory) -> Written:
    return written(tmp_path_factory.mktemp("one"), CLASSES)


def test_the_page_is_whole_asks_nobody_and_runs_nothing(report, of_classes):
    for page in (report.page, of_classes.page):
        tags = Tags()
        tags.feed(page)
        assert tags.open == []
        assert "<script" not in page
        assert not re.search(r'(src|href)="https?:', page)
        assert "nan" not in re.sub(r'src="[^"]*"', "", page).lower().replace("finan", "")
        assert page.count("Research use only") >= 2


def test_page_and_numbers_say_the_same(report):
    fluid = report.evaluation.judgement.findings[0]

    assert f"{fluid.within.auroc.value:.2f} " in report.page
    row = report.results["findings"][0]
    assert row["within_source"]["auroc"]["value"] == round(fluid.within.auroc.value, 4)
    assert row["curves"]["roc"]["x"][-1] == 1
    assert report.results["schema"] == "boxray.classification.evaluation/1"
    assert report.results["classes"] is None
    assert "Which class was taken for which" not in report.page


def test_every_error_of_the_gallery_lies_beside_the_page_and_is_counted(report):
    gallery = report.results["gallery"]

    files = [item["picture"] for finding in gallery.values() for item in finding["shown"]]
    assert sorted(files) == sorted(f"gallery/{path.name}" for path in (report.folder / "gallery").glob("*"))
    assert gallery["fluid"]["errors"] == {"false alarm": 1, "miss": 1}
    assert "False alarms of the highest score, of images in which it is known to be absent (1 of 1)" in report.page


def test_classes_that_exclude_each_other_have_a_table_with_a_number_in_every_cell(of_classes):
    classes = of_classes.evaluation.judgement.classes

    assert "Which class was taken for which" in of_classes.page
    for row in classes.confusion:
        for n in row:
            assert f">{n} <span" in of_classes.page
    assert of_classes.results["classes"]["confusion"] == [list(row) for row in classes.confusion]


def test_what_is_not_assessed_is_named_and_has_no_figure(tmp_path):
    said = written(tmp_path, TWO, assessed=("fluid",))

    assert "<b>Not assessed:</b> Heart." in said.page
    assert said.results["findings"][1]["within_source"]["auroc"]["value"] is None
    assert "heart" not in said.results["gallery"]


def test_a_threshold_that_only_stands_in_is_named_below_the_table_of_what_is_said(tmp_path):
    said = written(tmp_path, TWO)
    points = said.card.operating_points | {"heart": OperatingPoint(threshold=0.5, chosen=f"{NOT_CHOSEN}too few")}
    card = said.card.model_copy(update={"operating_points": points})
    sentence = f"No threshold could be chosen for {TWO['heart'].display}, as"

    page = report_page(replace(said.evaluation, card=card), {})

    assert sentence not in said.page
    assert sentence in page


def test_without_operating_points_the_page_says_so_and_shows_no_error(tmp_path):
    said = written(tmp_path, TWO, thresholds={})

    assert "The card stores no operating point" in said.page
    assert said.results["gallery"] == {}


def test_an_earlier_reports_pictures_are_gone(tmp_path):
    left = tmp_path / "report" / "gallery" / "fluid-miss-99.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"old")

    written(tmp_path, TWO)

    assert not left.exists()


# The model card


@pytest.mark.parametrize("which", ["report", "of_classes"])
def test_the_card_tells_the_figures_of_the_evaluation_in_tables_of_equal_rows(which, request):
    said = request.getfixturevalue(which)

    page = model_card(said.card, said.results, {}, {"made": None})

    fluid = said.evaluation.judgement.findings[0]
    assert str(fluid.within.auroc) in page
    assert ("Which class was taken for which" in page) == (which == "of_classes")
    assert "Research use only" in page
    assert "None" not in page.partition("## Training data")[0]
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    assert len(tables) >= 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_card_tells_what_changed_films_do_before_the_errors(report):
    share = {"value": 0.5}
    said = {"finding": "fluid", "source": "made", "there": True, "images": 8}
    shares, certain = {"as is": share, "soft": share}, {"soft": True}
    asked = {
        "changes": {"soft": "blurred"},
        "data": report.results["data"],
        "said": [said | {"shares": shares, "certain": certain}],
    }

    page = model_card(report.card, report.results, {}, {"made": None}, asked)

    assert "| Fluid | 8 of made with | 0.50 | **0.50** |" in page.partition("## When films look otherwise")[2]
    assert page.index("## When films look otherwise") < page.index("## Most confident errors")


def test_results_of_other_weights_or_thresholds_are_refused(report, tmp_path):
    path = report.folder / "results.json"
    other = report.card.model_copy(update={"sha256": {"made.onnx": "1"}})
    moved = classifier_card(TWO, ("fluid", "heart"), 64, {"fluid": 0.4, "heart": 0.5})
    (tmp_path / "no.json").write_text("{}")

    assert read_results(path, SCHEMA, report.card)["findings"]
    with pytest.raises(ModelError, match="measured with weights"):
        read_results(path, SCHEMA, other)
    with pytest.raises(ModelError, match=r"measured at fluid 0\.5, the card now says 0\.4"):
        read_results(path, SCHEMA, moved)
    with pytest.raises(DataError, match=r"boxray classification evaluate made\.onnx"):
        read_results(tmp_path / "no.json", SCHEMA, report.card)
