"""What somebody may try on the app's door who is no reader: Gradio's own addresses behind the guard."""

import json
import os
import pickle
import secrets
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from boxray.cli.main import main
from serve.reading_room import OUTSIDE, a_chest_png, open_chest
from serve.rest_room import Room
from serve.test_rest import TOKEN
from serve.wounds import CANARY, whole

HTML = b"<script>alert(1)</script>"


@pytest.fixture
def app(served):
    with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as client:
        yield client


def uploaded(app, name, data):
    return app.post("gradio_api/upload", files={"files": (name, data, "text/html")}).json()[0]


def a_file(place):
    """As the page names it to a control."""
    return {"path": place, "url": place, "orig_name": Path(place).name, "meta": {"_type": "gradio.FileData"}}


def told(app, number, data):
    """What the page's control of that number answers to these values: the events of its stream."""
    session = secrets.token_hex(8)
    asked = {"data": data, "fn_index": number, "session_hash": session, "trigger_id": 1}
    app.post("gradio_api/queue/join", json=asked).raise_for_status()
    with app.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as events:
        for line in events.iter_lines():
            event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if event.get("msg") in {"process_completed", "close_stream", "unexpected_error"}:
                return event
    raise AssertionError("the stream ended without a word")


def number_of(app, name):
    """Of the control that calls a function of `Desk`."""
    controls = app.get("config").json()["dependencies"]
    return next(each["id"] for each in controls if each["api_name"] == name)


@pytest.mark.parametrize("name", ["../../../etc/x.html", "/etc/cron.d/x", "..\\..\\x.dcm", "a\nb.png", "\u202egnp.exe"])
def test_an_uploads_name_leads_nowhere_f1(app, served, name):
    place = uploaded(app, name, HTML)

    assert os.path.realpath(place).startswith(os.path.realpath(served.uploads) + os.sep)
    assert ".." not in Path(place).parts


def test_an_uploaded_page_comes_back_as_a_download_and_never_as_a_page_f2(app):
    answer = app.get(f"gradio_api/file={uploaded(app, 'x.html', HTML)}")

    assert answer.status_code in {200, 403}
    assert answer.status_code == 403 or answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] != "text/html"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_with_a_token_nobody_uploads_without_it_f4():
    with Room(token=TOKEN).served() as door:
        answers = [door.post(path, files={"files": ("a", HTML)}) for path in ("/gradio_api/upload", "/upload")]
        answers += [door.get(path) for path in ("/", "/config", "/gradio_api/file=/etc/passwd")]

    assert {answer.status_code for answer in answers} == {401}


def test_no_file_of_this_machine_is_handed_out_f5(app, served):
    paths = ["/etc/passwd", str(served.log), f"{served.uploads}/../log", "file:///etc/passwd"]

    for path in [*paths, "http://127.0.0.1:1/", "https://films.example.org/", "https://huggingface.co/x"]:
        answer = app.get(f"gradio_api/file={path}")
        assert answer.status_code in {403, 404}, path
        assert "root:" not in answer.text
    assert OUTSIDE not in served.log.read_text()


def test_a_path_that_nobody_uploaded_is_not_read_as_an_upload_f5(app, served):
    n_reads = served.n_reads()
    event = told(app, number_of(app, "open_upload"), [a_file("/etc/passwd"), "stored", 0.25])

    assert event["success"] is False
    assert "passwd" not in json.dumps(event)
    assert served.n_reads() == n_reads
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/film.dcm", "https://films.example.org/film.dcm"])
def test_an_address_in_the_place_of_a_file_is_not_fetched_whoever_it_points_to_f6(app, served, address):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        url = address.format(port=trap.getsockname()[1])

        event = told(app, number_of(app, "open_upload"), [a_file(url), "stored", 0.25])

        assert event["success"] is False
        with pytest.raises(TimeoutError):
            trap.accept()
    assert OUTSIDE not in served.log.read_text()


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
    assert other.locator("table.bx-findings").count() == 0
    assert not [url for url in page.asked if urlsplit(url).hostname != "127.0.0.1" and url.startswith("http")]
    other.context.close()


def test_of_a_patient_nothing_stays_in_log_metrics_or_on_the_disk_f16_f17(app, served):
    film = a_file(uploaded(app, "film.dcm", whole()["raw"]))
    event = told(app, number_of(app, "open_upload"), [film, "stored", 0.25])
    metrics = app.get("metrics").text

    assert event["success"] is True
    assert "film.dcm" in json.dumps(event)  # it was this film that was read
    left = [path for path in served.uploads.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert left == []
    assert CANARY not in json.dumps(event) + metrics + served.log.read_text()


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
