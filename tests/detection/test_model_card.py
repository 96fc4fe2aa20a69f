"""The model card as a page: what it says, and what it refuses to say. Parsed by markdown-it, as GitHub would."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from boxray.core.boxes import Box
from boxray.core.errors import DataError, ModelError
from boxray.core.metrics import Interval
from boxray.core.plain import json_text
from boxray.core.reading import DISCLAIMER, Detection
from boxray.data.split import Split
from boxray.detection.evaluate import judge
from boxray.detection.model_card import write_model_card
from boxray.detection.report.evaluation import whole_evaluation
from boxray.detection.report.write import write_report
from boxray.localization.robustness import CHANGES, Robustness, Said
from boxray.page.judged import JudgedOn
from boxray.page.model_card import AS_IS
from boxray.weights import Calibrated, ModelCard, OperatingPoint, Provenance, load_card, save_card, write_card
from built import SQUARE_XYXY, TWO, build_tiny_set

HIT, FALSE = Detection("fluid", 0.9, Box(*SQUARE_XYXY)), Detection("fluid", 0.7, Box(0, 0, 30, 30))


def a_card() -> ModelCard:
    return ModelCard(
        name="tiny",
        version="1",
        job="detection",
        architecture="yolov8n",
        licence="AGPL-3.0-or-later",
        intended_use="A test | with <b>marks</b>.",
        label_space=TWO.to_mapping(),
        assessed=("fluid",),
        side_px=64,
        operating_points={"fluid": OperatingPoint(threshold=0.5, chosen="best F1 | on 6 boxes")},
        calibration={"fluid": (0.75, -0.5)},
        calibrated_on=Calibrated(fingerprint="c" * 64, images=6, findings={"fluid": "Platt scaling on 9 detections"}),
        trained_on=Provenance(
            sources=("nih", "tbx11k", "of_my_own"),
            images=7,
            positives={"fluid": 12},
            fingerprint="d" * 64,
            recipe={"batch": 4},
        ),
        sha256={},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with their card and the report of an evaluation: two boxes found, one missed, one false box."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.onnx").write_bytes(b"a graph")
    card = load_card(save_card(a_card(), folder), check=".onnx")[0]
    manifest = build_tiny_set(folder / "set").part(Split.TEST)
    detections = [(HIT,), (FALSE,), (HIT,), (), (), ()]
    results = [
        judge(manifest, detections, key, assessed=key == "fluid", threshold=card.thresholds.get(key), rounds=20)
        for key in manifest.label_space.keys
    ]
    evaluation = whole_evaluation(
        manifest,
        detections,
        results,
        card.identity(),
        JudgedOn.of(manifest, fingerprint="e" * 64, split="test", with_assumed=False, rounds=20),
        told=None,
        told_note="torch | is not here",
    )
    write_report(folder / "report", evaluation, manifest, detections)
    return folder


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    return write_model_card(made / "tiny.onnx", made / "report" / "results.json", made / "tiny.md").read_text()


def rows_of(page: str) -> list[list[str]]:
    """All rows of all tables, cell by cell."""
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    for token, following in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            rows[-1].append(following.content)
    return rows


def row_of(page: str, *begins: str) -> list[str]:
    (row,) = [row for row in rows_of(page) if row[: len(begins)] == list(begins)]
    return row


def test_the_page_says_at_its_head_what_it_is_not_and_where_every_figure_comes_from(page: str) -> None:
    head = page.partition("## Intended use")[0]

    assert head.startswith("# tiny 1\n")
    assert DISCLAIMER in head
    assert "`boxray detection evaluate tiny.onnx --data BUILT --split test --report DIR`" in head
    assert "`boxray detection calibrate tiny.onnx --data BUILT`" in head
    assert "e" * 64 in head
    assert "c" * 64 in head
    assert "d" * 64 in page.partition("## Training data")[2].partition("##")[0]


def test_every_line_of_a_table_is_a_row_of_it(page: str) -> None:
    """A stray mark would end a table early or move its cells."""
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| ---")]

    assert len(rows_of(page)) == len(lines) > 15


def test_figures_stand_with_interval_and_counts(page: str, made: Path) -> None:
    fluid = json.loads((made / "report" / "results.json").read_text())["findings"][0]

    row = next(row for row in rows_of(page) if row[0] == "Fluid" and row[-3:] == ["3", "3 / 3", "6"])

    assert row[1] == f"{fluid['ap50']:.2f} ({fluid['low']:.2f}–{fluid['high']:.2f})"
    assert row_of(page, "Heart", "not assessed")
    assert "**Not assessed:** Heart." in page
    assert row_of(page, "Fluid", "0.5")[2] == "best F1 | on 6 boxes"


def test_calibration_stands_with_how_it_was_made_and_what_it_came_to(page: str, made: Path) -> None:
    told = json.loads((made / "report" / "results.json").read_text())["findings"][0]["reliability"]

    row = row_of(page, "Fluid", "0.75, -0.50")

    assert row[2] == "Platt scaling on 9 detections"
    assert row[3].startswith(f"{told['ece']['value']:.3f} (")
    assert row[4] == "3 / 2"


def test_errors_are_listed_and_their_pictures_are_not_linked(page: str) -> None:
    errors = [row for row in rows_of(page) if row[0] in ("false box", "miss")]

    assert [row[:3] for row in errors] == [["false box", "`made:13`", "0.70"], ["miss", "`made:16`", "0.00"]]
    assert ".png" not in page


def test_training_data_stand_with_their_licences_and_what_is_closed_is_named(page: str) -> None:
    training, licence = page.partition("## Training data")[2], page.partition("## Licence")[2]

    assert "no restrictions" in row_of(training, "`nih`")[2]
    assert row_of(training, "`of_my_own`")[1:] == ["its card is not in data/cards", "not known"]
    assert "**Non-commercial research use only**, because of TBX11K, of\\_my\\_own." in licence


def test_limits_name_findings_of_few_boxes_and_sources_that_training_did_not_see(page: str) -> None:
    limits = page.partition("## Limits")[2]

    assert "Fluid (3)" in limits
    assert "made had no part in training" in limits


def test_words_from_outside_are_words(page: str) -> None:
    assert "<b>" not in page
    assert "A test \\| with &lt;b&gt;marks&lt;/b&gt;." in page
    assert "not computed (torch \\| is not here)" in page


def test_an_older_card_without_calibration_has_a_page_too(made: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"a graph")
    old = a_card().model_copy(update={"calibration": {}, "calibrated_on": None})
    content = json.loads((made / "report" / "results.json").read_text())
    for row in content["findings"]:
        del row["reliability"]
    (tmp_path / "results.json").write_text(json.dumps(content))

    page = write_model_card(save_card(old, tmp_path), tmp_path / "results.json", tmp_path / "out.md").read_text()

    assert row_of(page, "Fluid", "–")[1:] == ["–", "not calibrated", "–", "–"]
    assert "at its release" in page


@pytest.fixture
def told(made: Path, tmp_path: Path) -> Path:
    """What `boxray detection robustness --json` says of a detector that a blur leads astray."""
    shares = {AS_IS: Interval(0.25, 0.1, 0.4), **dict.fromkeys(CHANGES, Interval(0.5, 0.3, 0.7))}
    sure, unsure = Interval(0.25, 0.1, 0.4), Interval(0.25, -0.1, 0.5)
    differences = {name: sure if name == "soft" else unsure for name in CHANGES}
    said = tuple(Said("fluid", "made", there, 8, 6, shares, differences) for there in (False, True))
    on = JudgedOn(TWO, "f" * 64, "test", {"made": 16}, 12, with_assumed=False, rounds=20)
    path = tmp_path / "robustness.json"
    path.write_text(
        json_text(Robustness(load_card(made / "tiny.onnx", check=".onnx")[0].identity(), on, said).to_json())
    )
    return path


def test_what_changed_films_do_stands_on_the_page_where_it_was_asked(made: Path, page: str, told: Path) -> None:
    asked = write_model_card(made / "tiny.onnx", made / "report" / "results.json", told.with_suffix(".md"), told)

    section = asked.read_text().partition("## When films look otherwise")[2].partition("\n## ")[0]
    assert row_of(section, "Fluid", "8 of made with")[2:5] == ["0.25", "**0.50**", "0.50"]
    assert row_of(section, "Fluid", "8 of made without")
    assert "soft: blurred by 2 px of 640; noisy: with noise of 2% of the scale of grey" in section
    assert "`boxray detection robustness tiny.onnx --data BUILT --split test`" in section
    assert "f" * 64 in section
    assert "When films look otherwise" not in page


def test_changed_films_of_other_weights_or_points_are_refused(made: Path, told: Path) -> None:
    content = json.loads(told.read_text())
    results, out = made / "report" / "results.json", told.with_suffix(".md")

    told.write_text(json.dumps(content | {"operating_points": {"fluid": 0.25}}))
    with pytest.raises(ModelError, match=r"at fluid 0\.25, the card now says 0\.5; .*detection robustness tiny\.onnx"):
        write_model_card(made / "tiny.onnx", results, out, told)
    told.write_text(json.dumps(content | {"model": {"sha256": "0" * 64}}))
    with pytest.raises(ModelError, match=r"robustness\.json was measured with weights 000000000000…"):
        write_model_card(made / "tiny.onnx", results, out, told)
    with pytest.raises(DataError, match=r"results\.json says that it is 'boxray\.detection\.evaluation/1'"):
        write_model_card(made / "tiny.onnx", results, out, results)
    assert not out.exists()


def change_results(made: Path, tmp_path: Path, change: dict[str, Any]) -> Path:
    content = json.loads((made / "report" / "results.json").read_text())
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content | change))
    return path


def test_results_of_other_weights_are_refused(made: Path, tmp_path: Path) -> None:
    path = change_results(made, tmp_path, {"model": {"sha256": "0" * 64}})

    with pytest.raises(
        ModelError, match=r"measured with weights 000000000000…, .*boxray detection evaluate tiny\.onnx"
    ):
        write_model_card(made / "tiny.onnx", path, tmp_path / "out.md")
    assert not (tmp_path / "out.md").exists()


def test_results_from_before_the_last_calibration_are_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"a graph")
    card = load_card(save_card(a_card(), tmp_path), check=".onnx")[0]
    points = {"fluid": OperatingPoint(threshold=0.25, chosen="anew")}
    write_card(card.model_copy(update={"operating_points": points}), tmp_path)

    with pytest.raises(ModelError, match=r"at fluid 0\.5, the card now says 0\.25"):
        write_model_card(tmp_path / "tiny.onnx", made / "report" / "results.json", tmp_path / "out.md")


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "boxray.reading/1"}', None])
def test_what_is_no_evaluation_is_refused_with_the_way_to_make_one(made: Path, tmp_path: Path, content) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(DataError, match=r"make it with: boxray detection evaluate tiny\.onnx"):
        write_model_card(made / "tiny.onnx", path, tmp_path / "out.md")
