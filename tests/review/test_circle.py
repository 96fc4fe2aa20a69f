"""The full circle on a real source: sheet → verdicts → pull → build; and nothing else has changed."""

import json

import pandas as pd
import pytest

from boxray.data.build import build
from boxray.data.corrections import now
from boxray.data.datasets_file import read_datasets_file
from boxray.data.manifest import CORNERS
from boxray.data.yolo_files import label_file
from boxray.review.edits import read_verdicts
from boxray.review.pull import pull
from boxray.review.sheet import choose, sheet_content
from making import write_text


def texts(manifest, folder):
    """Label files by image."""
    pictures = zip(manifest.images["image_id"], manifest.images["picture"], strict=True)
    return {image: label_file(folder, picture).read_text() for image, picture in pictures}


@pytest.mark.slow
@pytest.mark.real
def test_verdicts_on_a_real_source_are_built_and_nothing_else_changes(shared, tmp_path):
    root = shared / "data/covid_gb"
    write_text(
        tmp_path / "datasets.yaml", f"sources: {{covid_gb: {{card: covid_gb, root: {root}}}}}", "corrections: log"
    )
    datasets = read_datasets_file(tmp_path / "datasets.yaml")
    before = build(datasets, tmp_path / "built").manifest
    images_before, boxes_before, own_before = before.images.copy(), before.boxes.copy(), before.reader_boxes()
    labels_before = texts(before, before.folder)

    film = next(each for each in sheet_content(before, choose(before, {}, 200), {})["films"] if each["boxes"])
    box = film["boxes"][0]
    x1, y1, x2, y2 = box["xyxy"]
    said = {"image_id": film["id"], "sha256": film["sha256"], "made_at": "2026-11-20T10:00:00Z", "reason": "a test"}
    changed = {"finding": box["finding"], "kind": "box_changed", "box_before_xyxy": box["xyxy"]}
    changed["box_after_xyxy"] = [x1 + 7, y1 + 7, x2 - 7, y2 - 7]
    silent = next(key for key, state in film["presence"].items() if state == "unknown")
    set_absent = {"finding": silent, "kind": "presence_set", "presence_before": "unknown", "presence_after": "absent"}
    content = {"schema": "boxray.verdicts/1", "base": before.fingerprint, "reviewer": "alice"}
    path = write_text(tmp_path / "v.json", json.dumps(content | {"verdicts": [said | changed, said | set_absent]}))
    pulled = pull(read_verdicts(path), before, tmp_path / "log", now())
    after = build(datasets, tmp_path / "built").manifest

    assert not pulled.refused
    touched = {(film["id"], box["finding"]), (film["id"], silent)}
    drawn = after.boxes[(after.boxes["image_id"] == film["id"]) & (after.boxes["finding"] == box["finding"])]
    assert changed["box_after_xyxy"] in drawn[CORNERS].to_numpy().tolist()
    assert len(drawn) == sum(each["finding"] == box["finding"] for each in film["boxes"])
    row = after.images.set_index("image_id").loc[film["id"]]
    assert (row[f"presence_{silent}"], row[f"ruled_by_{silent}"]) == ("absent", "review")
    labels_after = texts(after, after.folder)
    assert {image for image, text in labels_before.items() if labels_after[image] != text} == {film["id"]}
    for one, other in ((boxes_before, after.boxes), (own_before, after.reader_boxes())):
        pd.testing.assert_frame_equal(*(rest(table, touched) for table in (one, other)), check_dtype=False)
    others = images_before["image_id"] != film["id"]
    same = [
        pd.util.hash_pandas_object(table[others].astype(str), index=False) for table in (images_before, after.images)
    ]
    assert (same[0] == same[1]).all()
    audit = (after.folder / "AUDIT.md").read_text()
    assert "## Corrections" in audit
    assert after.audit()["corrections"]["cells"] == 2


def rest(table, touched):
    """The rows that speak of nothing that was touched."""
    pairs = pd.MultiIndex.from_frame(table[["image_id", "finding"]].astype(str))
    kept = table[~pairs.isin(list(touched))].astype({"finding": str})
    return kept.sort_values(list(kept.columns)).reset_index(drop=True)
