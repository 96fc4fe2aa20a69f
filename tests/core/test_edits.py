import json
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import jsonschema
import pytest

from boxray.core.boxes import Box
from boxray.core.edits import Action, Edit, edits_from_json
from boxray.core.errors import Outcome
from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import Detection, Reading

SPACE = LabelSpace("two", tuple(Finding(key, key, "it", "#000000") for key in ("effusion", "edema")))
BOX = Detection("effusion", 0.83, Box(10, 20, 30, 40))
READING = Reading("a.png", Outcome.RESULT, size_wh=(100, 80), detections=(BOX,))
SAID = {
    "action": "changed",
    "finding": "edema",
    "box_xyxy": [1, 2, 30.5, 40],
    "reader": "Dr. A",
    "at": "2026-11-21T10:00:00Z",
    "of": 0,
}


def test_what_a_reader_said_goes_out_with_the_models_box_as_the_model_gave_it():
    (edit,) = edits_from_json([SAID], READING, SPACE)

    said = edit.to_json()

    assert said == SAID | {"of": {"finding": "effusion", "score": 0.83, "box_xyxy": [10.0, 20.0, 30.0, 40.0]}}
    schema = json.loads(files("boxray.core").joinpath("reading.schema.json").read_text())
    jsonschema.validate(READING.to_json() | {"annotations": [said]}, schema)


def test_no_edit_is_an_empty_list():
    assert edits_from_json([], READING, SPACE) == ()


def test_a_box_is_cut_at_the_edges_of_the_radiograph():
    (edit,) = edits_from_json([SAID | {"box_xyxy": [-5, 2, 300, 10**400]}], READING, SPACE)

    assert edit.box == Box(0, 2, 100, 80)


def test_the_time_is_told_in_utc():
    there = timezone(timedelta(hours=2))
    edit = Edit(Action.DRAWN, "edema", BOX.box, "A", datetime(2026, 11, 21, 12, tzinfo=there))

    assert edit.to_json()["at"] == "2026-11-21T10:00:00Z"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"of": 1}, "from 0 to 0"),  # there is one box
        ({"of": True}, "from 0 to 0"),
        ({"of": None}, "only a drawn one"),
        ({"at": "0001-01-01T00:00:00+05:00"}, "time"),  # in UTC the year 0
        ({"at": "9999-12-31T23:00:00-05:00"}, "time"),
        ({"action": "drawn"}, "only a drawn one"),
        ({"action": "liked"}, "liked"),
        ({"finding": "mass"}, "one of effusion, edema"),
        ({"finding": ["edema"]}, "one of effusion, edema"),
        ({"box_xyxy": [1, 2, 3]}, "four numbers"),
        ({"box_xyxy": [1, 2, "3", 4]}, "four numbers"),
        ({"box_xyxy": [1, 2, float("nan"), 4]}, "area"),
        ({"box_xyxy": [5, 2, 5, 4]}, "area"),
        ({"box_xyxy": [200, 2, 300, 4]}, "area"),  # beside the film
        ({"reader": "  "}, "reader"),
        ({"reader": "A" * 81}, "reader"),
        ({"reader": "A\nB"}, "reader"),
        ({"at": "2026-11-21T10:00:00"}, "zone"),
        ({"at": "yesterday"}, "yesterday"),
        ({"more": 1}, "no other"),
    ],
)
def test_what_is_no_edit_is_refused_with_the_reason(change, reason):
    with pytest.raises(ValueError, match=reason):
        edits_from_json([SAID | change], READING, SPACE)


@pytest.mark.parametrize("raw", [None, "text", {"action": "drawn"}, [None], [SAID] * 1001])
def test_what_is_no_list_of_edits_is_refused(raw):
    with pytest.raises(ValueError, match="annotation"):
        edits_from_json(raw, READING, SPACE)


def test_an_edit_without_a_zone_cannot_be_made():
    with pytest.raises(ValueError, match="zone"):
        Edit(Action.DRAWN, "edema", BOX.box, "A", datetime(2026, 11, 21, tzinfo=UTC).replace(tzinfo=None))
