import json

import cv2
import numpy as np
import pytest

from boxray.core.reading import DISCLAIMER
from serve.reading_room import a_chest_png, box_rows, downloaded, open_chest, upload, wait_for_boxes

# All of it in a browser: what a control does is what somebody sees who touches it.


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
