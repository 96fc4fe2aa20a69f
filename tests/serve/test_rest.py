"""The REST door: every status and every code, over a real socket."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path

import cv2
import httpx
import jsonschema
import numpy as np
import pytest

from boxray.core.errors import CODES, InputError, ModelError
from boxray.core.reading import DISCLAIMER
from boxray.imaging.limits import MAX_FILE_BYTES
from boxray.serve.guard import Guard
from boxray.serve.problems import REQUEST_CODES
from boxray.serve.rest import body
from boxray.serve.rest.body import MOST_FILES, Receiving
from boxray.serve.service import Capacity
from serve import rest_room
from serve.rest_room import DICOM, FOUND, IDENTITY, Room, asked_in_a_thread, eventually, posted

SCHEMA = json.loads((files("boxray.core") / "reading.schema.json").read_text())
CANARY = "ZZCANARY^PHI"
TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def room():
    return Room()


@pytest.fixture(scope="module")
def door(room):
    with room.served() as client:
        yield client


def said(response, status, code):
    """A problem's body, after what every problem must be was looked at."""
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["type"] == f"urn:boxray:problem:{code}"
    assert problem["title"] == (CODES[code].meaning if code in CODES else REQUEST_CODES[code][1])
    assert problem["detail"]
    assert "Traceback" not in response.text
    assert ".py" not in response.text
    assert not re.search(r'"/(home|work|usr|root|tmp)/', response.text)
    return problem


@pytest.mark.parametrize("kind", ["application/dicom", "image/png", "image/jpeg", "application/octet-stream"])
def test_a_file_as_the_body_is_answered_by_its_reading(door, kind):
    answer = door.post("/v1/readings", content=b"bytes", headers={"content-type": kind})

    jsonschema.validate(answer.json(), SCHEMA)
    assert answer.status_code == 200
    assert [det["finding"] for det in answer.json()["detections"]] == [det.finding for det in FOUND]
    assert door.get(answer.headers["location"]).json() == answer.json()


def test_a_form_is_answered_by_a_list_in_its_order_and_names_lose_their_paths(door):
    names = ["b.dcm", "../../etc/passwd", "C:\\films\\a.dcm", "line\nbreak.png"]

    answer = door.post("/v1/readings", files=[("file", (name, b"bytes")) for name in names])

    items = answer.json()["readings"]
    assert [item["reading"]["file"] for item in items] == ["b.dcm", "passwd", "a.dcm", "line%0Abreak.png"]
    assert all(door.get(item["location"]).json() == item["reading"] for item in items)


def test_without_waiting_there_is_a_job_whose_reading_comes_later(room, door):
    room.classifier.may_go_on.clear()
    answer = posted(door, params={"wait": "false"})
    waiting = door.get(answer.headers["location"])
    picture = door.get(answer.headers["location"] + "/overlay.png")
    room.classifier.may_go_on.set()

    assert answer.status_code == waiting.status_code == 202
    assert waiting.json()["status"] == "WAITING"
    assert waiting.headers["retry-after"] == "1"
    assert said(picture, 409, "request.not_ready")
    eventually(lambda: door.get(answer.headers["location"]).status_code == 200)


def test_behind_a_proxy_that_takes_a_path_off_the_addresses_carry_it():
    with Room(token=TOKEN).served(root_path="/boxray") as door:
        health, unknown = door.get("/health/live"), door.get("/v1/model")  # as the proxy hands them on
        answer = posted(door, params={"wait": "false"}, auth=("", TOKEN))
        place = answer.headers["location"]
        eventually(lambda: door.get(place.removeprefix("/boxray"), auth=("", TOKEN)).status_code == 200)

    assert health.status_code == 200
    assert said(unknown, 401, "request.unauthorized")
    assert place.startswith("/boxray/v1/readings/")
    assert answer.json()["location"] == place


def test_a_threshold_may_be_given(door):
    assert len(posted(door, params={"min_score": 0.5}).json()["detections"]) == 1
    assert said(posted(door, params={"min_score": 2}), 400, "request.malformed")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (InputError("dicom.multiframe", "the object has 12 frames"), 422),
        (InputError("input.not_supported", "no film"), 415),
        (InputError("image.too_many_pixels", "99 MP"), 413),
        (InputError("dicom.decoder_missing", "install it"), 501),
        (ModelError("a score is no number", "model.not_finite"), 500),
        (RuntimeError(CANARY), 500),
        (MemoryError(), 503),
    ],
)
def test_a_refusal_and_a_failure_are_problems_with_code_reason_and_reading(fault, status, caplog):
    def decode(data):
        raise fault

    with Room(decode).served() as door:
        answer, again = posted(door), posted(door, params={"wait": "false"})
        eventually(lambda: door.get(again.headers["location"]).status_code != 202)
        later = door.get(again.headers["location"])

    code = getattr(getattr(fault, "code", None), "name", None) or (
        "service.out_of_memory" if isinstance(fault, MemoryError) else "internal.error"
    )
    reading = said(answer, status, code)["reading"]
    jsonschema.validate(reading, SCHEMA)
    assert (reading["code"], reading["detections"]) == (code, [])
    assert later.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
    assert CANARY not in answer.text + caplog.text


def test_the_service_lives_after_a_file_that_took_all_memory():
    def decode(data):
        if data == b"huge":
            raise MemoryError
        return rest_room.FILM

    with Room(decode).served() as door:
        assert said(posted(door, b"huge"), 503, "service.out_of_memory")
        assert posted(door).status_code == 200


def test_after_three_faults_in_a_row_it_is_not_ready_and_after_a_good_one_it_is():
    def decode(data):
        if data == b"fault":
            raise RuntimeError
        return rest_room.FILM

    with Room(decode).served() as door:
        seen = []
        for data in (b"fault", b"fault", b"fault", b"film"):
            posted(door, data)
            seen.append(door.get("/health/ready").status_code)

    assert seen == [200, 200, 503, 200]


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/x-www-form-urlencoded", "application/zip"])
def test_a_body_that_calls_itself_something_else_is_not_taken(door, kind):
    answer = door.post("/v1/readings", content=b"x", headers={"content-type": kind})

    assert "application/dicom" in said(answer, 415, "input.not_supported")["detail"]


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"rubbish"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nfield\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nf\r\n' * 10_000 + b"--x--\r\n",
        ),
    ],
)
def test_a_form_that_is_none_is_malformed(door, content_type, content):
    answer = door.post("/v1/readings", content=content, headers={"content-type": content_type})

    assert said(answer, 400, "request.malformed")


def test_a_form_with_too_many_files_is_refused(door):
    answer = door.post("/v1/readings", files=[("file", ("a", b"x"))] * (MOST_FILES + 1))

    assert said(answer, 400, "request.malformed")


def test_a_body_beyond_the_limit_is_refused_while_it_comes_though_nobody_said_how_long_it_is(room, door):
    n_seen = room.classifier.n_seen
    a_mebibyte = bytes(2**20)
    endless = (a_mebibyte for _ in range(MAX_FILE_BYTES // 2**20 + 8))

    answer = door.post("/v1/readings", content=endless, headers=DICOM)

    assert said(answer, 413, "input.too_large")
    assert room.classifier.n_seen == n_seen


def test_uploads_that_are_on_their_way_are_bounded_together(monkeypatch):
    monkeypatch.setattr(
        Receiving, "__init__", lambda self: setattr(self, "most_bytes", 10) or setattr(self, "n_bytes", 0)
    )
    with Room().served() as door:
        refused, taken = posted(door, bytes(11)), posted(door, bytes(10))

    assert said(refused, 503, "service.busy")
    assert taken.status_code == 200


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch):
    monkeypatch.setattr(body, "_RECEIVE_S", 0.2)
    with Room().served() as door, socket.create_connection((door.base_url.host, door.base_url.port), 30) as line:
        line.sendall(b"POST /v1/readings HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\nhalf")
        with line.makefile("rb") as said:
            answer = said.read()  # until the door hangs up: head and body may come apart

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request.timeout" in answer


def test_pictures_are_png_and_carry_the_footer(door):
    place = posted(door).headers["location"]

    overlay = door.get(f"{place}/overlay.png")
    other = door.get(f"{place}/overlay.png", params={"finding": "effusion"})
    saliency = door.get(f"{place}/maps/effusion.png")

    pixels = cv2.imdecode(np.frombuffer(saliency.content, np.uint8), cv2.IMREAD_COLOR)
    assert overlay.headers["content-type"] == saliency.headers["content-type"] == "image/png"
    assert overlay.content == other.content
    assert pixels.shape[0] > 300  # the film, and below it what must not be parted from it
    assert len({tuple(colour) for colour in pixels[-200:].reshape(-1, 3)}) > 5


def test_pictures_are_drawn_by_what_draws_them_everywhere(door, room, monkeypatch):
    from boxray.localization.overlay import overlay

    answer = room.service.read(b"bytes", "upload")
    drawn = overlay(answer.radiograph, answer.reading, room.service.label_space)

    served = door.get(posted(door).headers["location"] + "/overlay.png").content
    served = cv2.cvtColor(cv2.imdecode(np.frombuffer(served, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    # Kept maps are smaller than the film: brought back, they may round to the next shade.
    np.testing.assert_allclose(served.astype(int), drawn.astype(int), atol=2)


def test_there_is_no_picture_of_a_finding_without_a_map(door):
    place = posted(door).headers["location"]

    assert "effusion" in said(door.get(f"{place}/maps/covid.png"), 404, "request.not_found")["detail"]
    assert said(door.get(f"{place}/overlay.png", params={"finding": "x"}), 404, "request.not_found")


def test_a_forgotten_reading_is_gone_with_its_pictures(door):
    place = posted(door).headers["location"]

    assert door.delete(place).status_code == 204
    for path in (place, f"{place}/overlay.png", f"{place}/maps/effusion.png"):
        assert said(door.get(path), 404, "request.not_found")
    assert said(door.delete(place), 404, "request.not_found")


@pytest.mark.parametrize("path", ["/", "/v1/", "/v1/readings/none", "/docs", "/openapi.json", "/v1/readings/../../etc"])
def test_where_nothing_is_a_problem_says_so(door, path):
    assert said(door.get(path), 404, "request.not_found")


def test_a_method_that_an_address_does_not_know_is_told(door):
    assert said(door.get("/v1/readings"), 405, "request.method")
    assert said(door.put("/v1/model"), 405, "request.method")
    assert door.put("/v1/readings/x").headers["allow"] == "DELETE, GET"


def test_the_model_says_who_speaks_and_what_is_not_assessed(door):
    model = door.get("/v1/model").json()

    assert model["models"]["detector"]["sha256"] == IDENTITY.sha256
    assert model["not_assessed"] == {"detector": ["edema"], "classifier": ["covid"]}
    assert model["codes"]["dicom.multiframe"]["status"] == 422
    assert model["disclaimer"] == DISCLAIMER
    assert door.get("/v1/source").json()["source"] == "https://example.org/source"


def test_two_users_get_ids_that_do_not_lead_to_one_another(door):
    first, second = (posted(door).headers["location"].rpartition("/")[2] for _ in range(2))

    assert len(first) == 22  # 128 bits in base64
    assert len(set(first) & set(second)) < len(set(first) | set(second))
    assert said(door.get("/v1/readings/" + first[:-1]), 404, "request.not_found")


def test_metrics_count_and_hold_no_id():
    with Room().served() as door:
        ids = [posted(door).headers["location"].rpartition("/")[2] for _ in range(3)]
        door.get(f"/v1/readings/{ids[0]}/maps/effusion.png")
        door.get(f"/v1/{CANARY}")
        text = door.get("/metrics").text

    assert 'boxray_readings_total{code="",status="RESULT"} 3' in text
    assert 'route="/v1/readings/{reading_id}/maps/{finding}.png",status="200"} 1' in text
    assert "boxray_reading_seconds_count 3" in text
    assert "boxray_kept 3" in text
    assert not any(reading_id in text for reading_id in ids)
    assert CANARY not in text
    for line in text.splitlines():  # the text form 0.0.4
        assert re.fullmatch(r'(# (HELP|TYPE) \w+ .+)|(\w+(\{(\w+="[^"]*",?)+\})? [\d.e+-]+)', line), line


def test_a_full_line_answers_busy_and_when_to_come_again():
    room = Room(capacity=Capacity(places=1))
    room.classifier.may_go_on.clear()
    with room.served() as door:
        later = []
        for at_work in (1, 2, 2):  # in the models, being decoded, waiting; the next comes when this one has its place
            later.append(posted(door, params={"wait": "false"}))
            eventually(lambda at_work=at_work: room.service.gauges["boxray_at_work"] == at_work)
        refused = [posted(door) for _ in range(2)]
        form = door.post("/v1/readings", files=[("file", ("a", b"x"))])
        health = door.get("/health/ready")
        room.classifier.may_go_on.set()
        eventually(lambda: all(door.get(each.headers["location"]).status_code == 200 for each in later))
        again = posted(door)

    for answer in (*refused, form):
        assert said(answer, 503, "service.busy")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert health.status_code == 200  # busy is not broken
    assert again.status_code == 200


def test_a_form_that_does_not_fit_is_refused_whole():
    room = Room(capacity=Capacity(places=2))
    room.classifier.may_go_on.clear()
    with room.served() as door:
        posted(door, params={"wait": "false"})
        assert room.classifier.begun.acquire(timeout=30)
        answer = door.post("/v1/readings", files=[("file", ("a", b"x"))] * 8)
        room.classifier.may_go_on.set()
        eventually(lambda: room.service.wait_until_idle(0))

    assert said(answer, 503, "service.busy")
    assert room.classifier.n_seen == 1


def test_the_deadline_ends_the_wait_and_the_models_never_see_what_came_too_late():
    room = Room(capacity=Capacity(deadline_s=0.3))
    room.classifier.may_go_on.clear()
    with room.served() as door:
        first, second = posted(door), posted(door)
        job = posted(door, params={"wait": "false"})
        room.classifier.may_go_on.set()
        eventually(lambda: room.service.wait_until_idle(0))
        late = door.get(job.headers["location"])

    for answer in (first, second):
        assert said(answer, 503, "service.deadline")
    assert late.status_code in {200, 503}  # as the clock had it
    assert room.classifier.n_seen <= 2  # the first one, and perhaps the job; never the second


def test_what_a_client_that_went_away_had_asked_for_is_dropped_before_the_models_see_it():
    room = Room()
    room.classifier.may_go_on.clear()
    with room.served() as door:
        posted(door, params={"wait": "false"})
        assert room.classifier.begun.acquire(timeout=30)
        with pytest.raises(httpx.ReadTimeout):
            posted(door, timeout=0.5)
        eventually(lambda: room.readings.gauges["boxray_kept"] == 0 and len(room.readings._entries) == 1)
        room.classifier.may_go_on.set()
        eventually(lambda: room.service.wait_until_idle(0))
        text = door.get("/metrics").text

    assert room.classifier.n_seen == 1
    assert "boxray_dropped_total 1" in text


def test_a_job_that_is_deleted_while_it_waits_is_not_read():
    room = Room()
    room.classifier.may_go_on.clear()
    with room.served() as door:
        jobs = [posted(door, params={"wait": "false"}).headers["location"] for _ in range(3)]
        assert room.classifier.begun.acquire(timeout=30)
        assert [door.delete(place).status_code for place in jobs[1:]] == [204, 204]
        room.classifier.may_go_on.set()
        eventually(lambda: room.service.wait_until_idle(0))

    assert room.classifier.n_seen == 1


def test_while_it_drains_what_runs_is_answered_and_nothing_new_is_taken():
    room = Room()
    room.classifier.may_go_on.clear()
    with room.served() as door:
        thread, answers = asked_in_a_thread(posted, door)
        assert room.classifier.begun.acquire(timeout=30)
        room.service.drain()
        refused, ready, live = posted(door), door.get("/health/ready"), door.get("/health/live")
        room.classifier.may_go_on.set()
        thread.join(30)

    assert said(refused, 503, "service.draining")
    assert said(ready, 503, "service.draining")
    assert live.status_code == answers[0].status_code == 200


def test_sigterm_ends_the_server_after_what_runs_was_answered(tmp_path):
    log = tmp_path / "log"
    with log.open("w") as stream:
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        server = subprocess.Popen([sys.executable, rest_room.__file__], stderr=stream, env=environment)
        try:
            eventually_ready(log, server)
            url = re.search(r"boxray reads at (\S+)", log.read_text())[1]
            with httpx.Client(base_url=url, timeout=30, trust_env=False) as door:
                thread, answers = asked_in_a_thread(posted, door)
                eventually(lambda: "boxray_at_work 1" in door.get("/metrics").text)
                server.terminate()
                eventually(lambda: door.get("/health/ready").status_code == 503)
                refused = posted(door)
                thread.join(30)
        finally:
            code = server.wait(60) if server.poll() is None else server.returncode

    assert answers[0].status_code == 200
    assert said(refused, 503, "service.draining")
    assert code == 143
    assert "gradio" not in log.read_text()


def eventually_ready(log, server):
    for _ in range(60):
        if "reads at" in log.read_text():
            return
        assert server.poll() is None, log.read_text()
        threading.Event().wait(0.5)
    raise AssertionError(log.read_text())


def test_every_answer_tells_the_browser_to_keep_nothing_and_names_no_server(door):
    refused = door.get("/v1/model", headers={"host": "rebound.example"})
    for answer in (door.get("/v1/model"), door.get("/none"), posted(door, b""), refused):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers.get_list("content-security-policy") == ["default-src 'none'; frame-ancestors 'none'"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_another_host_name_and_another_origin_are_refused(door):
    rebound = door.get("/v1/model", headers={"host": "rebound.example"})
    foreign = door.post("/v1/readings", content=b"x", headers={**DICOM, "origin": "https://evil.example"})
    null = door.post("/v1/readings", content=b"x", headers={**DICOM, "origin": "null"})
    own = door.post("/v1/readings", content=b"x", headers={**DICOM, "origin": str(door.base_url).rstrip("/")})
    preflight = door.options("/v1/readings", headers={"origin": "https://evil.example"})

    assert said(rebound, 403, "request.host")
    assert said(foreign, 403, "request.origin")
    assert said(null, 403, "request.origin")
    assert own.status_code == 200
    assert "access-control-allow-origin" not in preflight.headers


def test_with_a_token_nothing_but_health_is_told_without_it():
    with Room(token=TOKEN).served() as door:
        refused = [posted(door), door.get("/v1/model"), door.get("/metrics"), door.get("/v1/openapi.json")]
        wrong = [
            door.get("/v1/model", headers={"authorization": f"Bearer {each}"})
            for each in ("x", TOKEN[:-1], TOKEN + "x")
        ]
        basic = door.get("/v1/model", auth=("anybody", TOKEN))
        wrong_basic = door.get("/v1/model", auth=("anybody", "no"))
        right = door.get("/v1/model", headers={"authorization": f"Bearer {TOKEN}"})
        health = [door.get("/health/live"), door.get("/health/ready")]

    for answer in (*refused, *wrong, wrong_basic):
        assert said(answer, 401, "request.unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert [answer.status_code for answer in (right, basic, *health)] == [200] * 4


def test_a_fault_behind_the_guard_is_told_as_a_code_and_logged_without_its_words(caplog):
    async def broken(scope, receive, send):
        raise RuntimeError(CANARY)

    transport = httpx.ASGITransport(app=Guard(broken))

    import asyncio

    async def ask():
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/")

    assert said(asyncio.run(ask()), 500, "internal.error")
    assert "RuntimeError" in caplog.text
    assert CANARY not in caplog.text
