"""A comparison on disk: whole or not at all, and a page that asks nobody for anything."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest

import boxray.localization.compare.write as writing
from boxray.core.boxes import Box
from boxray.core.errors import DataError
from boxray.core.protocols import FixedDetector
from boxray.core.reading import DISCLAIMER, Detection, ModelIdentity
from boxray.localization.compare import compare
from boxray.localization.compare.gallery import Kind, case_picture, cases_of
from boxray.localization.compare.write import FILES, require_room, to_markdown, write_comparison
from built import SQUARE_XYXY, TWO, build_tiny_set
from drawn import DrawnExplainer, noise, nothing

HIT = Detection("fluid", 0.9, Box(*SQUARE_XYXY))
KNOWS = FixedDetector(TWO, (HIT,), ("fluid",), ModelIdentity("knows<1>", "1", "a" * 64, {"fluid": 0.5}))
NOISE = DrawnExplainer({"grad_cam": noise, "layer_cam": nothing})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return build_tiny_set(tmp_path_factory.mktemp("made"), per_split=12)


@pytest.fixture(scope="module")
def comparison(made):
    return compare(KNOWS, NOISE, made, rounds=20)


@pytest.fixture(scope="module")
def folder(comparison, made, tmp_path_factory):
    place = tmp_path_factory.mktemp("out") / "compare"
    write_comparison(place, comparison, made, NOISE)
    return place


def test_the_folder_holds_the_files_and_nothing_is_left_beside_it(folder):
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert [path.name for path in folder.parent.iterdir()] == ["compare"]


def test_the_tables_are_what_the_comparison_says(folder, comparison):
    rows, summary = (pd.read_csv(folder / name) for name in ("rows.csv", "summary.csv"))

    assert (len(rows), len(summary)) == (len(comparison.rows), len(comparison.summary))
    assert rows["iou"].to_numpy() == pytest.approx(comparison.rows["iou"].to_numpy())
    assert list(summary.columns) == list(comparison.summary.columns)


def test_the_json_is_strict_and_names_models_and_thresholds(folder, comparison):
    def refuse(word):
        raise AssertionError(word)

    content = json.loads((folder / "summary.json").read_text(encoding="utf-8"), parse_constant=refuse)

    assert content["schema"] == "boxray.compare/1"
    assert content["models"]["detector"] == {"name": "knows<1>", "version": "1", "sha256": "a" * 64}
    assert content["verdict"] == list(comparison.verdict)
    assert {row["method"] for row in content["map_thresholds"]} == {"grad_cam", "layer_cam"}
    assert len(content["summary"]) == len(comparison.summary)


def test_the_sentence_stands_on_top_of_page_and_markdown(folder, comparison):
    page, text = ((folder / name).read_text(encoding="utf-8") for name in ("compare.html", "summary.md"))

    assert page.index("In pointing the detector beats Grad-CAM") < page.index("<table")
    assert text.index(comparison.verdict[0]) < text.index("|")
    assert text == to_markdown(comparison)
    assert DISCLAIMER in page
    assert DISCLAIMER in text


def test_maps_that_were_taught_by_boxes_are_called_so_wherever_they_are_told_of(made, tmp_path):
    for taught in (False, True):
        maps = DrawnExplainer({"grad_cam": noise}, taught_by_boxes=taught)
        write_comparison(tmp_path / str(taught), compare(KNOWS, maps, made, rounds=20), made, maps)
        page, text, told = (
            (tmp_path / str(taught) / name).read_text(encoding="utf-8")
            for name in ("compare.html", "summary.md", "summary.json")
        )

        assert json.loads(told)["maps_taught_by_boxes"] is taught
        for written in (page, text, told):
            assert ("beats Grad-CAM taught by boxes:" in written) is taught
        for written in (page, text):
            assert ("Both were trained with readers" in written) is taught
            assert ("the classifier with labels of whole films alone" in written) is not taught


def test_the_page_runs_no_script_and_asks_no_host(folder):
    page = (folder / "compare.html").read_text(encoding="utf-8")

    assert "<script" not in page.lower()
    assert not re.search(r"https?://|//[a-z]+\.", page)
    assert set(re.findall(r'src="([a-z]+:)', page)) == {"data:"}
    assert "default-src 'none'" in page
    assert "knows&lt;1&gt;" in page
    assert "knows<1>" not in page
    assert page.count("<svg") >= 4


def test_an_older_comparison_is_replaced_whole(comparison, made, tmp_path):
    place = tmp_path / "compare"
    write_comparison(place, comparison, made, NOISE)
    (place / "summary.md").write_text("old", encoding="utf-8")
    write_comparison(place, comparison, made, NOISE)

    assert (place / "summary.md").read_text(encoding="utf-8") != "old"
    assert [path.name for path in tmp_path.iterdir()] == ["compare"]


@pytest.mark.parametrize("name", ["thesis.docx", "summary.json", ".hidden"])
def test_a_folder_of_something_else_is_refused_and_untouched(comparison, made, tmp_path, name):
    (tmp_path / name).write_text("{}", encoding="utf-8")

    with pytest.raises(DataError, match="no comparison's"):
        write_comparison(tmp_path, comparison, made, NOISE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_comparison_with_a_note_of_somebody_in_it_is_refused_too(folder, comparison, made, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    require_room(tmp_path)
    (tmp_path / "my notes.txt").write_text("of hours", encoding="utf-8")

    with pytest.raises(DataError, match="holds 1 files"):
        require_room(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("", encoding="utf-8")

    with pytest.raises(DataError, match="is a file"):
        require_room(tmp_path / "out")


def test_a_failure_while_drawing_leaves_the_older_one_whole(comparison, made, tmp_path, monkeypatch):
    place = tmp_path / "compare"
    write_comparison(place, comparison, made, NOISE)
    before = {path.name: path.read_bytes() for path in place.iterdir()}

    def fail(*_):
        raise OSError("no more room")

    monkeypatch.setattr(writing, "compare_page", fail)
    with pytest.raises(OSError, match="no more room"):
        write_comparison(place, comparison, made, NOISE)

    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["compare"]


def test_cases_are_of_the_kind_that_they_say_one_of_a_patient(comparison):
    cases = cases_of(comparison, "fluid", most=3)

    assert {case.kind for case in cases} <= {Kind.DETECTOR_ALONE, Kind.BOTH}  # the detector is always right
    for case in cases:
        assert bool(case.theirs["pointing_hit"]) == (case.kind is Kind.BOTH)
    assert len({case.ours["patient"] for case in cases}) == len(cases)


def test_a_case_shows_the_film_twice_and_the_disclaimer(comparison, made, monkeypatch):
    written = []
    monkeypatch.setattr(
        "boxray.localization.compare.gallery.compose", lambda panels, footer: written.append((panels, footer))
    )
    (case, *_) = cases_of(comparison, "fluid")

    case_picture(case, comparison, made, NOISE)

    ((panels, footer),) = written
    assert [panel.picture.shape for panel in panels] == [(256, 256, 3)] * 2
    assert DISCLAIMER in [line for line, _ in footer]
    rad = made.radiograph(made.images.set_index("image_id").loc[case.image_id, "picture"])
    grey = np.round(rad.pixels * 255).astype(np.uint8)
    assert (panels[0].picture[240:, 240:] == grey[240:, 240:, None]).all()  # far from every box the film is itself
    x1, y1, x2, _ = map(int, SQUARE_XYXY)
    frame = panels[0].picture[y1 - 2, x1:x2].astype(int)
    assert (np.abs(frame - grey[y1 - 2, x1:x2, None]) > 10).any()  # the reader's and the detector's box
    assert not np.array_equal(panels[0].picture, panels[1].picture)
    assert cv2.cvtColor(panels[1].picture, cv2.COLOR_RGB2GRAY).shape == (256, 256)
