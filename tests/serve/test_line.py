import threading
import time

import pytest

from boxray.core.errors import ModelError
from boxray.serve.line import Line


def a_line(threads=1, places=2, n_bytes=100):
    return Line(threads=threads, places=places, n_bytes=n_bytes)


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


def blocked(line, gate):
    """Somebody is at work and will not end before the gate opens."""
    begun = threading.Event()

    def work(_):
        begun.set()
        gate.wait(30)

    future = line.join(work, 0)
    assert begun.wait(30)
    return future


def test_work_is_done_in_the_order_in_which_it_came(gate):
    line, done = a_line(places=5), []
    blocked(line, gate)
    futures = [line.join(lambda _, number=number: done.append(number), 0) for number in range(5)]

    gate.set()
    for future in futures:
        future.result(30)

    assert done == [0, 1, 2, 3, 4]


def test_what_work_raises_comes_out_of_its_future_and_the_next_is_done():
    line = a_line(places=5)

    def broken(_):
        raise RuntimeError("torn")

    first, second = line.join(broken, 0), line.join(lambda _: "whole", 0)

    with pytest.raises(RuntimeError, match="torn"):
        first.result(30)
    assert second.result(30) == "whole"


def test_neither_places_nor_bytes_are_exceeded(gate):
    line = a_line(places=2, n_bytes=100)
    blocked(line, gate)
    line.join(lambda _: None, 60)

    with pytest.raises(ModelError, match="1 radiographs are waiting"):
        line.join(lambda _: None, 41)
    line.join(lambda _: None, 40)
    with pytest.raises(ModelError, match="2 radiographs are waiting") as refusal:
        line.require_room()

    assert refusal.value.code.name == "service.busy"


def test_a_single_large_piece_joins_an_empty_line():
    assert a_line(n_bytes=1).join(lambda _: "read", 10).result(30) == "read"


def test_the_place_of_somebody_who_has_gone_is_free_at_once(gate):
    line, done = a_line(places=1), []
    blocked(line, gate)
    gone = line.join(done.append, 0)
    assert line.n_waiting == 1

    gone.cancel()
    assert line.n_waiting == 0
    stays = line.join(lambda _: "read", 0)
    gate.set()

    assert stays.result(30) == "read"
    assert done == []


def test_work_that_has_begun_can_ask_whether_it_is_still_wanted(gate):
    begun, wanted = threading.Event(), []

    def work(future):
        begun.set()
        gate.wait(30)
        wanted.append(future.set_running_or_notify_cancel())

    line = a_line()
    future = line.join(work, 0)
    assert begun.wait(30)
    assert future.cancel()
    gate.set()

    assert line.wait_until_empty(30)
    assert wanted == [False]


def test_a_closed_line_takes_nothing_and_does_what_waits(gate):
    line = a_line()
    blocked(line, gate)
    waits = line.join(lambda _: "read", 0)

    line.close()
    with pytest.raises(ModelError) as refusal:
        line.join(lambda _: None, 0)
    assert not line.wait_until_empty(0.01)
    gate.set()

    assert refusal.value.code.name == "service.draining"
    assert waits.result(30) == "read"
    assert line.wait_until_empty(30)


def test_no_thread_stays_when_there_is_no_work():
    line = a_line(threads=3, places=9)
    for _ in range(9):
        line.join(lambda _: time.sleep(0.001), 0)

    assert line.wait_until_empty(30)
    assert line.n_at_work == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "boxray-line" and thread.is_alive()] or (
        time.sleep(0.2) is None
    )


def test_a_machine_without_threads_is_busy_and_keeps_nothing(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    line = a_line()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ModelError) as refusal:
        line.join(lambda _: None, 0)

    assert refusal.value.code.name == "service.busy"
    assert line.n_waiting == 0


def test_the_advice_is_a_number_of_seconds_that_one_can_wait(gate):
    line = a_line(places=1000)
    blocked(line, gate)
    alone = line.advice_s
    for _ in range(1000):
        line.join(lambda _: None, 0)

    assert alone == 1
    assert line.advice_s == 60
