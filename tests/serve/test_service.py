import logging
import threading
import time

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.findings import Finding, LabelSpace
from boxray.core.protocols import Classified, FixedClassifier, FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection, ModelIdentity, SaliencyMap
from boxray.localization.reader import Reader
from boxray.serve.service import Service

KEYS = ("edema", "effusion", "nodule")
SPACE = LabelSpace("three", tuple(Finding(key, key.capitalize(), "it", "#EE6677") for key in KEYS))
RAD = Radiograph(np.linspace(0, 1, 40 * 50, dtype=np.float32).reshape(40, 50))
CANARY = "ZZCANARY^PHI"


class CountingDetector:
    """Says the same of every radiograph, counts how often, and notes when two ask at once."""

    label_space = SPACE
    assessed = ("effusion", "nodule")
    identity = ModelIdentity("counting", "1", "0" * 64, {"effusion": 0.5})

    def __init__(self, pause_s: float = 0.0) -> None:
        self.n_runs = 0
        self.n_inside = 0
        self.most_inside = 0
        self._pause_s = pause_s

    def detect(self, rad, min_score=None):
        self.n_runs += 1
        self.n_inside += 1
        self.most_inside = max(self.most_inside, self.n_inside)
        time.sleep(self._pause_s)
        self.n_inside -= 1
        found = (
            Detection("effusion", 0.8, Box(0, 0, 10, 10)),
            Detection("effusion", 0.2, Box(20, 20, 50, 40)),
            Detection("nodule", 0.1, Box(5, 5, 9, 9)),
        )
        return tuple(det for det in found if det.score >= (min_score or 0))


class CornerClassifier:
    """Its map lies in the lower right corner."""

    label_space = SPACE
    assessed = KEYS
    identity = ModelIdentity("corner", "1", "0" * 64, {"effusion": 0.5})

    def classify(self, rad):
        values = np.zeros(rad.pixels.shape, dtype=np.float32)
        values[20:, 20:] = 1
        return Classified(dict.fromkeys(KEYS, 0.9), tuple(SaliencyMap(key, values) for key in KEYS))


def a_service(detector=None, decode=lambda data: RAD) -> Service:
    return Service(Reader(detector or CountingDetector(), CornerClassifier()), decode=decode)


def test_an_answer_holds_the_radiograph_and_its_reading():
    answer = a_service().read(b"bytes", "a.png", 0.15)

    assert answer.radiograph is RAD
    assert answer.reading.file == "a.png"
    assert [det.score for det in answer.reading.detections] == [0.8, 0.2]


def test_text_is_refused_by_the_real_decoder():
    service = Service(Reader(CountingDetector(), CornerClassifier()))

    answer = service.read(b"this is a letter and no radiograph", "letter.txt")

    assert answer.radiograph is None
    assert (answer.reading.status, answer.reading.code) == (Outcome.REFUSED, "input.not_supported")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (InputError("image.colour", "coloured"), Outcome.REFUSED, "image.colour"),
        (ModelError("not a number", "model.not_finite"), Outcome.FAILED, "model.not_finite"),
        (RuntimeError(CANARY), Outcome.FAILED, "internal.error"),
        (MemoryError(), Outcome.FAILED, "service.out_of_memory"),
    ],
)
def test_whatever_goes_wrong_becomes_a_reading_with_a_code(fault, status, code):
    def decode(data):
        raise fault

    reading = a_service(decode=decode).read(b"bytes", "a.png").reading

    assert (reading.status, reading.code) == (status, code)
    assert reading.reason
    assert CANARY not in reading.reason
    assert reading.detections == ()


def test_the_log_knows_neither_name_nor_what_a_foreign_error_quotes(caplog):
    def decode(data):
        raise RuntimeError(f"cannot parse {CANARY}")

    with caplog.at_level(logging.DEBUG):
        a_service(decode=decode).read(CANARY.encode(), f"{CANARY}.dcm\nforged line")

    assert CANARY not in caplog.text
    assert "forged line" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_the_log_calls_the_same_bytes_by_the_same_opaque_id_in_one_process_only():
    here, there = a_service(), a_service()

    assert here.opaque_id(b"bytes") == here.opaque_id(b"bytes")
    assert here.opaque_id(b"bytes") != here.opaque_id(b"other")
    assert here.opaque_id(b"bytes") != there.opaque_id(b"bytes")


def test_somebody_is_told_of_a_radiograph_once_it_may_be_read_and_before_the_models_see_it():
    detector, told = CountingDetector(), []
    service = a_service(detector)

    answer = service.submit(b"bytes", "a.png", admitted=lambda rad: told.append((rad, detector.n_runs))).result(30)

    assert told == [(RAD, 0)]
    assert answer.reading.status is Outcome.RESULT


def test_nobody_is_told_of_a_radiograph_that_the_scope_gate_refuses():
    class NothingPasses:
        def require(self, rad):
            raise InputError("scope.not_chest", "a hand")

    told = []
    service = Service(Reader(CountingDetector(), None, gate=NothingPasses()), decode=lambda data: RAD)

    answer = service.submit(b"bytes", "a.png", admitted=told.append).result(30)

    assert (answer.reading.status, answer.reading.code) == (Outcome.REFUSED, "scope.not_chest")
    assert told == []


@pytest.mark.parametrize(
    "reader", [Reader(FixedDetector(SPACE, assessed=KEYS), None), Reader(None, FixedClassifier(SPACE, {"edema": 0.3}))]
)
def test_either_model_may_be_missing(reader):
    service = Service(reader, decode=lambda data: RAD)

    answer = service.read(b"bytes", "a.png", 0.05)

    assert answer.reading.status is Outcome.RESULT
    assert len(answer.reading.models) == 1


def test_the_models_work_on_one_radiograph_at_a_time():
    detector = CountingDetector(pause_s=0.02)
    service = a_service(detector)
    threads = [threading.Thread(target=service.read, args=(b"bytes", "a.png")) for _ in range(6)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert detector.n_runs == 6
    assert detector.most_inside == 1


def test_who_comes_alone_has_the_reader_for_one_and_those_who_wait_have_the_reader_for_many():
    for_one, for_many = CountingDetector(), CountingDetector(pause_s=0.02)
    many = Reader(for_many, CornerClassifier(), lanes=2)
    service = Service(Reader(for_one, CornerClassifier()), rush=many, decode=lambda data: RAD)

    service.read(b"bytes", "a.png")
    assert service.wait_until_idle(30)
    assert (for_one.n_runs, for_many.n_runs) == (1, 0)
    futures = [service.submit(b"bytes", "a.png") for _ in range(8)]
    answers = [future.result(30) for future in futures]

    assert [answer.reading.status for answer in answers] == [Outcome.RESULT] * 8
    assert for_many.n_runs >= 6  # the last may be alone again
    assert for_many.most_inside == 2
    assert for_one.n_runs + for_many.n_runs == 9
