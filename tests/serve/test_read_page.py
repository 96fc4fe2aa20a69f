"""The page Read in a browser: what a control does is what somebody sees who touches it."""

import csv
import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from boxray.core.reading import DISCLAIMER
from boxray.serve.words import words_in
from serve.reading_room import (
    a_chest_png,
    box_rows,
    bring,
    downloaded,
    open_chest,
    set_threshold,
    shade_at,
    state_of,
    upload,
    wait_until_done,
)

pytestmark = pytest.mark.browser
CHEST = a_chest_png()
GREY = cv2.imdecode(np.frombuffer(CHEST, np.uint8), cv2.IMREAD_UNCHANGED)


def drag(page, start, end):
    """From one place of the canvas to another, in shares of its sides."""
    canvas = page.locator(".bx-canvas")
    canvas.scroll_into_view_if_needed()
    frame = canvas.bounding_box()
    for number, (x, y) in enumerate((start, end)):
        page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"], steps=3 * number + 1)
        (page.mouse.up if number else page.mouse.down)()


def one_film(page):
    """The film alone in the middle of the canvas, so that its places are known."""
    page.select_option("[data-set=layout]", "boxes")


def annotations(page):
    return json.loads(downloaded(page, "#download-reading"))["annotations"]


def test_upload_boxes_threshold_map_edit_download(page, served):
    open_chest(page)
    rows = page.locator("table.bx-findings tbody tr").all_inner_texts()
    asked, n_reads = len(page.asked), served.n_reads()
    set_threshold(page, 0.6)
    after_threshold = box_rows(page)
    page.click("[value=stored]")
    page.select_option("[data-set=layout]", "map")
    page.select_option("[data-set=finding]", "effusion")
    caption = page.inner_text(".bx-map-caption")
    asked_by_looking = page.asked[asked:]
    page.fill("[data-set=reader]", "Dr. A")
    page.click("[data-act=accept] >> nth=-2")
    page.click("tr:has-text('d2') [data-act=reject]")
    record = json.loads(downloaded(page, "#download-reading"))
    picture = cv2.imdecode(np.frombuffer(downloaded(page, "#download-overlay"), np.uint8), cv2.IMREAD_COLOR)

    assert len(rows) == 8
    assert "boxed (1)" in next(row for row in rows if "Effusion" in row or "Pleural effusion" in row)
    assert len(after_threshold) == 1
    assert asked_by_looking == []
    assert served.n_reads() >= n_reads
    assert "0.75" in caption
    assert "Full colour: raw map value 4" in caption
    assert [det["finding"] for det in record["detections"]] == ["effusion", "cardiomegaly"]
    assert [(each["action"], each["of"]["finding"], each["reader"]) for each in record["annotations"]] == [
        ("accepted", "effusion", "Dr. A"),
        ("rejected", "cardiomegaly", "Dr. A"),
    ]
    assert record["disclaimer"] == DISCLAIMER
    assert picture.shape[1] > 2 * 256
    assert page.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "es", "zh"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_whole_way_in_three_languages_on_a_desk_and_on_a_phone(served, browser, language, width):
    context = browser.new_context(
        viewport={"width": width, "height": 844}, locale=language, has_touch=width < 500, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(served.url)
    page.wait_for_selector(".bx-files", state="attached")
    words = words_in(language)

    open_chest(page)
    one_film(page)
    set_threshold(page, 0.6)
    n_shown = len(box_rows(page))
    page.select_option("[data-set=layout]", "swipe")
    one_film(page)
    page.click("[data-act=draw]")
    drag(page, (0.4, 0.4), (0.6, 0.6))
    (drawn,) = [each for each in annotations(page) if each["action"] == "drawn"]
    said = page.inner_text(".bx-room")
    saved = page.inner_text(".bx-saving")

    assert n_shown == 1
    assert drawn["finding"] == "effusion"
    assert words("table.boxed", n=1) in said
    assert saved == words["viewer.saved"]
    assert page.evaluate("document.documentElement.lang") == words.tag
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults == []
    assert unnamed_controls(page) == []
    assert faint_texts(page) == []
    context.close()


def test_the_pixels_in_the_browser_are_the_radiographs_16_bit_values(page):
    open_chest(page)

    there = page.evaluate("[...document.querySelector('.bx-room').parentElement.boxray.film.picture.pixels]")

    assert there == (GREY.astype(int) * 257).ravel().tolist()


ROOM = "document.querySelector('.bx-room').parentElement.boxray"


def hold_what_is_read(page, instead="each"):
    """What follows the film comes when a test calls `goOn`, changed if it likes."""
    page.evaluate(f"""() => {{
      const {{door}} = {ROOM}, parts = door.parts.bind(door);
      door.parts = async function* (...question) {{
        for await (const each of parts(...question)) {{
          if (!each.head.film) await new Promise((resolve) => {{ window.goOn = resolve; }});
          yield each.head.film ? each : {instead};
        }}
      }};
    }}""")


def test_the_film_is_seen_before_the_models_have_spoken_and_says_that_it_is_not_read_yet(page):
    hold_what_is_read(page)
    upload(page, "chest.png", CHEST)
    page.wait_for_selector("canvas[data-painted]")
    page.wait_for_function("window.goOn !== undefined")
    page.keyboard.press("+")
    for key in "bdah":  # nothing can be said of boxes yet
        page.keyboard.press(key)
    one_film(page)
    shade, captions = shade_at(page, 0.5, 0.2), page.inner_text(".bx-captions")
    controls = page.locator(".bx-marking button >> visible=true").count()
    tables, heard = page.locator(".bx-tables table").count(), page.get_attribute(".bx-canvas", "aria-label")
    page.evaluate("window.goOn()")
    page.wait_for_selector("table.bx-findings")

    assert shade[0] > 0
    assert "no boxes yet" in captions
    assert "no boxes yet" in heard
    assert (controls, tables) == (0, 0)
    assert "no boxes yet" not in page.inner_text(".bx-room")
    assert len(box_rows(page)) == 2
    assert state_of(page, "view.zoom") == pytest.approx(1.4)  # what hands have done stays
    assert state_of(page, "finding") == "effusion"
    assert annotations(page) == []
    assert page.faults == []


def test_a_film_of_which_the_models_then_fail_is_taken_away_and_the_reason_is_said(page):
    problem = "{head: {problem: {code: 'model.not_finite', detail: 'a score is no number', retry_after: null}}}"
    hold_what_is_read(page, problem)
    upload(page, "chest.png", CHEST)
    page.wait_for_selector("canvas[data-painted]")
    page.wait_for_function("window.goOn !== undefined")
    page.evaluate("window.goOn()")
    page.wait_for_selector(".bx-refusal")

    assert "model.not_finite" in page.inner_text(".bx-refusal")
    assert page.locator(".bx-canvas >> visible=true").count() == 0
    assert page.evaluate(f"{ROOM}.list.rows[0].picture") is None


def test_a_row_that_is_chosen_while_it_is_read_opens_when_it_is(page):
    hold_what_is_read(page)
    upload(page, "one.png", CHEST)
    page.wait_for_function("window.goOn !== undefined")
    page.click(".bx-row")
    page.evaluate("window.goOn()")
    page.wait_for_selector("table.bx-findings")

    assert "one.png" in page.inner_text(".bx-file")


def test_a_key_shows_the_film_as_it_is_and_invert_exchanges_its_shades(page):
    open_chest(page)
    page.select_option("[data-set=layout]", "map")
    under_map = shade_at(page, 0.5, 0.5)
    page.keyboard.press("o")
    alone = shade_at(page, 0.5, 0.5)
    page.keyboard.press("i")
    inverted = shade_at(page, 0.5, 0.5)

    assert len(set(alone)) == 1
    assert alone[0] == pytest.approx(GREY[118:138, 118:138].mean(), abs=12)
    assert len(set(under_map)) > 1
    assert inverted == [255 - shade for shade in alone]


def test_dragging_with_the_right_button_changes_the_window_and_r_brings_it_back(page):
    open_chest(page)
    one_film(page)
    frame = page.locator(".bx-canvas").bounding_box()
    page.mouse.move(frame["x"] + 200, frame["y"] + 100)
    page.mouse.down(button="right")
    page.mouse.move(frame["x"] + 300, frame["y"] + 150, steps=4)
    page.mouse.up(button="right")
    window = state_of(page, "window")
    page.keyboard.press("+")
    zoom = state_of(page, "view.zoom")
    page.keyboard.press("r")

    assert window["width"] == pytest.approx(1.2, abs=0.05)
    assert window["level"] == pytest.approx(0.6, abs=0.05)
    assert zoom == pytest.approx(1.4)
    assert state_of(page, "window") == {"level": 0.5, "width": 1}
    assert state_of(page, "view.zoom") == 1


def test_the_wheel_enlarges_and_dragging_moves_the_film(page):
    open_chest(page)
    one_film(page)
    page.locator(".bx-canvas").hover()
    page.mouse.wheel(0, -400)
    page.wait_for_function("document.querySelector('.bx-room').parentElement.boxray.film.state.view.zoom > 2")
    before = state_of(page, "view.x")
    drag(page, (0.5, 0.5), (0.4, 0.5))

    assert state_of(page, "view.x") > before


def test_two_fingers_enlarge_the_film_and_one_moves_it(served, browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(served.url)
    page.wait_for_selector(".bx-files", state="attached")
    open_chest(page)
    page.locator(".bx-canvas").scroll_into_view_if_needed()
    frame = page.locator(".bx-canvas").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    fingers = context.new_cdp_session(page)

    def touch(what, *places):
        points = [{"x": x + right, "y": y + down, "id": number} for number, (right, down) in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": points})

    touch("touchStart", (-30, 0))
    touch("touchStart", (-30, 0), (30, 0))
    for apart in (40, 50, 60, 75, 90):
        touch("touchMove", (-apart, 0), (apart, 0))
    touch("touchEnd")
    zoom, middle = state_of(page, "view.zoom"), state_of(page, "view.x")
    touch("touchStart", (0, 0))
    for moved in (10, 20, 30, 40):
        touch("touchMove", (moved, 0))
    touch("touchEnd")

    assert zoom == pytest.approx(3, rel=0.1)
    assert state_of(page, "view.x") < middle
    context.close()


def test_boxes_are_hidden_until_asked_for_where_somebody_reads_first(page):
    page.set_viewport_size({"width": 1400, "height": 900})
    page.evaluate("document.querySelector('.bx-room').parentElement.boxray.setReadFirst(true)")
    upload(page, "chest.png", CHEST)
    page.wait_for_selector(".bx-reveal button >> visible=true")
    said = page.inner_text(".bx-room")
    leading = page.locator("[data-set=finding] >> visible=true").count()
    page.keyboard.press("h")
    page.wait_for_selector("table.bx-findings")

    assert "0.83" not in said
    assert "Effusion" not in said
    assert leading == 0
    assert len(box_rows(page)) == 2


def test_the_boxes_of_one_finding_can_be_hidden(page):
    open_chest(page)

    page.uncheck("[data-shown=effusion]")

    (row,) = box_rows(page)
    assert "Cardiomegal" in row


def test_a_reader_draws_moves_relabels_and_deletes_by_keys_alone(page):
    open_chest(page)
    page.focus(".bx-canvas")
    page.keyboard.press("Shift+D")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.select_option("[data-relabel]", "edema")
    (drawn,) = annotations(page)
    page.focus(".bx-canvas")
    page.keyboard.press("Delete")

    assert drawn["finding"] == "edema"
    assert drawn["of"] is None
    assert drawn["box_xyxy"] == pytest.approx([97.3, 96, 161.3, 161.3], abs=0.1)
    assert annotations(page) == []


def tab_to(page, selector, most=60):
    """Press the tabulator until the element has the focus, as somebody does who has no mouse."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"{most} steps do not lead to {selector}")


def test_a_film_is_opened_read_and_judged_without_a_mouse(page):
    tab_to(page, "#example-0")
    page.keyboard.press("Enter")
    page.wait_for_selector("table.bx-findings")
    tab_to(page, "[data-set=layout]")
    tab_to(page, ".bx-canvas")
    page.keyboard.press("b")
    page.keyboard.press("a")
    tab_to(page, "#threshold")
    page.keyboard.press("End")
    n_shown = len(box_rows(page))
    tab_to(page, "#download-reading")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.bx-saving').textContent")

    assert n_shown == 0
    page.click("[value=stored]")
    (judged,) = annotations(page)
    assert (judged["action"], judged["of"]["finding"]) == ("accepted", "effusion")


def test_a_changed_box_stands_beside_the_models_which_stays_as_it_was(page):
    open_chest(page)
    page.focus(".bx-canvas")
    page.keyboard.press("b")
    page.keyboard.press("e")
    page.keyboard.press("ArrowLeft")
    record = json.loads(downloaded(page, "#download-reading"))

    (changed,) = record["annotations"]
    assert changed["of"]["box_xyxy"] == record["detections"][0]["box_xyxy"] == [30.0, 150.0, 100.0, 210.0]
    assert changed["box_xyxy"] == [28.7, 150.0, 98.7, 210.0]
    assert [row.split()[0] for row in box_rows(page)] == ["d1", "d2", "r1"]


def test_one_bad_file_stops_nothing_and_says_why_in_words(page):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("in/one.png", "in/two.png"):
            archive.writestr(name, CHEST)
    brought = {
        "letter.txt": b"Dear colleague",
        "films.zip": packed.getvalue(),
        "unsafe.zip": b"PK\x03\x04",
        "a.png": CHEST,
    }
    bring(page, brought)
    wait_until_done(page, 5)
    rows = page.locator(".bx-rows li").all_inner_texts()
    page.click(".bx-row:has-text('letter.txt')")
    refusal = page.inner_text(".bx-refusal")
    page.keyboard.press("p")
    page.wait_for_selector("table.bx-findings")
    table = list(csv.DictReader(io.StringIO(downloaded(page, "#download-table").decode("utf-8-sig"))))

    assert [row.split("\n")[0] for row in rows] == [
        "in/one.png",
        "in/two.png",
        "a.png",
        "letter.txt",
        "unsafe.zip",
    ] or (sorted(row.split("\n")[0] for row in rows[:3]) == ["a.png", "in/one.png", "in/two.png"])
    assert "neither a DICOM file nor a PNG or JPEG" in rows[-2] + rows[-1]
    assert "input.not_supported" in refusal
    assert "neither present nor absent" in refusal
    assert {row["file"] for row in table} == {"in/one.png", "in/two.png", "a.png", "letter.txt"}


def test_a_refused_file_has_no_table_and_its_reading_can_be_saved(page):
    open_chest(page)

    upload(page, "letter.txt", b"Dear colleague, this is a letter.")
    page.wait_for_selector(".bx-refusal")

    assert page.locator(".bx-result >> visible=true").count() == 0
    record = json.loads(downloaded(page, "#download-reading"))
    assert (record["status"], record["code"]) == ("REFUSED", "input.not_supported")


def test_an_example_is_read_like_an_upload_and_its_hostile_name_does_nothing(page):
    page.click("#example-0")
    page.wait_for_selector("table.bx-findings")

    assert "${document.title=1}<b>{{7*7}}.png" in page.inner_text(".bx-file")
    assert page.title() == "boxray"


def test_of_an_upload_nothing_is_ever_on_the_disk_and_no_name_in_the_log(page, served):
    open_chest(page)

    left = [path for path in served.uploads.rglob("*") if path.is_file() and path.stat().st_size >= len(CHEST)]

    assert left == []
    assert "chest.png" not in served.log.read_text()


def test_a_file_that_the_server_let_go_is_sent_again(page):
    open_chest(page)
    page.evaluate("""() => {
      const room = document.querySelector('.bx-room').parentElement.boxray;
      room.row.picture = null;
      return room.door.ask('DELETE', `cases/${room.row.id}`);
    }""")

    page.click(".bx-row")
    page.wait_for_function("document.querySelector('.bx-room').parentElement.boxray.row.picture !== null")

    assert page.locator(".bx-refusal").count() == 0
    assert json.loads(downloaded(page, "#download-reading"))["status"] == "RESULT"


def answered(page, answer):
    """Answers all questions that the browser asks from now on; what they were."""
    asked = []

    def reply(dialog):
        asked.append((dialog.type, dialog.message))
        getattr(dialog, answer)()

    page.on("dialog", reply)
    return asked


def reload(page):
    """As a key or the button of the browser does; nobody waits, as somebody may stay."""
    page.evaluate("setTimeout(() => location.reload())")


def test_films_and_what_was_said_of_them_do_not_go_with_a_reload_that_nobody_confirmed(page):
    open_chest(page)
    page.click("tr:has-text('d2') [data-act=reject]")
    asked = answered(page, "dismiss")

    reload(page)
    page.wait_for_timeout(1000)

    assert [kind for kind, _ in asked] == ["beforeunload"]
    assert page.locator(".bx-rows li").count() == 1
    assert [each["action"] for each in annotations(page)] == ["rejected"]


def test_another_language_asks_before_it_takes_films_away_and_no_is_no(page):
    open_chest(page)
    asked = answered(page, "dismiss")

    page.click("[data-language=es]")

    assert asked == [("confirm", words_in("en")("viewer.leave", n=1))]
    assert page.locator(".bx-rows li").count() == 1
    assert page.get_attribute("[data-language=en]", "aria-pressed") == "true"
    assert "boxray_language=en" in page.evaluate("document.cookie")


def test_another_language_that_was_confirmed_comes_without_a_second_question(page):
    open_chest(page)
    asked = answered(page, "accept")

    page.click("[data-language=es]")
    page.wait_for_selector("[data-language=es][aria-pressed=true]")

    assert [kind for kind, _ in asked] == ["confirm"]


def test_a_page_without_films_is_left_without_a_question(page):
    asked = answered(page, "accept")
    upload(page, "letter.txt", b"Dear colleague")
    wait_until_done(page, 1)
    page.click(".bx-row")

    page.click("[data-language=es]")
    page.wait_for_selector("[data-language=es][aria-pressed=true]")

    assert asked == []


def test_every_control_has_a_name_every_text_stands_out_and_ids_are_single(page):
    open_chest(page)
    page.keyboard.press("?")

    assert unnamed_controls(page) == []
    assert faint_texts(page) == []
    ids = page.evaluate("[...document.querySelectorAll('.bx-room [id]')].map((each) => each.id)")
    assert len(set(ids)) == len(ids)
    assert page.get_attribute(".bx-canvas", "aria-label").count("0.83") == 1


def unnamed_controls(page) -> list[str]:
    """Buttons, fields and lists that say nothing to somebody who hears the page."""
    return page.evaluate("""() => [...document.querySelectorAll('.bx-room :is(button, input, select, canvas)')]
      .filter((each) => each.type !== 'file')
      .filter((each) => !(each.getAttribute('aria-label') || each.labels?.[0]?.textContent || each.textContent).trim())
      .map((each) => each.outerHTML.slice(0, 120))""")


def faint_texts(page) -> list[str]:
    """Texts whose contrast with their ground is below 4.5 to 1 (WCAG 2.2, 1.4.3); what is switched off is exempt."""
    return page.evaluate("""() => {
      const luminance = ([r, g, b]) => [r, g, b].map((each) => each / 255)
        .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
        .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
      const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const ground = (element) => {
        for (let each = element; each; each = each.parentElement) {
          const [r, g, b, a = 1] = numbers(getComputedStyle(each).backgroundColor);
          if (a > 0.8) return [r, g, b];
        }
        return [17, 17, 17];
      };
      const faint = [];
      for (const element of document.querySelectorAll('.bx-room *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest(':disabled')) continue;
        const [one, other] = [luminance(numbers(getComputedStyle(element).color)), luminance(ground(element))];
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (ratio < 4.5) faint.push(`${ratio.toFixed(1)} ${element.outerHTML.slice(0, 100)}`);
      }
      return faint;
    }""")
