import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from boxray.core.reading import SaliencyMap
from boxray.serve.packing import packed_maps, packed_pixels, unpacked_pixels


@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 65535)))
def test_every_value_of_a_16_bit_film_comes_back(grey):
    pixels = (grey / np.float32(65535)).astype(np.float32)

    back = unpacked_pixels(packed_pixels(pixels), (grey.shape[1], grey.shape[0]))

    assert (np.round(back * 65535).astype(np.uint16) == grey).all()


def test_maps_go_as_shares_of_full_colour():
    maps = tuple(SaliencyMap(key, np.full((2, 3), value, dtype=np.float32)) for key, value in (("a", 4.0), ("b", 1.0)))

    shares = np.frombuffer(zlib.decompress(packed_maps(maps, 4.0)), "<u2").reshape(2, 2, 3)

    assert (shares[0] == 65535).all()
    assert shares[1] == pytest.approx(65535 / 4, abs=1)


@pytest.mark.parametrize("maps", [(), (SaliencyMap("a", np.zeros((2, 3), dtype=np.float32)),)])
def test_maps_of_nothing_are_nothing(maps):
    assert not any(zlib.decompress(packed_maps(maps, 0.0)))
