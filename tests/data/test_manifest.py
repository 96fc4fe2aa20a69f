"""The manifest: two tables that come back as they were written, and one fingerprint for the same data."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.manifest import BOX_COLUMNS, Manifest
from boxray.data.split import PARTS, Split
from built import image_row, manifest_of
from making import label_space

SPACE = label_space("effusion", "edema")
PRESENCE = {
    "effusion": ["boxed", "boxed", "absent", "unknown"],
    "edema": ["unknown", "boxed", "present", "unknown"],
}


def a_manifest(folder, *, shift=0.0):
    """Four images of three patients, the first patient with two; four boxes on two images."""
    images = pd.DataFrame(
        {
            "image_id": [f"made:{number}" for number in range(4)],
            "source": "made",
            "image": [str(number) for number in range(4)],
            "split": ["train", "train", "val", "test"],
            "patient": ["p", "p", "q", "r"],
            "picture": [f"images/made/{number}.png" for number in range(4)],
            "width": 640,
            "height": 512,
            "sha256": [f"{number:064x}" for number in range(4)],
            "view": [None, "PA", "AP", None],
            "copies": "",
            "readers": "made/a made/b",
        }
        | {f"presence_{key}": values for key, values in PRESENCE.items()}
        | {f"rule_{key}": "none" for key in PRESENCE}
    )
    rows = [
        ("made:0", "effusion", 1.0 + shift, 2.0, 30.25, 40.5, 1, 2, "made/a", "Effusion"),
        ("made:1", "effusion", 0.1, 0.2, 1 / 3, 5.0, 1, 2, "made/a", "Effusion"),
        ("made:1", "edema", 5.0, 6.0, 7.0, 8.0, 1, 2, "made/a", "Edema"),
        ("made:1", "effusion", 9.0, 9.0, 11.0, 12.0, 1, 2, "made/a", "Effusion"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    return Manifest(folder, SPACE, images, pd.DataFrame(rows, columns=BOX_COLUMNS))


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    written = a_manifest(tmp_path)

    written.save({"note": "made"})
    read = Manifest.load(tmp_path)

    assert read.label_space == SPACE
    assert read.images["image_id"].tolist() == written.images["image_id"].tolist()
    assert read.images.fillna("").astype(str).equals(written.images.fillna("").astype(str))
    assert np.array_equal(read.boxes[["x1", "y1", "x2", "y2"]], written.boxes[["x1", "y1", "x2", "y2"]])
    assert json.loads((tmp_path / "manifest.json").read_text())["note"] == "made"


def test_equal_data_elsewhere_have_the_same_fingerprint_before_and_after_a_round_trip(tmp_path):
    here, there = a_manifest(tmp_path / "here"), a_manifest(tmp_path / "there")
    there.images["picture"] = "elsewhere/" + there.images["picture"]

    here.save({})

    assert Manifest.load(tmp_path / "here").fingerprint == here.fingerprint == there.fingerprint
    assert json.loads((tmp_path / "here" / "manifest.json").read_text())["fingerprint"] == here.fingerprint


def test_a_box_moved_by_a_thousandth_of_a_pixel_is_other_data(tmp_path):
    assert a_manifest(tmp_path).fingerprint != a_manifest(tmp_path, shift=0.001).fingerprint


@pytest.mark.parametrize("column", ["split", "patient", "presence_edema", "rule_edema", "sha256"])
def test_a_change_of_what_the_tables_say_is_other_data(tmp_path, column):
    changed = a_manifest(tmp_path)
    changed.images.loc[3, column] = "changed"

    assert changed.fingerprint != a_manifest(tmp_path).fingerprint


def test_a_split_has_its_images_and_their_boxes(tmp_path):
    manifest = a_manifest(tmp_path)

    parts = {split: manifest.part(split) for split in PARTS}

    assert {split: len(part.images) for split, part in parts.items()} == {"train": 2, "val": 1, "test": 1}
    assert {split: len(part.boxes) for split, part in parts.items()} == {"train": 4, "val": 0, "test": 0}
    assert parts[Split.VAL].images.index.tolist() == [0]


def test_presence_comes_in_the_order_of_images(tmp_path):
    presence = a_manifest(tmp_path).presence("edema")

    assert presence.tolist() == [Presence.UNKNOWN, Presence.BOXED, Presence.PRESENT, Presence.UNKNOWN]


def test_boxes_of_a_finding_come_by_image_and_images_without_are_not_there(tmp_path):
    boxes = a_manifest(tmp_path).boxes_of("effusion")

    assert boxes.keys() == {"made:0", "made:1"}
    assert boxes["made:0"].tolist() == [[1.0, 2.0, 30.25, 40.5]]
    assert boxes["made:1"].shape == (2, 4)
    assert a_manifest(tmp_path).only(np.zeros(4, dtype=bool)).boxes_of("effusion") == {}


def test_a_folder_without_a_built_set_is_missed_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(DataError, match="boxray data build"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder: (folder / "images.parquet").write_bytes(b"PAR1 torn"), id="a-torn-table"),
        pytest.param(lambda folder: (folder / "boxes.parquet").unlink(), id="a-table-gone"),
        pytest.param(lambda folder: (folder / "manifest.json").write_text("{"), id="a-torn-json"),
        pytest.param(lambda folder: (folder / "manifest.json").write_text("{}"), id="a-json-without-findings"),
    ],
)
def test_a_damaged_set_is_to_be_built_again(tmp_path, damage):
    a_manifest(tmp_path).save({})
    damage(tmp_path)

    with pytest.raises(DataError, match="damaged"):
        Manifest.load(tmp_path)


def test_a_patient_in_two_splits_is_refused_at_every_load_d7(tmp_path):
    manifest = a_manifest(tmp_path)
    manifest.images.loc[1, "split"] = "test"
    manifest.save({})

    with pytest.raises(DataError, match=r"split\.patient_overlap"):
        Manifest.load(tmp_path)


def test_a_picture_in_two_splits_is_refused_at_every_load_d8(tmp_path):
    manifest = a_manifest(tmp_path)
    manifest.images.loc[3, "sha256"] = manifest.images.loc[0, "sha256"]
    manifest.save({})

    with pytest.raises(DataError, match=r"split\.image_overlap"):
        Manifest.load(tmp_path)


def test_while_tables_are_written_over_old_ones_there_is_no_set(tmp_path, monkeypatch):
    """Half new, half old would pass for whole."""
    manifest = a_manifest(tmp_path)
    manifest.save({})

    def disk_full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", disk_full)
    with pytest.raises(OSError, match="No space left"):
        manifest.save({})

    with pytest.raises(DataError, match="no built data set"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("nosuch", "there is no such folder; make it with: boxray data build --out {folder}"),
        (
            "begun",
            "the folder has no manifest.json, which a build writes last; make one with: boxray data build --out",
        ),
        ("file", "it is a file; name the folder that boxray data build --out has made"),
    ],
)
def test_where_no_set_was_built_the_folder_is_named_and_what_to_do(tmp_path, name, state):
    (tmp_path / "begun" / "images").mkdir(parents=True)
    (tmp_path / "file").touch()
    folder = tmp_path / name

    with pytest.raises(DataError) as refused:
        Manifest.load(folder)

    assert f"there is no built data set in {folder}: {state.format(folder=folder)}" in str(refused.value)


def test_images_are_spread_over_the_sources_while_they_last_and_the_same_each_time(tmp_path):
    cells = {"fluid": ("unknown", "none"), "heart": ("unknown", "none")}
    rows = [
        image_row(n, "val", cells, source=source) for source, n_of in {"a": 40, "b": 2}.items() for n in range(n_of)
    ]
    manifest = manifest_of(tmp_path, rows, [])

    chosen = manifest.spread(10)

    assert Counter(chosen.images["source"]) == {"a": 8, "b": 2}
    assert chosen.images["image_id"].tolist() == manifest.spread(10).images["image_id"].tolist()
    assert chosen.images["image_id"].tolist() != manifest.spread(10, seed=1).images["image_id"].tolist()
    assert len(manifest.spread(100).images) == 42


def test_boxes_of_every_image_come_in_the_order_of_images_with_the_places_of_their_findings(tmp_path):
    boxes, findings = zip(*a_manifest(tmp_path).boxes_by_image(), strict=True)

    assert [SPACE.keys[place] for place in findings[1]] == ["effusion", "edema", "effusion"]
    assert boxes[1][:, 2].tolist() == [1 / 3, 7.0, 11.0]
    assert [each.shape for each in boxes] == [(1, 4), (3, 4), (0, 4), (0, 4)]
    assert list(a_manifest(tmp_path).only(np.zeros(4, dtype=bool)).boxes_by_image()) == []
