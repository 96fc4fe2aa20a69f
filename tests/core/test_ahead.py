"""Working ahead: the same as `map`, but for who does it and when."""

import threading
import time
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.ahead import in_order


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4), st.integers(1, 9))
@settings(max_examples=30)
def test_it_gives_what_map_gives(items, threads, ahead):
    assert list(in_order(str, items, threads=threads, ahead=ahead)) == list(map(str, items))


def test_results_keep_the_order_even_if_the_first_is_the_slowest():
    def work(number):
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert list(in_order(work, range(8), threads=4)) == list(range(8))


def test_two_threads_work_at_once():
    both = threading.Barrier(2, timeout=20)  # broken unless two come

    assert len(list(in_order(lambda _: both.wait(), range(4), threads=2))) == 4


def test_never_more_are_taken_ahead_than_allowed():
    taken, given_back = [], []

    def items():
        for number in range(50):
            taken.append(number)
            assert len(taken) - len(given_back) <= 5
            yield number

    given_back.extend(in_order(lambda number: number, items(), threads=2, ahead=5))

    assert given_back == taken == list(range(50))


def test_of_endless_items_one_may_take_some_and_leave():
    before = threading.active_count()

    some = in_order(lambda number: number * 2, count(), threads=3)

    assert list(islice(some, 4)) == [0, 2, 4, 6]
    some.close()
    assert threading.active_count() == before


def test_an_error_comes_out_at_its_place_and_what_lies_behind_is_not_begun():
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise LookupError("the third")
        return number

    results = in_order(work, range(1000), threads=2, ahead=4)

    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="the third"):
        next(results)
    assert len(begun) <= 3 + 4 + 1


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"threads": 2, "ahead": 0}])
def test_less_than_one_thread_or_item_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match="at least 1 thread and 1 item"):
        in_order(str, [1], **wrong)
