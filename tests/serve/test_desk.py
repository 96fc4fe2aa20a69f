import csv
import io
import json
import threading
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import InputError, Outcome
from boxray.core.reading import Detection, ModelIdentity, Reading
from boxray.localization.reader import Reader
from boxray.serve.desk import Desk, at_threshold, suspicion
from boxray.serve.packing import unpacked_pixels
from boxray.serve.problems import Problem
from boxray.serve.service import Service
from serve.reading_room import KEYS, a_chest_png, fixed_reader

CHEST = a_chest_png()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    example = tmp_path_factory.mktemp("examples") / "example.png"
    example.write_bytes(CHEST)
    return Desk(Service(fixed_reader()), [example])


def a_case(desk, data=CHEST, name="chest.png"):
    (taken,) = desk.take("own", name, data)
    return desk.case(taken["id"])


def a_read_case(desk, data=CHEST):
    case = a_case(desk, data)
    desk.keep(case, desk.submit(case).result(60))
    return case


def saved_reading(desk, case, min_score=None):
    return json.loads(desk.file(case, "reading", min_score, None).data)


def a_zip(*members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def test_a_file_lies_on_the_desk_as_it_came(desk):
    case = a_case(desk)

    assert (case.name, case.data, case.seen) == ("chest.png", CHEST, None)


def test_every_file_of_a_zip_file_becomes_a_case_of_its_own_but_what_a_system_put_beside_them(desk):
    packed = a_zip(
        ("one.png", CHEST),
        ("folder/two.txt", b"2"),
        ("__MACOSX/._one.png", b"x"),
        (".DS_Store", b"x"),
        ("folder/Thumbs.db", b"x"),
    )

    taken = desk.take("own", "films.zip", packed)

    assert [each["name"] for each in taken] == ["one.png", "folder/two.txt"]
    assert desk.case(taken[0]["id"]).data == CHEST


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(a_zip(("../../etc/passwd", b"x")), id="leads_out"),
        pytest.param(a_zip(("/etc/passwd", b"x")), id="absolute"),
        pytest.param(a_zip(("bomb", bytes(2**24))), id="bomb"),
        pytest.param(a_zip(*((str(number), b"") for number in range(2001))), id="too_many"),
        pytest.param(b"PK\x03\x04 and nothing more", id="damaged"),
    ],
)
def test_an_archive_that_is_not_to_be_trusted_is_refused_and_nothing_of_it_is_taken(desk, packed):
    n_cases = len(desk.cases)

    with pytest.raises(Problem) as refused:
        desk.take("own", "films.zip", packed)

    assert (refused.value.code, refused.value.status) == ("archive.unsafe", 422)
    assert len(desk.cases) == n_cases


def test_a_link_in_an_archive_refuses_it(desk):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(Problem, match="is a link"):
        desk.take("own", "films.zip", file.getvalue())


def test_an_example_is_taken_like_a_file_and_there_are_no_others(desk):
    (taken,) = desk.take_example("own", 0)

    assert taken["name"] == "example.png"
    for number in (-1, 1):
        with pytest.raises(Problem, match="nothing here"):
            desk.take_example("own", number)


def test_what_the_browser_draws_has_every_value_of_the_radiograph(desk):
    case = a_read_case(desk)
    grey = cv2.imdecode(np.frombuffer(CHEST, np.uint8), cv2.IMREAD_UNCHANGED)

    pixels = unpacked_pixels(case.shown.pixels)

    assert (np.round(pixels * 255) == grey).all()
    assert case.shown.map_findings == tuple(key for key in KEYS if key != "covid")
    assert case.shown.full == 4.0


def test_the_film_of_a_case_that_is_opened_is_there_before_the_models_have_spoken():
    class Waits(Reader):
        """Its models wait until somebody has seen the film."""

        def _read(self, *question):
            assert seen.wait(30)
            return super()._read(*question)

    seen, fixed = threading.Event(), fixed_reader()
    desk = Desk(Service(Waits(fixed.detector, fixed.classifier)))
    case = a_case(desk)

    opening = desk.open(case)
    film, was_answered = opening.film.result(30), opening.answer.done()
    seen.set()
    desk.keep(case, opening.answer.result(30), film)

    assert not was_answered
    assert unpacked_pixels(film).shape == (256, 256)
    assert case.shown.pixels is film


@pytest.mark.parametrize("refused", [b"Dear colleague", CHEST])
def test_what_is_refused_has_no_film_to_open(refused):
    class NothingPasses:
        def require(self, rad):
            raise InputError("scope.not_chest", "a hand")

    desk = Desk(Service(replace(fixed_reader(), gate=NothingPasses())))

    opening = desk.open(a_case(desk, refused))

    assert opening.film.result(30) is None
    assert opening.answer.result(30).reading.status is Outcome.REFUSED


def test_who_leaves_before_a_case_is_opened_takes_it_out_of_the_line():
    begun, begin = threading.Semaphore(0), threading.Event()

    def decode(data):
        begun.release()
        begin.wait(30)
        raise InputError("image.colour", "coloured")

    desk = Desk(Service(fixed_reader(), decode=decode))
    for _ in range(2):  # both threads are busy
        desk.open(a_case(desk))
        begun.acquire()

    opening = desk.open(a_case(desk))
    opening.film.cancel()
    n_waiting = desk.service.gauges["boxray_waiting"]
    begin.set()

    assert opening.answer.cancelled()
    assert n_waiting == 0


def test_a_case_says_all_that_the_page_needs_to_move_the_threshold_alone(desk):
    said = desk.said(a_read_case(desk))

    assert [det["finding"] for det in said["reading"]["detections"]] == ["effusion", "cardiomegaly"]
    assert said["scores"] == [0.83, 0.41]
    assert [row["case"] for row in said["by_boxes"]["effusion"]] == ["map_only", "both"]
    assert [row["case"] for row in said["by_boxes"]["cardiomegaly"]] == ["neither", "box_only"]
    assert said["leading"] == "effusion"
    json.dumps(said)


def test_a_case_that_was_not_read_says_nothing(desk):
    with pytest.raises(Problem) as refused:
        desk.said(a_case(desk))

    assert refused.value.code == "request.not_ready"


def test_a_refused_file_has_its_code_and_nothing_is_drawn_of_it(desk):
    case = a_read_case(desk, b"Dear colleague")

    said = desk.said(case)

    assert (said["reading"]["status"], said["reading"]["code"]) == ("REFUSED", "input.not_supported")
    assert said["suspicion"] is None
    with pytest.raises(Problem, match="DICOM"):
        desk.shown(case)


def test_a_picture_that_was_let_go_is_made_again(desk):
    case = a_read_case(desk)
    pixels, case.shown = case.shown.pixels, None

    assert desk.shown(case).pixels == pixels


def test_what_a_reader_said_stands_beside_the_boxes_in_what_is_saved(desk):
    case = a_read_case(desk)
    edit = {"action": "rejected", "finding": "effusion", "box_xyxy": [30, 150, 100, 210], "reader": "Dr. A", "of": 0}
    desk.annotate(case, [edit | {"at": "2026-11-21T10:00:00Z"}])

    saved = saved_reading(desk, case)

    assert len(saved["detections"]) == 2  # the model's boxes stay
    (annotation,) = saved["annotations"]
    assert (annotation["action"], annotation["reader"]) == ("rejected", "Dr. A")
    assert annotation["of"] == {key: saved["detections"][0][key] for key in ("finding", "score", "box_xyxy")}


def test_what_is_no_annotation_is_refused_and_what_was_said_before_stays(desk):
    case = a_read_case(desk)
    edit = {"action": "drawn", "finding": "edema", "box_xyxy": [1, 2, 3, 4], "reader": "A", "of": None}
    desk.annotate(case, [edit | {"at": "2026-11-21T10:00:00Z"}])

    with pytest.raises(Problem) as refused:
        desk.annotate(case, [{"action": "drawn"}])

    assert refused.value.code == "request.malformed"
    assert len(case.edits) == 1


def test_a_file_that_was_refused_cannot_be_annotated(desk):
    with pytest.raises(Problem, match="was read"):
        desk.annotate(a_read_case(desk, b"letter"), [])


def test_a_refused_file_can_be_saved_as_the_reading_that_says_why(desk):
    saved = saved_reading(desk, a_read_case(desk, b"letter"))

    assert saved["code"] == "input.not_supported"
    assert "annotations" not in saved


def test_a_saved_reading_has_the_boxes_of_the_threshold_that_was_seen(desk):
    case = a_read_case(desk)

    counts = [len(saved_reading(desk, case, least)["detections"]) for least in (None, 0.01, 0.5, 0.9)]

    assert counts == [2, 2, 1, 0]


def test_a_service_that_takes_nothing_new_says_so_and_calls_it_no_refusal_of_the_file():
    desk = Desk(Service(fixed_reader()))
    case = a_case(desk)
    desk.service.drain()

    with pytest.raises(Problem) as refused:
        desk.answer(case, None)

    assert (refused.value.code, refused.value.status) == ("service.draining", 503)
    assert refused.value.headers["retry-after"]


@pytest.mark.parametrize("min_score", [None, 0.01, 0.5, 0.9])
def test_what_was_read_once_says_at_every_threshold_what_a_reading_at_it_says(desk, min_score):
    case = a_read_case(desk)
    here = at_threshold(case.seen, min_score)

    there = desk.service.read(CHEST, "chest.png", min_score).reading
    assert here.to_json()["detections"] == there.to_json()["detections"]
    assert [(row.finding, row.case) for row in here.agreement] == [(row.finding, row.case) for row in there.agreement]
    measures = [(row.iou or 0, row.energy_inside or 0) for row in here.agreement]
    assert measures == [pytest.approx((row.iou or 0, row.energy_inside or 0), abs=1e-4) for row in there.agreement]


def test_a_table_has_all_cases_that_were_read_and_leaves_out_what_is_gone(desk):
    ids = [
        desk.take("own", name, data)[0]["id"] for name, data in (("a.png", CHEST), ("letter", b"x"), ("c.png", CHEST))
    ]
    for case_id in ids[:2]:
        case = desk.case(case_id)
        desk.keep(case, desk.submit(case).result(60))

    table = desk.table([*ids, "gone"], None).data.decode("utf-8-sig")

    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["file"] for row in rows] == ["a.png"] * 8 + ["letter"]
    assert rows[-1]["code"] == "input.not_supported"


def test_the_map_of_a_finding_is_a_picture_and_what_a_case_has_not_is_not_found(desk):
    case = a_read_case(desk)

    assert desk.file(case, "map", None, "edema").name == "boxray-map-edema.png"
    assert "report" not in desk.said(case)["kinds"]
    for kind, finding in (("map", "covid"), ("report", None)):  # no map of it, no DICOM file
        with pytest.raises(Problem) as refused:
            desk.file(case, kind, None, finding)
        assert refused.value.code == "request.not_found"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, 0.0),  # read, and no box at all
        ({"effusion": 0.83}, 0.83),  # no threshold stored: the score itself
        ({"cardiomegaly": 0.6}, 2.0),  # twice its threshold of 0.3
        ({"effusion": 0.83, "cardiomegaly": 0.15}, 0.83),
    ],
)
def test_the_worklist_begins_with_the_highest_score_over_its_threshold(scores, expected):
    model = ModelIdentity("fixed", "1", "0" * 64, {"cardiomegaly": 0.3})
    boxes = tuple(Detection(key, score, Box(0, 0, 1, 1)) for key, score in scores.items())

    reading = Reading("a", Outcome.RESULT, size_wh=(9, 9), detections=boxes, models={"detector": model})

    assert suspicion(reading) == pytest.approx(expected)


def test_where_only_a_classifier_speaks_its_scores_give_the_order():
    model = ModelIdentity("fixed", "1", "0" * 64, {"edema": 0.2})

    reading = Reading(
        "a", Outcome.RESULT, size_wh=(9, 9), scores={"edema": 0.5, "covid": 0.6}, models={"classifier": model}
    )

    assert suspicion(reading) == pytest.approx(2.5)
