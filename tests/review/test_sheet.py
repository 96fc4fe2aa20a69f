"""The review sheet: one file that shows what the set says, asks nobody, and saves what a reader says of it."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.reading import Detection
from boxray.data.correction_log import CorrectionLog
from boxray.data.corrections import now
from boxray.review.edits import read_verdicts
from boxray.review.pull import pull
from boxray.review.readings import Said
from boxray.review.sheet import choose, sheet_content, write_sheet
from built import SQUARE_XYXY, build_tiny_set

CHROMIUM = os.environ.get("BOXRAY_CHROMIUM") or shutil.which("chromium")
ELSEWHERE = (130.0, 40.0, 180.0, 100.0)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return build_tiny_set(tmp_path_factory.mktemp("set"))


def a_detection(box, score=0.8, finding="fluid"):
    return Detection(finding, score, Box(*box))


@pytest.fixture(scope="module")
def readings(manifest):
    """The detector sees each square but that of film 2, and something on film 1, where fluid is absent."""
    said = {}
    for row in manifest.images.itertuples():
        number = int(row.image)
        seen = [a_detection(SQUARE_XYXY)] if number % 2 == 0 and number != 2 else []
        seen += [a_detection(ELSEWHERE, 0.7)] if number == 1 else []
        said[row.image_id] = Said("RESULT", detections=tuple(seen), thresholds={"fluid": 0.5}, model="made 0")
    return said


@pytest.fixture(scope="module")
def sheet(manifest, readings, tmp_path_factory):
    return write_sheet(
        tmp_path_factory.mktemp("sheet") / "review.html", manifest, choose(manifest, readings, 18), readings
    )


def test_the_films_on_which_boxes_and_detector_differ_come_first(manifest, readings):
    chosen = choose(manifest, readings, 4)

    assert chosen.images["image_id"].tolist()[:2] == ["made:2", "made:1"]
    assert chosen.said.startswith("4 of 18 images of this choice")


def test_what_is_unknown_is_no_reason_to_come_first(manifest, readings):
    both = manifest.only(manifest.images["image_id"].isin(["made:1", "made:3"]))
    both.images["presence_fluid"] = "unknown"

    assert choose(both, readings, 2).images["sha256"].is_monotonic_increasing


def test_without_readings_a_sample_is_the_same_every_time_and_says_so(manifest):
    one = choose(manifest, {}, 5)
    other = choose(manifest.only(np.arange(len(manifest.images)) < 99), {}, 5)

    assert one.images["image_id"].tolist() == other.images["image_id"].tolist()
    assert "5 of 18" in one.said


@pytest.mark.parametrize(("most", "said"), [(0, "at least one film"), (-3, "at least one film")])
def test_a_sheet_of_nothing_is_refused(manifest, most, said):
    with pytest.raises(DataError, match=said):
        choose(manifest, {}, most)
    with pytest.raises(DataError, match="no image of the set is left"):
        choose(manifest.only(manifest.images["width"] < 0), {}, 5)


def test_the_sheet_holds_the_boxes_of_the_set_to_the_last_digit_and_no_patient(manifest, readings, tmp_path):
    manifest = manifest.only(manifest.images["width"] > 0)
    manifest.images["patient"] = "canary"
    chosen = choose(manifest, readings, 18)
    content = sheet_content(manifest, chosen, readings)

    boxes = {film["id"]: [tuple(box["xyxy"]) for box in film["boxes"]] for film in content["films"]}
    assert boxes["made:0"] == [SQUARE_XYXY]
    assert boxes["made:1"] == []
    text = write_sheet(tmp_path / "review.html", manifest, chosen, readings).read_text(encoding="utf-8")
    assert "canary" not in text
    assert "Research use only" in text


def test_the_sheet_may_ask_nobody_and_run_nothing_but_its_own_script(sheet):
    text = sheet.read_text(encoding="utf-8")

    (policy,) = re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}';", policy)
    assert not re.search(r"""(?:src|href)=["']?https?:""", text)


def test_a_hostile_id_cannot_end_the_data_of_the_sheet(manifest, tmp_path):
    hostile = manifest.only(manifest.images["image_id"] == "made:1")
    hostile.images["image_id"] = "</script><script>alert(1)</script>"

    text = write_sheet(tmp_path / "review.html", hostile, choose(hostile, {}, 1), {}).read_text(encoding="utf-8")

    assert "<script>alert" not in text


@pytest.fixture
def browser_page(sheet):
    """The sheet in chromium; what it asked for and what went wrong are kept beside it."""
    if CHROMIUM is None:
        pytest.skip("no chromium: install it or name it in BOXRAY_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = chromium.new_context(viewport={"width": 1300, "height": 900}, accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda said: page.faults.append(said.text) if said.type == "error" else None)
        page.goto(sheet.as_uri())
        yield page
        chromium.close()


def drag(page, film_xy_from, film_xy_to):
    """With the mouse on the open film, from and to in pixels of the picture of 256 px."""
    frame = page.locator(".film .fit").bounding_box()
    scale = frame["width"] / 256
    x, y = (frame[side] + value * scale for side, value in zip("xy", film_xy_from, strict=True))
    page.mouse.move(x, y)
    page.mouse.down()
    x, y = (frame[side] + value * scale for side, value in zip("xy", film_xy_to, strict=True))
    page.mouse.move(x, y, steps=4)
    page.mouse.up()


def open_film(page, image):
    page.get_by_label(f"Open {image}", exact=True).click()


@pytest.mark.browser
def test_verdicts_given_by_mouse_and_keys_are_saved_and_pulled(browser_page, manifest, sheet, tmp_path):
    page = browser_page
    open_film(page, "made:2")  # its box is right
    page.keyboard.press("1")
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    open_film(page, "made:1")  # the detection is taken as a box
    page.locator("[data-do=take]").click()
    page.keyboard.press("Escape")
    open_film(page, "made:0")  # the box is drawn larger by its lower right corner
    page.keyboard.press("1")
    drag(page, SQUARE_XYXY[2:], (140, 220))
    page.fill("#reason", "too small")
    page.locator(".film h2").click()
    page.locator("[data-finding=heart] select").select_option("absent")
    page.locator("[data-finding=heart] [data-do=second]").click()
    page.keyboard.press("Escape")
    open_film(page, "made:3")  # a box where there was none
    page.locator("[data-finding=fluid] [data-do=draw]").click()
    drag(page, (20, 30), (80, 90))
    page.fill("#reviewer", "Dr. Bee")
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / "verdicts.json"
    download.value.save_as(path)

    edits = read_verdicts(path)
    pulled = pull(edits, manifest, tmp_path / "log", now())

    assert not page.faults
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert not edits.unread
    assert not pulled.refused
    held = {
        (image, finding): opinion
        for (image, finding, _), opinion in CorrectionLog.read(tmp_path / "log").opinions.items()
    }
    assert held["made:2", "fluid"].boxes_xyxy == (SQUARE_XYXY,)
    assert held["made:1", "fluid"].boxes_xyxy == (ELSEWHERE,)
    assert held["made:0", "fluid"].boxes_xyxy[0] == pytest.approx((60, 150, 140, 220), abs=1)
    assert held["made:0", "heart"].presence is Presence.ABSENT
    assert held["made:3", "fluid"].boxes_xyxy[0] == pytest.approx((20, 30, 80, 90), abs=1)
    assert {made.reviewer for made in edits.corrections} == {"Dr._Bee"}
    assert {made.reason for made in edits.corrections if made.image_id == "made:0" and made.finding == "fluid"} == {
        "too small"
    }
    assert [made.finding for made in edits.corrections if made.second_opinion] == ["heart"]

    page.reload()  # what was said is still there
    assert page.locator("#save").inner_text() == f"Save {len(edits.corrections)} verdicts"
    assert not pull(edits, manifest, tmp_path / "log", now()).taken


@pytest.mark.browser
def test_filters_find_what_the_detector_missed_and_no_name_means_no_file(browser_page):
    page = browser_page

    page.select_option("#look", "missed")
    assert page.locator(".thumb").count() == 1
    assert "made:2" in page.locator(".thumb").inner_text()
    page.select_option("#look", "extra")
    assert "made:1" in page.locator(".thumb").inner_text()
    page.locator(".thumb").click()
    page.locator("[data-do=take]").click()
    page.click("#save")

    assert page.evaluate("document.getElementById('reviewer').validationMessage") != ""


@pytest.mark.browser
def test_the_sheet_fits_a_phone(browser_page):
    browser_page.set_viewport_size({"width": 390, "height": 844})
    open_film(browser_page, "made:2")

    assert browser_page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_data_of_the_sheet_can_be_read_as_json(sheet):
    (text,) = re.findall(r'id="films">(.*)</script>', sheet.read_text(encoding="utf-8"))

    assert json.loads(text)["schema"] == "boxray.verdicts/1"
