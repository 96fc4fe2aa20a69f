"""Files that were damaged at random, through the whole door with the real decoder: every answer is a documented one."""

import logging
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import cv2
import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.uid import JPEGLSLossless

from boxray.core.errors import CODES
from boxray.data.examples.dicom import for_presentation, save, stored_values
from boxray.imaging.read import read_radiograph
from serve.reading_room import a_chest_png
from serve.rest_room import Room, posted
from serve.test_rest import SCHEMA

KINDS = ("dicom", "png", "jpeg")
HEADER_BYTES = 1500
CANARY = "ZZCANARY"


@cache
def whole(kind: str) -> bytes:
    """A small radiograph that is read."""
    png = a_chest_png()
    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if kind == "dicom":
        stored = stored_values((grey / 255).astype(np.float32))
        with NamedTemporaryFile(suffix=".dcm") as file:
            film = for_presentation(CANARY, 7, stored, "made", inverted=False)
            save(film, Path(file.name), JPEGLSLossless)
            return Path(file.name).read_bytes()
    return png if kind == "png" else cv2.imencode(".jpg", grey)[1].tobytes()


@st.composite
def damaged(draw):
    """A file of one of the three kinds with up to eight wounds, most of them in its header."""
    data = bytearray(whole(draw(st.sampled_from(KINDS))))
    for _ in range(draw(st.integers(1, 8))):
        header = draw(st.booleans())
        at = draw(st.integers(0, max(0, min(len(data), HEADER_BYTES if header else len(data)) - 1)))
        wound = draw(st.sampled_from(("change", "insert", "cut", "repeat", "end")))
        if wound == "change":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif wound == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif wound == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif wound == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 4096))]
        elif draw(st.integers(0, 3)) == 0:
            del data[at:]
    return bytes(data)


@pytest.fixture(scope="module")
def door():
    with Room(read_radiograph).served() as client:
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_one_is_read_and_nothing_of_its_header_comes_out(kind, door, caplog):
    with caplog.at_level(logging.DEBUG):
        answer = posted(door, whole(kind))
        metrics = door.get("/metrics").text

    assert answer.status_code == 200
    assert CANARY not in answer.text + str(answer.headers) + metrics + caplog.text


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged())
@example(b"")
@example(b"DICM")
@example(bytes(128) + b"DICM")
def test_a_damaged_one_is_read_or_refused_by_a_documented_code(door, data):
    answer = posted(door, data)

    if answer.status_code == 200:
        jsonschema.validate(answer.json(), SCHEMA)
    else:
        code = CODES[answer.json()["code"]]
        assert answer.status_code == code.http
        # What is no fault of the file may not be said of it; only a decoder that is missing is ours.
        assert answer.status_code < 500 or code.name == "dicom.decoder_missing"
    assert door.get("/health/ready").status_code == 200
