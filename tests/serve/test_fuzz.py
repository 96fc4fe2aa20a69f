"""Files that were damaged at random, through the whole door with the real decoder: every answer is a documented one."""

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import jsonschema
import pytest

from boxray.core.errors import CODES
from boxray.imaging.read import read_radiograph
from serve.rest_room import Room, posted
from serve.test_rest import SCHEMA
from serve.wounds import CANARY, damaged, whole

READ = ("raw", "implicit", "rle", "jpegls", "jpeg2000", "jpeg-in-dicom", "png", "png16", "png-alpha", "jpeg")
REFUSED = {"deflated": "dicom.transfer_syntax_off", "png-colour": "image.colour", "jpeg-colour": "image.colour"}
VALID = jsonschema.Draft202012Validator(SCHEMA)
ALL = 10_000
"""Of `test_ten_thousand…`; BOXRAY_FUZZ_FROM=20000 asks for others than it asks for every day."""


@pytest.fixture(scope="module")
def door():
    with Room(read_radiograph).served() as client:
        yield client


@pytest.mark.parametrize("kind", READ)
def test_a_whole_one_is_read_and_nothing_of_its_header_comes_out(kind, door, caplog):
    with caplog.at_level(logging.DEBUG):
        answer = posted(door, whole()[kind])
        metrics = door.get("/metrics").text

    assert answer.status_code == 200, answer.text
    assert CANARY not in answer.text + str(answer.headers) + metrics + caplog.text


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_whole_one_that_is_not_read_is_refused_by_its_code(kind, door):
    assert posted(door, whole()[kind]).json()["code"] == REFUSED[kind]


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(128) + b"DICM", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_hardly_begun_is_refused(door, data):
    assert answered(door, data) in {"input.not_supported", "dicom.missing_required", "image.truncated"} | FIRST_CODES


FIRST_CODES = {"dicom.no_transfer_syntax", "dicom.malformed", "image.decode_failed"}


def test_a_number_names_one_file_for_ever():
    assert damaged(7) == damaged(7)
    assert damaged(7) != damaged(8)
    assert len({damaged(number) for number in range(200)}) > 190


def test_a_hundred_and_fifty_damaged_ones_are_read_or_refused_by_documented_codes(door):
    codes = all_answered(door, range(150))

    assert len(codes) > 8  # they get far: past the first look, into every decoder


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_ten_thousand_damaged_ones_are_read_or_refused_by_documented_codes(door):
    first = int(os.environ.get("BOXRAY_FUZZ_FROM", "0"))

    codes = all_answered(door, range(first, first + ALL))

    print(dict(codes.most_common()))
    assert len(codes) > 15


def all_answered(door, numbers):
    """How often each code came, with a few clients at once; all that is wrong is told together."""
    with ThreadPoolExecutor(3) as clients:
        said = list(clients.map(partial(answered_numbered, door), numbers))
    faults = [each for each in said if isinstance(each, Exception)]
    assert not faults, faults
    return Counter(said)


def answered_numbered(door, number):
    try:
        return answered(door, damaged(number))
    except (AssertionError, httpx.HTTPError, jsonschema.ValidationError, KeyError) as error:
        return AssertionError(f"damaged({number}) of tests/serve/wounds.py: {error}")


def answered(door, data):
    """The code of the answer, "RESULT" for a reading, after what each must be was looked at; no answer is a failure."""
    answer = posted(door, data)
    if answer.status_code == 200:
        VALID.validate(answer.json())
        return "RESULT"
    code = CODES[answer.json()["code"]]
    assert answer.status_code == code.http, answer.text
    # What is no fault of the file may not be said of it; only a decoder that is missing is ours.
    assert answer.status_code < 500 or code.name == "dicom.decoder_missing", answer.text
    # Its decoder may give up on a file, but not fall over it. Where it does, a test of imaging has to say how.
    assert code.name != "decode.crashed", answer.text
    assert door.get("/health/ready").status_code == 200
    return code.name
