import csv
import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.core.boxes import Box
from boxray.core.errors import InputError, Outcome
from boxray.core.reading import DISCLAIMER, Agreement, Case, Detection, ModelIdentity, Reading, SaliencyMap
from boxray.data.card import load_label_space
from boxray.imaging.draw import film_of
from boxray.serve.downloads import COLUMNS, guarded, map_file, overlay_file, reading_file, table_file

SPACE = load_label_space("chest8")
FILM = film_of(np.linspace(0, 1, 200 * 160, dtype=np.float32).reshape(200, 160))
READING = Reading(
    "a.png",
    Outcome.RESULT,
    size_wh=(160, 200),
    detections=(Detection("effusion", 0.83, Box(10, 100, 60, 190)),),
    scores={"effusion": 0.91, "pneumonia": 0.02},
    not_assessed={"detector": ("edema",), "classifier": ("covid",)},
    agreement=(Agreement("effusion", Case.BOTH, True, 0.41, 0.63),),
    models={
        "detector": ModelIdentity("yolo", "1", "ab" * 32, {"effusion": 0.3}),
        "classifier": ModelIdentity("mobile", "2", "cd" * 32, {"effusion": 0.5}),
    },
    maps=(SaliencyMap("effusion", np.ones((200, 160), np.float32)),),
)


def rows_in(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_the_table_has_a_row_for_each_finding_with_the_figures_of_the_reading():
    rows = {row["finding"]: row for row in rows_in(table_file([READING], SPACE).data)}

    assert tuple(rows) == SPACE.keys
    effusion = rows["effusion"]
    assert (effusion["boxes"], effusion["best_box_score"], effusion["box_threshold"]) == ("1", "0.8300", "0.3000")
    assert (effusion["classifier_score"], effusion["iou"], effusion["pointing_hit"]) == ("0.9100", "0.4100", "true")
    assert {row["detector_sha256"] for row in rows.values()} == {"ab" * 32}
    assert {row["disclaimer"] for row in rows.values()} == {DISCLAIMER}


def test_what_is_not_assessed_has_no_number_of_boxes():
    rows = {row["finding"]: row for row in rows_in(table_file([READING], SPACE).data)}

    assert (rows["edema"]["detector_says"], rows["edema"]["boxes"]) == ("not assessed", "")
    assert (rows["pneumonia"]["detector_says"], rows["pneumonia"]["boxes"]) == ("no box", "0")
    assert rows["covid"]["classifier_score"] == ""


def test_a_refused_radiograph_has_one_row_that_says_nothing_of_a_finding():
    refused = Reading.not_answered("b.dcm", InputError("dicom.multiframe", "12 frames"))

    (row,) = rows_in(table_file([refused], SPACE).data)

    assert (row["status"], row["code"], row["reason"]) == ("REFUSED", "dicom.multiframe", "12 frames")
    said = {"file", "status", "code", "reason", "disclaimer"}
    assert not any(row[name] for name in COLUMNS if name not in said)


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\n@x"])
def test_a_file_name_that_is_a_formula_is_disarmed(name):
    rows = rows_in(table_file([replace(READING, file=name)], SPACE).data)

    assert {row["file"] for row in rows} == {f"'{name}"}


@given(st.text())
def test_no_text_gets_out_as_a_formula(text):
    assert not guarded(text).strip().startswith(("=", "+", "-", "@"))
    assert guarded(text).removeprefix("'") == text.removeprefix("'")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\n")))
def test_the_table_is_read_back_as_it_was_written(name):
    (row, *_) = rows_in(table_file([replace(READING, file=name)], SPACE).data)

    assert row["file"] == guarded(name)


def test_the_json_is_that_of_the_reading():
    assert json.loads(reading_file(READING).data) == READING.to_json()


def test_the_pictures_are_lossless_and_wider_with_the_map():
    both, one = overlay_file(FILM, READING, SPACE), map_file(FILM, READING, SPACE, "effusion")

    sizes = [cv2.imdecode(np.frombuffer(each.data, np.uint8), cv2.IMREAD_COLOR).shape for each in (both, one)]

    assert sizes[0][1] > sizes[1][1] >= 160
    assert (one.name, one.media_type) == ("boxray-map-effusion.png", "image/png")


def test_a_map_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="no map"):
        map_file(FILM, READING, SPACE, "edema")
