"""Several decoding children: as many as are needed at once, and gone afterwards."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from boxray.core.errors import InputError
from boxray.imaging.child import decoding_child
from boxray.imaging.children import DecodingChildren, _children_of, decoding_children
from boxray.imaging.read import decode, read_radiograph
from making import write_chest


@pytest.fixture
def chest_bytes(tmp_path):
    return write_chest(tmp_path / "a.png").read_bytes()


def test_who_asks_one_after_the_other_is_served_by_the_programs_own_child(chest_bytes):
    with DecodingChildren(3) as children:
        for _ in range(3):
            children.decode(chest_bytes)

        assert [child.pid for child in children._own] == [None, None]
    assert decoding_child().pid is not None  # it outlives the block


def test_threads_are_served_at_once_and_the_further_children_end_with_the_block(chest_bytes):
    expected = decode(chest_bytes).pixels

    with DecodingChildren(2) as children, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: read_radiograph(chest_bytes, children=children), range(8)))
        further = [child.pid for child in children._own]

    assert all(np.array_equal(rad.pixels, expected) for rad in found)
    assert further != [None]
    assert [child.pid for child in children._own] == [None]


def test_a_child_that_refused_a_file_serves_the_next(chest_bytes):
    with DecodingChildren(1) as children:
        with pytest.raises(InputError):
            children.decode(b"no picture at all")

        assert children.decode(chest_bytes).size_wh == (256, 256)


def test_a_machine_of_many_cores_does_not_start_a_child_for_each():
    assert len(DecodingChildren(500)._own) == 7
    assert DecodingChildren(500).most == 8


def test_the_programs_own_children_are_one_for_each_core_and_made_once(monkeypatch):
    monkeypatch.setattr("boxray.imaging.children.cores", lambda: 3)
    _children_of.cache_clear()

    first = decoding_children()

    assert first.most == 3
    assert decoding_children() is first
    _children_of.cache_clear()


def test_no_child_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1 child, got 0"):
        DecodingChildren(0)
