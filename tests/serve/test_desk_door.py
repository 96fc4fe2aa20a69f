import json
import struct
import zlib

import httpx
import pytest

from boxray.serve.packing import unpacked_pixels
from serve.reading_room import a_chest_png

KEY = {"x-boxray-desk": "0" * 32}


@pytest.fixture(scope="module")
def door(served):
    with httpx.Client(base_url=f"{served.url}desk/", trust_env=False, timeout=60, headers=KEY) as client:
        yield client


def taken(door, data=None, name="chest.png"):
    answer = door.post("files", files={"file": (name, a_chest_png() if data is None else data)})
    assert answer.status_code == 201, answer.text
    return answer.json()["cases"]


def test_a_file_is_taken_read_once_and_its_pixels_and_maps_are_given(door, served):
    (case,) = taken(door)
    n_reads = served.n_reads()

    said = [door.post(f"cases/{case['id']}/reading").json() for _ in range(2)]
    pixels = door.get(f"cases/{case['id']}/pixels").content
    maps = zlib.decompress(door.get(f"cases/{case['id']}/maps").content)

    assert said[0] == said[1]
    assert served.n_reads() == n_reads + 1
    assert unpacked_pixels(pixels).shape == (256, 256)
    assert len(maps) == 2 * 7 * said[0]["map_wh"][0] * said[0]["map_wh"][1]


def parts_of(data):
    parts = []
    while data:
        n_head, n_body = struct.unpack_from("<2I", data)
        parts.append((json.loads(data[8 : 8 + n_head]), data[8 + n_head : 8 + n_head + n_body]))
        data = data[8 + n_head + n_body :]
    return parts


def test_who_opens_a_case_is_given_its_film_and_then_what_was_read(door, served):
    (case,) = taken(door)
    n_reads = served.n_reads()

    film, read = parts_of(door.post(f"cases/{case['id']}/opening").content)
    (again,) = parts_of(door.post(f"cases/{case['id']}/opening").content)

    assert film[0] == {"film": True}
    assert film[1] == door.get(f"cases/{case['id']}/pixels").content
    assert read[0] == {"said": door.post(f"cases/{case['id']}/reading").json()}
    assert read[1] == door.get(f"cases/{case['id']}/maps").content
    assert again == read
    assert served.n_reads() == n_reads + 1


def test_a_refused_file_that_is_opened_says_so_and_has_no_film(door):
    (case,) = taken(door, b"Dear colleague")

    (read,) = parts_of(door.post(f"cases/{case['id']}/opening").content)

    assert read[0]["said"]["reading"]["code"] == "input.not_supported"
    assert read[1] == b""


def test_what_is_saved_is_an_attachment_with_a_name_of_ours(door):
    (case,) = taken(door, name="Doe^Jane.png")
    door.post(f"cases/{case['id']}/reading")

    picture = door.get(f"cases/{case['id']}/files/overlay", params={"min_score": 0.5, "finding": "edema"})
    record = door.get(f"cases/{case['id']}/files/reading")

    assert picture.content.startswith(b"\x89PNG")
    assert record.json()["status"] == "RESULT"
    for answer in (picture, record):
        assert "Doe" not in answer.headers["content-disposition"]
        assert answer.headers["cache-control"] == "no-store"


def test_annotations_go_in_and_come_out(door):
    (case,) = taken(door)
    door.post(f"cases/{case['id']}/reading")
    edit = {"action": "drawn", "finding": "edema", "box_xyxy": [1, 2, 30, 40], "reader": "A", "of": None}
    sent = [edit | {"at": "2026-11-21T10:00:00Z"}]

    answer = door.put(f"cases/{case['id']}/annotations", content=json.dumps(sent))

    assert answer.json()["annotations"] == [sent[0] | {"box_xyxy": [1.0, 2.0, 30.0, 40.0]}]
    assert door.get(f"cases/{case['id']}/files/reading").json()["annotations"] == answer.json()["annotations"]


@pytest.mark.parametrize("body", [b"no JSON", b"{}", b'[{"action": "drawn"}]', b"\xff"])
def test_what_is_no_annotation_is_a_problem(door, body):
    (case,) = taken(door)
    door.post(f"cases/{case['id']}/reading")

    answer = door.put(f"cases/{case['id']}/annotations", content=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")


def test_annotations_without_end_are_refused(door):
    (case,) = taken(door)

    answer = door.put(f"cases/{case['id']}/annotations", content=b" " * (2**20 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "input.too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "cases/none/reading"),
        ("POST", "cases/none/opening"),
        ("GET", "cases/none/pixels"),
        ("GET", "cases/none/files/reading"),
        ("PUT", "cases/none/annotations"),
        ("DELETE", "cases/none"),
        ("POST", "examples/99"),
    ],
)
def test_what_is_not_there_is_not_found(door, method, path):
    answer = door.request(method, path, content=b"[]" if method == "PUT" else None)

    assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")


def test_a_case_that_was_dropped_is_gone(door):
    (case,) = taken(door)

    dropped = door.delete(f"cases/{case['id']}")

    assert dropped.status_code == 204
    assert door.post(f"cases/{case['id']}/reading").status_code == 404


@pytest.mark.parametrize("key", ["", "short", "Z" * 32])
def test_a_desk_has_a_key(door, key):
    answer = door.post("files", files={"file": ("a.png", b"")}, headers={"x-boxray-desk": key})

    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")


def test_an_unsafe_archive_is_refused_with_its_code(door):
    answer = door.post("files", files={"file": ("films.zip", b"PK\x03\x04 no more")})

    assert (answer.status_code, answer.json()["code"]) == (422, "archive.unsafe")


def test_the_door_of_the_page_is_not_described_to_programs(door, served):
    described = httpx.get(f"{served.url}v1/openapi.json", trust_env=False, timeout=60).json()

    assert not [path for path in described["paths"] if path.startswith("/desk")]
