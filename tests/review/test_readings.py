"""Lines of readings: found by image, taken apart only when that is needed, and never taken for what they are not."""

import base64
import json
import os

import numpy as np
import pytest

from boxray.core.errors import DataError
from boxray.data.manifest import Manifest
from boxray.review import readings as lines
from boxray.review.read_set import read_set
from boxray.review.readings import GRID, SmallMap, find_readings, packed, packed_map
from built import build_tiny_set


@pytest.fixture
def tiny(tmp_path):
    build_tiny_set(tmp_path / "set", per_split=2)
    return Manifest.load(tmp_path / "set")


def line_of(picture, score=0.75):
    grid = np.arange(GRID * GRID, dtype=np.uint8).reshape(GRID, GRID)
    return {
        "schema": lines.SCHEMA,
        "file": picture,
        "status": "RESULT",
        "code": None,
        "detections": [{"finding": "fluid", "score": score, "box_xyxy": [1, 2, 30, 40]}],
        "scores": {"fluid": 0.5},
        "not_assessed": {},
        "agreement": [],
        "models": {"detector": {"name": "d", "version": "1", "thresholds": {"fluid": 0.3}}},
        "review": {
            "maps": {"fluid": packed_map(SmallMap(grid, 2.5))},
            "features": packed(np.array([0.5, 2], dtype="<f2").tobytes()),
            "sha256": "a" * 64,
            "by": "w",
        },
    }


@pytest.fixture
def file(tiny, tmp_path):
    """One line for each image of the set."""
    path = tmp_path / "kept" / "readings.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line_of(picture)) + "\n" for picture in tiny.images["picture"]))
    return path


@pytest.fixture
def taken_apart(monkeypatch):
    """Digests of the lines that were taken apart."""
    seen = []
    whole = lines.said_from
    monkeypatch.setattr(lines, "said_from", lambda line, digest="": seen.append(digest) or whole(line, digest))
    return seen


def test_a_reading_comes_back_as_it_was_kept(tiny, file):
    said = find_readings([file], tiny)["made:0"]
    assert [(det.finding, det.score, det.box.xyxy) for det in said.detections] == [("fluid", 0.75, (1, 2, 30, 40))]
    assert said.maps["fluid"].grid.ravel().tolist() == [value % 256 for value in range(GRID * GRID)]
    assert said.features.tolist() == [0.5, 2.0]
    assert (said.model, said.maps["fluid"].peak) == ("d 1", 2.5)


def test_lines_that_were_seen_before_are_taken_apart_only_when_they_are_asked_for(tiny, file, tmp_path, taken_apart):
    notes = tmp_path / "notes.json"
    first = find_readings([file], tiny, notes)
    assert len(taken_apart) == len(tiny.images)
    taken_apart.clear()
    again = find_readings([file], tiny, notes)
    assert set(again) == set(first) == set(tiny.images["image_id"])
    assert [again.digest(image) for image in again] == [first.digest(image) for image in again]
    assert (again.n_read, again.model) == (len(tiny.images), "d 1")
    assert taken_apart == []
    assert again["made:1"].detections == first["made:1"].detections
    assert taken_apart == [again.digest("made:1")]


def test_a_line_that_has_changed_is_seen_though_size_and_time_of_the_file_are_the_same(tiny, file, tmp_path):
    notes = tmp_path / "notes.json"
    before, moment = find_readings([file], tiny, notes), file.stat()
    content = file.read_text()
    file.write_text(content.replace('"score": 0.75', '"score": 0.25', 1))
    os.utime(file, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    after = find_readings([file], tiny, notes)
    assert file.stat().st_size == moment.st_size
    assert [image for image in after if after.digest(image) != before.digest(image)] == ["made:0"]
    assert after["made:0"].detections[0].score == 0.25


def test_of_two_lines_on_an_image_the_last_counts_whether_it_was_seen_before_or_not(tiny, file, tmp_path):
    notes = tmp_path / "notes.json"
    find_readings([file], tiny, notes)
    with file.open("a") as more:
        more.write(json.dumps(line_of(tiny.images["picture"][0], score=0.125)) + "\n")
    for _ in range(2):
        assert find_readings([file], tiny, notes)["made:0"].detections[0].score == 0.125


def test_damaged_notes_are_made_anew(tiny, file, tmp_path):
    notes = tmp_path / "notes.json"
    for content in ("", "{", "[]", '{"schema": "another"}'):
        notes.write_text(content)
        assert len(find_readings([file], tiny, notes)) == len(tiny.images)
    assert len(json.loads(notes.read_text())["lines"]) == len(tiny.images)


def test_a_last_line_that_was_cut_off_is_left_out_and_a_damaged_one_before_it_is_not(tiny, file):
    content = file.read_text()
    file.write_text(content[:-40])
    assert len(find_readings([file], tiny)) == len(tiny.images) - 1
    file.write_text(content.replace("RESULT", 'RE"', 1))
    with pytest.raises(DataError, match=r"line 1 of the readings readings.jsonl is no JSON"):
        find_readings([file], tiny)


def test_a_file_that_changes_after_it_was_looked_through_is_never_read_at_the_wrong_place(tiny, file, tmp_path):
    find_readings([file], tiny, tmp_path / "notes.json")
    said = find_readings([file], tiny, tmp_path / "notes.json")
    file.write_text("x" + file.read_text())
    with pytest.raises(DataError, match="were changed while they were read"):
        said["made:0"]


OLDER = {
    "maps in base85": lambda beside: beside | {"maps": {"fluid": [2.5, base64.b85encode(bytes(200)).decode()]}},
    "features in base85": lambda beside: beside | {"features": base64.b85encode(b"0123456789~").decode()},
    "maps on another grid": lambda beside: beside | {"maps": {"fluid": [2.5, packed(bytes(64))]}},
    "maps without a peak": lambda beside: beside | {"maps": {"fluid": packed(bytes(GRID * GRID))}},
    "features that are no text": lambda beside: beside | {"features": [0.5, 2.0]},
    "features cut off": lambda beside: beside | {"features": beside["features"][:-8]},
}


@pytest.mark.parametrize("older", OLDER)
def test_readings_of_an_older_boxray_say_so_and_what_to_do_before_anything_is_read(tiny, file, older):
    made = [json.loads(line) for line in file.read_text().splitlines()]
    made[1]["review"] = OLDER[older](made[1]["review"])
    file.write_text("".join(json.dumps(line) + "\n" for line in made))
    for look in (lambda: find_readings([file], tiny), lambda: read_set(tiny, file.parent)):
        with pytest.raises(
            DataError, match=r"line 2 of the readings readings.jsonl was kept by another version"
        ) as said:
            look()
        assert "Move the file away" in str(said.value)
