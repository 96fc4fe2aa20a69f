"""Spoiled boxes come first, and only where somebody looked."""

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.reading import Detection
from boxray.review.questions import answers, worth_asking
from boxray.review.readings import Said
from boxray.review.suspects import by_image, suspects
from built import TWO, box_row, image_row, manifest_of


def a_set(folder, n_images=120, spoiled=()):
    """A detector that is nearly right about two findings, and boxes of which some are moved or misnamed."""
    rng = np.random.default_rng(3)
    rows, boxes, said = [], [], {}
    for number in range(n_images):
        cells = {"fluid": ("boxed", "box"), "heart": ("boxed", "box")}
        row = image_row(number, "test", cells)
        rows.append(row)
        found = []
        for finding, low in (("fluid", 20.0), ("heart", 130.0)):
            x, y = rng.uniform(low, low + 40, 2)
            true = (x, y, x + 60, y + 70)
            found.append(Detection(finding, float(rng.uniform(0.6, 0.95)), Box(*(true + rng.normal(0, 3, 4)))))
            if (number, finding) in spoiled:
                true = (x + 50, y, x + 110, y + 70)
            boxes.append(box_row(row["image_id"], finding, true))
        said[row["image_id"]] = Said("RESULT", detections=tuple(found), thresholds={"fluid": 0.3, "heart": 0.3})
    return manifest_of(folder, rows, boxes, TWO), said


@pytest.mark.filterwarnings("error")
def test_a_set_in_which_no_place_lacks_a_box_is_asked_about_like_any_other(tmp_path):
    """Five films were enough: where nothing was missing, suspicion was no column of numbers."""
    row = image_row(1, "test", {"fluid": ("boxed", "box"), "heart": ("unknown", "none")})
    manifest = manifest_of(tmp_path, [row], [box_row("made:1", "fluid", (10, 20, 70, 90))], TWO)
    near = Detection("fluid", 0.8, Box(12, 20, 72, 90))

    table = suspects(manifest, {"made:1": Said("RESULT", detections=(near,), thresholds={"fluid": 0.3})})

    assert table["kind"].tolist() == ["box"]
    assert 0 < by_image(table)["made:1"] < 1


def test_moved_boxes_are_the_first_suspects(tmp_path):
    spoiled = {(number, "fluid" if number % 2 else "heart") for number in range(0, 120, 8)}
    manifest, said = a_set(tmp_path, spoiled=spoiled)
    first = set(by_image(suspects(manifest, said)).index[: 2 * len(spoiled)])
    found = [f"made:{number}" in first for number, _ in spoiled]
    assert np.mean(found) >= 0.9


def test_a_detection_that_nobody_drew_counts_where_somebody_looked_and_nowhere_else(tmp_path):
    manifest, said = a_set(tmp_path, n_images=3)
    manifest.images.loc[0, "presence_heart"] = "absent"
    manifest.images.loc[1, "presence_heart"] = "unknown"
    boxes = manifest.boxes[manifest.boxes["finding"] != "heart"].reset_index(drop=True)
    manifest = manifest_of(tmp_path, manifest.images.to_dict("records"), boxes.to_dict("records"), TWO)
    table = suspects(manifest, said)
    missing = table[(table["kind"] == "missing") & (table["finding"] == "heart")]
    assert set(missing["image_id"]) == {"made:0", "made:2"}


def test_a_finding_that_the_detector_does_not_assess_is_never_suspected(tmp_path):
    manifest, said = a_set(tmp_path, n_images=3)
    deaf = {image: Said("RESULT", detections=each.detections, not_assessed=("heart",)) for image, each in said.items()}
    assert set(suspects(manifest, deaf)["finding"]) == {"fluid"}


def test_without_readings_there_is_no_suspicion_and_no_fault(tmp_path):
    manifest, _ = a_set(tmp_path, n_images=3)
    manifest.save({})
    assert suspects(manifest, {}).empty
    assert answers(manifest, {}).drop(columns="image_id").isna().all().all()


def test_what_is_asked_is_unknown_uncertain_and_not_twice_the_same(tmp_path):
    rows = [
        image_row(number, "test", {"fluid": ("unknown", "none"), "heart": ("absent", "label")}) for number in range(4)
    ]
    rows[3]["presence_fluid"] = "absent"
    manifest = manifest_of(tmp_path, rows, [], TWO)
    alike, other = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    scores_and_features = [(0.5, alike), (0.49, alike), (0.3, other), (0.5, other)]
    said = {
        f"made:{number}": Said("RESULT", scores={"fluid": score}, features=features)
        for number, (score, features) in enumerate(scores_and_features)
    }
    assert worth_asking(manifest, said, "fluid") == {"made:0": 1, "made:2": 2, "made:1": 3}
    assert worth_asking(manifest, said, "heart") == {}
