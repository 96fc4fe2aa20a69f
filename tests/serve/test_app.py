import http.client
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.findings import Finding, LabelSpace
from boxray.core.protocols import FixedClassifier, FixedDetector
from boxray.core.reading import DISCLAIMER, Detection, ModelIdentity
from boxray.localization.reader import Reader
from boxray.serve.app import launch, quiet_environment
from boxray.serve.service import Service

KEYS = ("edema", "pneumonia", "tuberculosis", "cardiomegaly", "emphysema", "covid", "effusion", "atelectasis")
SPACE = LabelSpace("eight", tuple(Finding(key, key.capitalize(), "it", "#EE6677") for key in KEYS))
CHROMIUM = os.environ.get("BOXRAY_CHROMIUM") or shutil.which("chromium")
SWITCHES = [
    "--no-sandbox",  # chromium refuses to run as root with it
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def serve_fixed_models(example: Path) -> None:
    """What the server's process does: fixed models, the real decoder, and a Pillow that opens nothing."""
    import PIL.Image

    def refuse(*_, **__):
        raise AssertionError("Pillow was asked to open a file")

    PIL.Image.open = refuse
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    found = (
        Detection("effusion", 0.83, Box(30, 150, 100, 210)),
        Detection("cardiomegaly", 0.41, Box(90, 100, 190, 200)),
    )
    identity = ModelIdentity("fixed", "1", "0" * 64, {"cardiomegaly": 0.3})
    detector = FixedDetector(SPACE, found, tuple(key for key in KEYS if key != "edema"), identity)
    classifier = FixedClassifier(SPACE, {key: 0.25 for key in KEYS if key != "covid"})
    launch(Service(Reader(detector, classifier)), [example], port=None, source="https://example.org/source")


def a_chest_png() -> bytes:
    """Two dark lungs in a bright body: enough to be taken for a radiograph."""
    y, x = np.mgrid[0:1:256j, 0:1:256j]
    shade = np.where(np.hypot((x - 0.5) / 0.5, (y - 0.6) / 0.62) < 1, 0.5, 0.05) + 0.05 * x
    for centre in (0.3, 0.7):
        shade[np.hypot((x - centre) / 0.13, (y - 0.42) / 0.28) < 1] = 0.15
    shade[(y > 0.72) & (np.abs(x - 0.5) < 0.38)] = 0.85
    shade[np.abs(x - 0.5) < 0.06] = 0.9
    return cv2.imencode(".png", np.round(shade * 255).astype(np.uint8))[1].tobytes()


# What needs no browser


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "radiology.example", ""])
def test_an_address_that_others_reach_is_refused_with_the_reason(address, capsys):
    with pytest.raises(SystemExit) as refusal:
        launch(Service(Reader(FixedDetector(SPACE), None)), address=address)

    assert refusal.value.code == 78
    assert "there is no login yet" in capsys.readouterr().err


def test_importing_the_app_loads_no_gradio():
    script = "import sys, boxray.serve.app; print('gradio' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_the_environment_is_quiet_but_what_somebody_chose_stays(monkeypatch, tmp_path):
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    quiet_environment()

    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path)


# What needs a server


@dataclass(frozen=True)
class Served:
    """The app in a process of its own, as for its users."""

    url: str
    log: Path
    uploads: Path

    def n_reads(self) -> int:
        return self.log.read_text().count("read id=")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    example = folder / "${document.title=1}<b>{{7*7}}.png"  # a hostile name
    example.write_bytes(a_chest_png())
    uploads, log = folder / "gradio", folder / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, __file__, str(example)], stderr=stream, env={**os.environ, "GRADIO_TEMP_DIR": str(uploads)}
        )
        try:
            yield Served(url_in(log, server), log, uploads)
        finally:
            server.terminate()
            assert server.wait(120) == 143


def url_in(log: Path, server: subprocess.Popen) -> str:
    """Wait until the server says where it is."""
    for _ in range(2400):
        said = re.search(r"boxray reads at (\S+)", log.read_text())
        if said:
            return said[1]
        assert server.poll() is None, f"the server ended: {log.read_text()}"
        time.sleep(0.1)
    raise AssertionError(f"the server does not come up: {log.read_text()}")


def ask(url: str, host: str, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", path, headers={"Host": host, **headers})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_a_request_for_another_host_is_refused(served):
    url = served.url

    assert ask(url, "rebound.example").status == 403
    assert ask(url, "localhost:7860").status == 200


def test_the_browser_is_told_to_keep_nothing_and_to_ask_nobody_else(served):
    headers = ask(served.url, "127.0.0.1").headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_body_beyond_the_limit_is_refused_on_every_path(served):
    for path in ("/gradio_api/upload", "/gradio_api/component_server", "/anything"):
        assert ask(served.url, "127.0.0.1", path, **{"Content-Length": str(200 * 2**20)}).status == 413


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium: install it or name it in BOXRAY_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def page(served, browser):
    """The app's page; what it asked for and what its scripts complained of are kept beside it."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.asked, page.faults = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(served.url)
    page.wait_for_selector("#upload input[type=file]", state="attached")
    yield page
    context.close()


def upload(page, name: str, data: bytes) -> None:
    page.set_input_files("#upload input[type=file]", {"name": name, "mimeType": "text/plain", "buffer": data})


def open_chest(page) -> None:
    upload(page, "chest.png", a_chest_png())
    page.wait_for_selector("table.bx-findings")


def box_rows(page) -> list[str]:
    return page.locator("table.bx-boxes tbody tr").all_inner_texts()


def wait_for_boxes(page, number: int) -> None:
    page.wait_for_function(f"document.querySelectorAll('table.bx-boxes tbody tr').length === {number}")


def downloaded(page, button: str) -> bytes:
    page.wait_for_selector(f"{button}:not([disabled])")
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_bytes()


@pytest.mark.browser
def test_an_uploaded_png_gives_a_table_of_all_eight_findings(page):
    open_chest(page)

    rows = page.locator("table.bx-findings tbody tr").all_inner_texts()

    assert len(rows) == 8
    assert "boxed (1)" in next(row for row in rows if row.startswith("Effusion"))
    assert "not assessed" in next(row for row in rows if row.startswith("Edema"))
    assert "no box" in next(row for row in rows if row.startswith("Covid"))
    assert page.locator("#viewer img").count() == 2
    assert page.faults == []


@pytest.mark.browser
def test_a_text_file_is_refused_with_its_code_and_without_a_table(page):
    open_chest(page)

    upload(page, "letter.txt", b"Dear colleague, this is a letter.")
    page.wait_for_selector(".bx-refusal")

    assert "input.not_supported" in page.inner_text(".bx-refusal")
    assert page.locator("table.bx-findings").count() == 0
    assert page.locator("#viewer img").count() == 0
    record = json.loads(downloaded(page, "#download-reading"))
    assert (record["status"], record["code"]) == ("REFUSED", "input.not_supported")


@pytest.mark.browser
def test_the_slider_removes_a_box_and_brings_it_back_without_reading_again(page, served):
    open_chest(page)
    n_reads = served.n_reads()
    assert len(box_rows(page)) == 2

    page.fill("#threshold input[type=number]", "0.6")
    page.keyboard.press("Tab")
    wait_for_boxes(page, 1)
    (row,) = box_rows(page)
    page.click("#thresholds label:has-text('Stored')")
    wait_for_boxes(page, 2)

    assert "Effusion" in row
    assert served.n_reads() == n_reads > 0


@pytest.mark.browser
def test_the_reading_and_the_picture_can_be_saved(page):
    open_chest(page)

    record = json.loads(downloaded(page, "#download-reading"))
    picture = cv2.imdecode(np.frombuffer(downloaded(page, "#download-picture"), np.uint8), cv2.IMREAD_COLOR)

    assert record["file"] == "chest.png"
    assert [det["finding"] for det in record["detections"]] == ["effusion", "cardiomegaly"]
    assert record["disclaimer"] == DISCLAIMER
    assert picture.shape[1] > 2 * 256


@pytest.mark.browser
def test_the_page_asks_nobody_but_this_machine(page):
    open_chest(page)
    page.click("#finding label:has-text('Atelectasis')")
    page.wait_for_selector("figcaption:has-text('Atelectasis')")

    hosts = {urlsplit(url).hostname for url in page.asked if not url.startswith(("data:", "blob:"))}

    assert hosts == {"127.0.0.1"}


@pytest.mark.browser
def test_the_banner_stays_in_sight_and_the_source_is_linked(page):
    open_chest(page)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")

    banner = page.locator(".bx-banner")

    assert DISCLAIMER in banner.inner_text()
    assert banner.bounding_box()["y"] == pytest.approx(0, abs=1)
    assert page.get_attribute("#source a", "href") == "https://example.org/source"


@pytest.mark.browser
def test_a_key_shows_the_film_alone_and_the_other_window_moves_along(page):
    open_chest(page)
    page.keyboard.press("o")
    hidden = page.locator(".bx-sheet img >> visible=true").count()
    page.keyboard.press("o")
    page.keyboard.press("+")

    zoomed = page.evaluate("[...document.querySelectorAll('.bx-sheet')].map((s) => s.style.transform)")

    assert hidden == 0
    assert page.locator(".bx-sheet img >> visible=true").count() == 2
    assert [re.search(r"scale\(([\d.]+)\)", transform)[1] for transform in zoomed] == ["1.4", "1.4"]


@pytest.mark.browser
def test_an_example_is_read_like_an_upload_and_its_hostile_name_does_nothing(page):
    page.click("#example-0")
    page.wait_for_selector("table.bx-findings")

    assert "${document.title=1}<b>{{7*7}}.png" in page.inner_text("#status")
    assert page.title() == "boxray"


@pytest.mark.browser
def test_of_an_upload_nothing_stays_on_the_disk_and_no_name_in_the_log(page, served):
    open_chest(page)

    left = [path for path in served.uploads.rglob("*") if path.is_file() and path.read_bytes() == a_chest_png()]

    assert left == []
    assert "chest.png" not in served.log.read_text()


@pytest.mark.browser
def test_a_phone_needs_no_scrolling_to_the_side(page):
    page.set_viewport_size({"width": 390, "height": 844})
    open_chest(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


if __name__ == "__main__":
    serve_fixed_models(Path(sys.argv[1]))
