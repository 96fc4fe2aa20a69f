"""The client against a real door: what it returns is the published reading, and it waits when it is told to."""

import csv
import io

import cv2
import httpx
import jsonschema
import numpy as np
import pydicom
import pytest

from boxray.client import Client, ServiceError
from boxray.core.bench import bench_folder
from boxray.core.errors import InputError
from boxray.core.reading import DISCLAIMER
from boxray.imaging.read import read_radiograph
from boxray.localization.reader import released_reader
from boxray.serve.guard import Guard
from boxray.serve.rest.app import build_rest
from boxray.serve.rest.kept import Readings
from boxray.serve.service import Capacity, Service
from serve.reading_room import a_chest_png
from serve.rest_room import FILM, Room, asked_in_a_thread, eventually
from serve.test_rest import SCHEMA, TOKEN


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def client(room):
    with room.served() as door, Client(str(door.base_url)) as client:
        yield client


def test_it_reads_a_file_and_its_name_stays_at_home(room, client, tmp_path):
    sent = []
    room.service._decode = lambda data: sent.append(data) or FILM
    film = tmp_path / "DOE^JOHN.dcm"
    film.write_bytes(b"pixels")

    reading = client.read(film)

    reading_id = reading.pop("id")
    jsonschema.validate(reading, SCHEMA)
    assert reading["file"] == str(film)
    assert sent == [b"pixels"]
    assert room.readings.find(reading_id).reading.file == "upload"


def test_it_fetches_pictures_and_has_them_forgotten(client):
    reading = client.read(b"pixels")

    overlay = client.overlay(reading["id"])
    saliency = client.saliency_map(reading["id"], "effusion")
    client.forget(reading["id"])

    for picture in (overlay, saliency):
        assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) is not None
    with pytest.raises(ServiceError, match=r"404 request\.not_found"):
        client.overlay(reading["id"])


def test_it_fetches_a_table_of_a_batch_with_the_refused_ones_in_the_order_that_was_asked_for(room, client):
    def refuse_letters(data):
        if data == b"letter":
            raise InputError("image.colour", "coloured")
        return FILM

    room.service._decode = refuse_letters
    with httpx.Client(base_url=client._http.base_url, trust_env=False) as door:
        refused = door.post("v1/readings", files=[("file", ("letter.txt", b"letter"))]).json()["readings"][0]["id"]
    ids = [client.read(b"pixels")["id"], refused]

    table = client.table(ids)
    other_way = client.table(ids[::-1])

    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [row["file"] for row in rows] == ["upload"] * 8 + ["letter.txt"]
    assert rows[-1]["code"] == "image.colour"
    assert {row["disclaimer"] for row in rows} == {DISCLAIMER}
    assert next(csv.DictReader(io.StringIO(other_way.decode("utf-8-sig"))))["file"] == "letter.txt"


def test_a_table_leaves_nothing_out_unsaid(room, client):
    reading_id = client.read(b"pixels")["id"]
    room.classifier.may_go_on.clear()
    waiting = room.readings.begin(b"pixels", "b", None)[0]

    with pytest.raises(ServiceError, match=r"409 request\.not_ready: 1 of 2"):
        client.table([reading_id, waiting])
    with pytest.raises(ServiceError, match=r"404 request\.not_found"):
        client.table([reading_id, "gone"])
    with pytest.raises(ServiceError, match=r"400 request\.malformed"):
        client.table([])


def test_objects_for_an_archive_are_dicom_files_and_there_are_none_of_a_picture():
    pytest.importorskip("highdicom", reason="highdicom is not installed (it is in the extra [pacs])")
    data = (bench_folder("data/examples") / "effusion.dcm").read_bytes()
    with Room(read_radiograph).served() as door, Client(str(door.base_url)) as client:
        reading_id = client.read(data)["id"]
        objects = [client.structured_report(reading_id), client.presentation_state(reading_id)]
        of_no_dicom = client.read(a_chest_png())["id"]
        with pytest.raises(ServiceError, match=r"404 request\.not_found"):
            client.structured_report(of_no_dicom)

    modalities = [pydicom.dcmread(io.BytesIO(each)).Modality for each in objects]
    assert modalities == ["SR", "PR"]


def test_a_refusal_is_a_reading_and_no_exception(room, client):
    def refuse(data):
        raise InputError("dicom.multiframe", "the object has 12 frames")

    room.service._decode = refuse

    reading = client.read(b"pixels")

    assert (reading["status"], reading["code"]) == ("REFUSED", "dicom.multiframe")
    assert reading["detections"] == []


def test_it_comes_again_when_the_line_is_full():
    room = Room(capacity=Capacity(places=1))
    room.classifier.may_go_on.clear()
    with room.served() as door, Client(str(door.base_url)) as client:
        threads = [asked_in_a_thread(client.read, b"pixels") for _ in range(6)]
        eventually(lambda: 'code="service.busy"' in door.get("/metrics").text)
        room.classifier.may_go_on.set()
        for thread, _ in threads:
            thread.join(60)

    assert [answers[0]["status"] for _, answers in threads] == ["RESULT"] * 6


def test_it_gives_up_when_its_time_is_over():
    room = Room()
    room.classifier.may_go_on.clear()
    with room.served() as door:
        with (
            Client(str(door.base_url), timeout_s=0.5) as client,
            pytest.raises(ServiceError, match=r"202 request\.not_ready: .* timeout_s"),
        ):
            client.read(b"pixels")
        assert room.readings._entries == {}  # nobody will ask for it
        room.service.drain()
        with Client(str(door.base_url), timeout_s=0.5) as client, pytest.raises(ServiceError) as refusal:
            client.read(b"pixels")

    assert (refusal.value.status, refusal.value.code) == (503, "service.draining")


def test_it_says_the_token(monkeypatch):
    monkeypatch.setenv("BOXRAY_TOKEN", TOKEN)
    with Room(token=TOKEN).served() as door:
        with Client(str(door.base_url)) as client:
            assert client.read(b"pixels")["status"] == "RESULT"
        with (
            Client(str(door.base_url), token="another") as client,
            pytest.raises(ServiceError, match=r"401 request\.unauthorized"),
        ):
            client.read(b"pixels")


def test_a_reading_that_the_service_may_not_forget_is_no_success(client, room):
    reading_id = client.read(b"pixels")["id"]
    client.forget("there is none of this name")

    with (
        Room(token=TOKEN).served() as door,
        Client(str(door.base_url), token="another") as stranger,
        pytest.raises(ServiceError, match=r"401 request\.unauthorized"),
    ):
        stranger.forget(reading_id)


def test_a_real_radiograph_is_read_as_the_library_reads_it_and_a_refused_one_is_refused():
    """Real weights, real decoder, real socket; what comes out is what `boxray read` says."""
    reader = released_reader()
    examples = bench_folder("data/examples")
    room = Room()
    room.service = Service(reader)
    room.readings = Readings(room.service)
    room.app = Guard(build_rest(room.service, room.readings))
    with room.served() as door, Client(str(door.base_url)) as client:
        path = examples / "effusion.dcm"
        reading = client.read(path)
        picture = client.overlay(reading["id"])
        refused = client.read(examples / "refused.dcm")

    del reading["id"]
    assert reading == reader.read(path, str(path)).to_json()
    assert reading["status"] == "RESULT"
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape[1] > 1000
    assert refused["status"] == "REFUSED"
    assert refused["code"].startswith(("dicom.", "scope.", "quality.", "image."))
