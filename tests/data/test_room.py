"""Where a build may write: what is not a build's is neither written into nor taken away."""

import pytest
import yaml

from boxray.core.errors import DataError
from boxray.data.build import build
from boxray.data.datasets_file import read_datasets_file
from boxray.data.manifest import ABOUT, Manifest
from making import write_card, write_chest, write_text


@pytest.fixture
def project(tmp_path):
    """One source in YOLO's layout, whose folders have the names of those that a build writes."""
    write_text(tmp_path / "mine" / "source" / "data.yaml", "names: [Effusion]")
    write_chest(tmp_path / "mine" / "source" / "images" / "a.png", seed=1)
    write_text(tmp_path / "mine" / "source" / "labels" / "a.txt", "0 0.5 0.5 0.2 0.2")
    write_card(tmp_path / "cards", "made", boxes={"Effusion": "effusion"})
    content = {"sources": {"made": {"card": "made", "root": "mine/source"}}}
    write_text(tmp_path / "datasets.yaml", yaml.safe_dump(content))
    return tmp_path


def build_into(project, name):
    return build(read_datasets_file(project / "datasets.yaml"), project / name, cards=project / "cards").manifest


def all_of(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine/source", "mine/source is the folder of a source"),
        ("mine/source/built", "mine/source/built lies in .*mine/source, the folder of a source"),
        ("mine", "mine holds .*mine/source, the folder of a source"),
        ("cards", "cards holds 1 files or folders and no earlier build"),
        ("datasets.yaml", "datasets.yaml is a file"),
    ],
)
def test_a_build_into_what_is_not_a_builds_is_refused_and_nothing_is_written(project, name, said):
    before = all_of(project)

    with pytest.raises(DataError, match=said):
        build_into(project, name)

    assert all_of(project) == before


def test_a_source_is_known_behind_a_link_too(project):
    (project / "built").symlink_to(project / "mine" / "source")
    before = all_of(project)

    with pytest.raises(DataError, match="built is the folder of a source"):
        build_into(project, "built")

    assert all_of(project) == before


def test_the_folder_of_pictures_that_another_source_holds_is_no_room_either(project):
    entry = {"card": "made", "root": "tables", "pictures": "mine/source"}
    write_text(project / "tables" / "data.yaml", "names: [Effusion]")
    write_text(project / "datasets.yaml", yaml.safe_dump({"sources": {"made": entry}}))

    with pytest.raises(DataError, match=r"lies in .*mine/source, the folder of a source"):
        build_into(project, "mine/source/new")


@pytest.mark.parametrize("content", [None, "{}", "no JSON", '{"name": "an app", "icons": []}'])
def test_a_manifest_of_something_else_is_no_earlier_build(project, content):
    write_text(project / "app" / "index.html", "<p>mine</p>")
    if content is not None:
        write_text(project / "app" / ABOUT, content)

    with pytest.raises(DataError, match="no earlier build"):
        build_into(project, "app")


def test_an_empty_folder_and_an_earlier_build_are_room_and_what_lies_beside_stays(project):
    (project / "built").mkdir()
    first = build_into(project, "built")
    write_text(project / "built" / "annotations.json", "{}")

    again = build_into(project, "built")

    assert again.fingerprint == first.fingerprint
    assert (project / "built" / "annotations.json").is_file()


def test_a_build_that_was_cut_off_is_room_for_the_next(project, monkeypatch):
    with monkeypatch.context() as cut:
        cut.setattr("boxray.data.build.importer_of", lambda layout: _cut_off)
        with pytest.raises(KeyboardInterrupt):
            build_into(project, "built")

    build_into(project, "built")

    assert len(Manifest.load(project / "built").images) == 1


def _cut_off(download):
    raise KeyboardInterrupt
