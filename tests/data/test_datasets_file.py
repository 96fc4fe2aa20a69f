"""`datasets.yaml`: the sources in use, and an ultralytics data file beside them."""

from pathlib import Path

import pytest
import yaml

import boxray
from boxray.core.errors import DataError
from boxray.data.card import load_card, load_label_space
from boxray.data.datasets_file import read_datasets_file
from making import write_text

REPOSITORY = Path(boxray.__file__).parents[2]
ONE_SOURCE = ("sources:", "  nih: {card: nih, root: ../downloads/nih}")


@pytest.fixture(scope="module")
def own():
    path = REPOSITORY / "datasets.yaml"
    if not path.is_file():
        pytest.skip("an installed package has no datasets.yaml")
    return path


def test_the_repositorys_own_file_names_cards_that_there_are(own):
    datasets = read_datasets_file(own)

    assert datasets.sources
    for entry in datasets.sources.values():
        assert load_card(entry.card)
        assert entry.root.is_absolute()


def test_the_repositorys_own_file_is_a_data_file_of_ultralytics(own):
    """It wants train, val and names, numbered from 0; a relative `path:` would be sought where nobody expects it."""
    content = yaml.safe_load(own.read_text(encoding="utf-8"))

    assert {"train", "val", "names"} <= content.keys()
    assert "path" not in content
    assert "download" not in content
    assert content["names"] == dict(enumerate(load_label_space(content["label_space"]).keys))


def test_roots_are_relative_to_the_file_and_not_to_the_working_directory(tmp_path, monkeypatch):
    path = write_text(tmp_path / "project" / "datasets.yaml", *ONE_SOURCE)
    monkeypatch.chdir("/")

    datasets = read_datasets_file(path)

    assert datasets.sources["nih"].root == tmp_path / "downloads" / "nih"
    assert datasets.label_space == "chest8"
    assert (datasets.split.val, datasets.split.test) == (0.1, 0.2)


def test_a_download_key_is_refused_because_others_would_run_it_d9b(tmp_path):
    path = write_text(tmp_path / "datasets.yaml", *ONE_SOURCE, "download: |", "  import os; os.system('id')")

    with pytest.raises(DataError, match="'download:' key, which is code"):
        read_datasets_file(path)


@pytest.mark.parametrize(
    ("lines", "unknown", "near"),
    [
        pytest.param((*ONE_SOURCE, "label_spaec: x"), "label_spaec", "label_space", id="at-the-top"),
        pytest.param((*ONE_SOURCE, "split: {vall: 0.1}"), "split.vall", "split.val", id="in-the-split"),
        pytest.param(
            ("sources: {nih: {card: nih, rot: x, root: y}}",), "sources.nih.rot", "sources.nih.root", id="entry"
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_known_one(tmp_path, lines, unknown, near):
    path = write_text(tmp_path / "datasets.yaml", *lines)

    with pytest.raises(DataError, match=rf"datasets\.yaml: unknown key '{unknown}' \(did you mean '{near}'\?\)"):
        read_datasets_file(path)


def test_a_key_that_resembles_nothing_gets_no_suggestion(tmp_path):
    path = write_text(tmp_path / "datasets.yaml", *ONE_SOURCE, "path: ../coco8")

    with pytest.raises(DataError, match=r"unknown key 'path'$"):
        read_datasets_file(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param((), r"sources: Field required$", id="empty"),
        pytest.param(("- a",), "the whole: ", id="a-list"),
        pytest.param(("sources: {nih: {card: nih}}",), r"sources\.nih\.root: Field required$", id="without-a-root"),
        pytest.param((*ONE_SOURCE, "split: {test: 0.6}"), r"split\.test: .*0\.5", id="most-of-it-for-tests"),
        pytest.param(("sources: {../x: {card: nih, root: y}}",), "name is of letters", id="D10-a-name-that-leads-out"),
        pytest.param(("sources: {images: {card: nih, root: y}}",), "name is of letters", id="a-name-that-hides-labels"),
        pytest.param(("sources: {a: {card: nih, root: y, patients_of: b}}",), "no other source", id="nobodys-patients"),
        pytest.param(("sources: {a: {card: nih, root: y, patients_of: a}}",), "no other source", id="its-own-patients"),
        pytest.param(("sources: {",), r"datasets\.yaml:2: ", id="not-closed"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_by_its_key(tmp_path, lines, message):
    path = write_text(tmp_path / "datasets.yaml", *lines)

    with pytest.raises(DataError, match=message):
        read_datasets_file(path)


def test_a_file_that_is_not_there_is_missed(tmp_path):
    with pytest.raises(DataError, match=r"there is no datasets\.yaml here"):
        read_datasets_file(tmp_path / "datasets.yaml")


def test_a_label_space_of_ones_own_lies_beside_the_file_and_not_where_one_happens_to_stand(tmp_path, monkeypatch):
    path = write_text(tmp_path / "project" / "datasets.yaml", *ONE_SOURCE, "label_space: mine.yaml")
    monkeypatch.chdir(tmp_path)

    assert read_datasets_file(path).label_space == str(tmp_path / "project" / "mine.yaml")
    assert read_datasets_file(write_text(path, *ONE_SOURCE, "label_space: chest6")).label_space == "chest6"
