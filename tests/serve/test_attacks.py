"""What somebody may try on the app's door who is no reader: Gradio's own addresses behind the guard, and the desk's."""

import json
import os
import pickle
import secrets
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from boxray.cli.main import main
from serve import file_page, reading_room
from serve.reading_room import OUTSIDE, Served, a_chest_png, open_chest
from serve.rest_room import Room
from serve.test_rest import TOKEN
from serve.wounds import CANARY, whole

HTML = b"<script>alert(1)</script>"
FILE, CHOICE = 0, 1
"""The two controls of `file_page`."""


@pytest.fixture
def app(served):
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def file_room(tmp_path_factory):
    """The page that has a place for a file."""
    folder = tmp_path_factory.mktemp("file_page")
    log, uploads = folder / "log", folder / "gradio"
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(uploads), "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("w") as stream:
        server = subprocess.Popen([sys.executable, file_page.__file__], stderr=stream, env=environment)
        try:
            yield Served(reading_room.url_in(log, server), log, uploads)
        finally:
            server.terminate()
            server.wait(60)


def told(served, control, value):
    """What a control of the page answers to this value, as JSON: the last event of its stream."""
    session = secrets.token_hex(8)
    asked = {"data": [value], "fn_index": control, "session_hash": session, "trigger_id": 1}
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as page:
        page.post("gradio_api/queue/join", json=asked).raise_for_status()
        with page.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as events:
            for line in events.iter_lines():
                event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if event.get("msg") in {"process_completed", "close_stream", "unexpected_error"}:
                    return event
    raise AssertionError("the stream ended without a word")


def a_file(path):
    """As a page names an upload to a control."""
    return {"path": path, "url": path, "orig_name": "film.dcm", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("control", [FILE, CHOICE])
def test_no_path_of_this_machine_is_taken_for_an_upload_f5(file_room, tmp_path, control):
    secret = tmp_path / "film.txt"
    secret.write_text("somebody else's film")

    event = told(file_room, control, a_file(str(secret)))

    copies = [path for path in file_room.uploads.rglob("*") if path.is_file()]
    assert event["success"] is False
    assert "somebody" not in json.dumps(event)
    assert str(tmp_path) not in json.dumps(event)
    assert copies == []
    assert "Traceback" not in file_room.log.read_text()
    assert str(tmp_path) not in file_room.log.read_text()


@pytest.mark.parametrize("control", [FILE, CHOICE])
@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/film.dcm", "https://films.example.org/film.dcm"])
def test_an_address_in_the_place_of_a_file_is_not_fetched_whoever_it_points_to_f6(file_room, control, address):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        event = told(file_room, control, a_file(address.format(port=trap.getsockname()[1])))

        assert event["success"] is False
        with pytest.raises(TimeoutError):
            trap.accept()
    assert OUTSIDE not in file_room.log.read_text()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/upload",
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=https://films.example.org/film.dcm",
        "gradio_api/proxy=https://films.example.org/film.dcm",
        "gradio_api/component_server",
        "gradio_api/call/show",
        "gradio_api/dev/reload",
        "gradio_api/vibe-edit",
        "gradio_api/info",
        "monitoring",
        "login",
        "docs",
    ],
)
def test_gradios_addresses_that_no_page_of_ours_asks_for_are_not_there_f1_f2_f4(app, served, path, method):
    answer = app.request(method, path, **({"files": {"files": ("../../x.html", HTML)}} if method == "POST" else {}))

    assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")
    assert "root:" not in answer.text
    assert OUTSIDE not in served.log.read_text()


def test_a_file_that_is_no_film_comes_back_in_no_form_and_its_name_leads_nowhere_f1_f2(app, served):
    key = {"x-boxray-desk": secrets.token_hex(16)}
    before = sorted(served.log.parent.rglob("*"))
    taken = app.post("desk/files", files={"file": ("../../../x.html", HTML, "text/html")}, headers=key).json()["cases"][
        0
    ]

    read = app.post(f"desk/cases/{taken['id']}/reading", headers=key)
    others = [app.get(f"desk/cases/{taken['id']}/{what}", headers=key) for what in ("pixels", "maps", "overlay.png")]

    assert read.json()["reading"]["code"] == "input.not_supported"
    assert sorted(served.log.parent.rglob("*")) == before
    for answer in (read, *others):
        assert b"alert" not in answer.content
        assert answer.headers["content-type"] != "text/html"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_with_a_token_nobody_uploads_without_it_f4():
    with Room(token=TOKEN).served() as door:
        answers = [door.post(path, files={"files": ("a", HTML)}) for path in ("/desk/files", "/gradio_api/upload")]
        answers += [door.get(path) for path in ("/", "/config", "/gradio_api/file=/etc/passwd")]

    assert {answer.status_code for answer in answers} == {401}


def test_rest_takes_bytes_and_no_addresses_f6(app):
    answer = app.post("v1/readings", json={"url": "http://127.0.0.1:1/film.dcm"})

    assert (answer.status_code, answer.json()["code"]) == (415, "input.not_supported")


def test_many_at_once_are_answered_or_told_to_come_again_and_never_a_500_f13(app):
    answers = []

    def ask():
        with httpx.Client(base_url=app.base_url, trust_env=False, timeout=60) as one:
            answers.append(one.post("v1/readings", content=a_chest_png(), headers={"content-type": "image/png"}))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)

    assert len(answers) == 50
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)


@pytest.mark.browser
def test_what_one_reader_opened_another_does_not_see_f5(page, browser, served):
    open_chest(page)
    other = browser.new_context().new_page()
    other.goto(served.url)
    other.wait_for_selector("#upload input[type=file]", state="attached")

    assert "chest.png" in page.inner_text("body")
    assert "chest.png" not in other.inner_text("body")
    assert not [url for url in page.asked if urlsplit(url).hostname != "127.0.0.1" and url.startswith("http")]
    other.context.close()


def test_of_a_patient_nothing_stays_in_log_metrics_or_on_the_disk_f16_f17(app, served):
    key = {"x-boxray-desk": secrets.token_hex(16)}
    taken = app.post("desk/files", files={"file": (f"{CANARY}.dcm", whole()["raw"])}, headers=key).json()["cases"][0]
    read = app.post(f"desk/cases/{taken['id']}/reading", headers=key).json()["reading"]
    app.get(f"desk/cases/{taken['id']}/overlay.png", headers=key)
    metrics = app.get("metrics").text

    left = [path for path in served.log.parent.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert (read["status"], read["file"]) == ("RESULT", f"{CANARY}.dcm")  # the name as the reader gave it, and no more
    assert json.dumps(read).count(CANARY) == 1
    assert left == []  # the log is among them
    assert CANARY not in metrics


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_pickle_in_the_place_of_weights_is_refused_and_not_opened_e1_e2(tmp_path, monkeypatch, capsys):
    marker, weights = tmp_path / "it ran", tmp_path / "weights.pt"
    weights.write_bytes(pickle.dumps(Evil(marker)))
    monkeypatch.delenv("BOXRAY_TOKEN", raising=False)

    with pytest.raises(SystemExit) as left:
        main(["serve", "rest", "--detector", str(weights)])

    assert left.value.code == 78
    assert "refused to serve" in capsys.readouterr().err
    assert not marker.exists()
    pickle.loads(weights.read_bytes())
    assert marker.exists()  # it would have
