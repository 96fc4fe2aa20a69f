"""FiftyOne's App in chromium, with a person's hand: a box dragged, one drawn; pulled, and nothing else has changed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from boxray.data.correction_log import CorrectionLog
from boxray.data.corrections import Kind
from boxray.data.manifest import Manifest
from boxray.review.from_fiftyone import FiftyOneEdits
from built import SQUARE_XYXY, build_tiny_set

CHROMIUM = os.environ.get("BOXRAY_CHROMIUM") or shutil.which("chromium")
SWITCHES = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
"""The App draws by WebGL, which is done by the processor where there is no graphics card."""
COMMAND = [sys.executable, "-m", "boxray.cli.main", "review"]
WAITS_S = 300
SIDE_PX = 256
"""Of the made films."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def place(fiftyone_runs, tmp_path):
    """A built set and the environment of a review of its own."""
    if CHROMIUM is None:
        pytest.skip("no chromium: install it or name it in BOXRAY_CHROMIUM")
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    build_tiny_set(tmp_path / "set", per_split=1)
    named = {"BOXRAY_REVIEW_DIR": str(tmp_path / "state"), "FIFTYONE_CONFIG_PATH": str(tmp_path / "none.json")}
    apart = {"FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_DIR", "FIFTYONE_PLUGINS_DIR", "FIFTYONE_DATABASE_NAME"}
    return tmp_path, {name: value for name, value in os.environ.items() if name not in apart} | named


@pytest.fixture
def app(place):
    """`boxray review open` with its App: the page's address, and the database's."""
    folder, environment = place
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    arguments = ["open", "--data", str(folder / "set"), "--remote", "--port", str(port), "--reviewer", "alice"]
    with log.open("w") as stream:
        running = subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=environment, stdout=stream, stderr=stream)
        try:
            until(lambda: "Ctrl-C ends it" in log.read_text(), running)
            uri = json.loads((folder / "state/database/running.json").read_text())["uri"]
            yield f"http://127.0.0.1:{port}/", uri
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(WAITS_S)


def until(holds, running=None):
    """Wait for something, but not for ever."""
    begun = time.monotonic()
    while not holds():
        assert running is None or running.poll() is None
        assert time.monotonic() - begun < WAITS_S
        time.sleep(0.5)


@pytest.fixture
def film(app):
    """The page with the first film open, ready to be annotated."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(WAITS_S * 1000)
        page.goto(app[0])
        # The grid lays its films out anew while they come: the first one is clicked until it has opened.
        page.locator("[data-cy=looker]").first.wait_for()
        annotate = page.locator("[data-cy=annotate]")
        for _ in range(60):
            page.locator("[data-cy=looker]").first.click(position={"x": 60, "y": 60}, force=True)
            page.wait_for_timeout(5000)
            if annotate.is_visible():
                break
        annotate.click()
        page.locator("[data-cy=lighter-sample-image]").wait_for()
        page.locator("[data-cy=detection-mode]").wait_for()
        page.wait_for_timeout(5000)
        yield page
        chromium.close()


def drag(page, start_px, end_px):
    """From one place on the film to another, in its pixels, as a hand does: in steps."""
    around = page.locator("[data-cy=lighter-sample-image]").bounding_box()
    scale = around["width"] / SIDE_PX
    (x1, y1), (x2, y2) = ((around["x"] + x * scale, around["y"] + y * scale) for x, y in (start_px, end_px))
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move((x1 + x2) / 2, (y1 + y2) / 2, steps=6)
    page.mouse.move(x2, y2, steps=6)
    page.mouse.up()


def test_a_box_dragged_and_one_drawn_in_the_app_are_pulled_and_nothing_else_is(place, app, film):
    folder, environment = place
    manifest = Manifest.load(folder / "set")
    edits = FiftyOneEdits(app[1])
    assert edits(manifest).corrections == ()
    x1, y1, x2, y2 = SQUARE_XYXY
    middle = (x1 + x2) / 2, (y1 + y2) / 2

    film.locator("[data-cy^=annotate-label-]").first.click()
    film.locator("[data-cy=root_reason_container] input").wait_for()
    drag(film, middle, (middle[0] + 32, middle[1] - 32))
    until(lambda: len(edits(manifest).corrections) == 1)
    reason = film.locator("[data-cy=root_reason_container] input")
    reason.fill("too low")
    reason.press("Tab")
    until(lambda: edits(manifest).corrections[0].reason == "too low")
    film.locator("[data-cy=annotate-edit-back]").click()
    film.locator("[data-cy=detection-mode]").click()
    film.wait_for_timeout(2000)
    drag(film, (160, 64), (208, 128))
    until(lambda: len(edits(manifest).corrections) == 2)
    film.get_by_label("heart").check(force=True)
    until(lambda: {edit.finding for edit in edits(manifest).corrections} == {"fluid", "heart"})

    log = folder / "corrections"
    arguments = ["pull", "--data", str(folder / "set"), "--corrections", str(log)]
    subprocess.run([*COMMAND, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    changed, added = sorted(CorrectionLog.read(log).corrections, key=lambda made: made.finding)
    assert (changed.finding, changed.kind, changed.reviewer) == ("fluid", Kind.CHANGED, "alice")
    assert changed.box_before_xyxy == tuple(SQUARE_XYXY)
    assert changed.box_after_xyxy == pytest.approx((x1 + 32, y1 - 32, x2 + 32, y2 - 32), abs=1.5)
    assert changed.reason == "too low"
    assert (added.finding, added.kind) == ("heart", Kind.ADDED)
    assert added.box_after_xyxy == pytest.approx((160, 64, 208, 128), abs=1.5)
    assert {changed.image_id, added.image_id} == {"made:0"}
    assert edits(manifest).corrections == ()  # it was pulled: what stands there is what is shown
