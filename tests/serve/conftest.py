"""One server for all tests of the doors; a browser per file, and a fresh page per test."""

import os
import shutil
import subprocess
import sys

import pytest

from serve import reading_room

CHROMIUM = os.environ.get("BOXRAY_CHROMIUM") or shutil.which("chromium")
SWITCHES = [
    "--no-sandbox",  # chromium refuses to run as root with it
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    example = folder / "${document.title=1}<b>{{7*7}}.png"  # a hostile name
    example.write_bytes(reading_room.a_chest_png())
    uploads, log = folder / "gradio", folder / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, reading_room.__file__, str(example)],
            stderr=stream,
            env={**os.environ, "GRADIO_TEMP_DIR": str(uploads)},
        )
        try:
            yield reading_room.Served(reading_room.url_in(log, server), log, uploads)
        finally:
            server.terminate()
            assert server.wait(120) == 143
            assert reading_room.OUTSIDE not in log.read_text()  # whatever the tests did to it


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
    page.wait_for_selector(".bx-files", state="attached")
    yield page
    context.close()
