import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from boxray.core.reading import SaliencyMap
from boxray.serve.packing import packed_maps, packed_pixels, part, unpacked_pixels


@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 65535)))
def test_every_value_of_a_16_bit_film_comes_back(grey):
    pixels = (grey / np.float32(65535)).astype(np.float32)

    back = unpacked_pixels(packed_pixels(pixels))

    assert (np.round(back * 65535).astype(np.uint16) == grey).all()


def test_a_film_of_12_bits_takes_little_more_than_a_byte_for_each_pixel_and_one_of_noise_at_most_three():
    rng = np.random.default_rng(0)
    smooth = (2000 + 1000 * np.sin(np.linspace(0, 9, 300)) + rng.normal(0, 20, (200, 300))).round() / 4095
    noise = rng.integers(0, 65536, (200, 300)) / 65535

    sizes = [len(packed_pixels(pixels.astype(np.float32))) / pixels.size for pixels in (smooth, noise)]

    assert 1 < sizes[0] < 1.2
    assert 2 < sizes[1] < 3 + 2 * 65536 / noise.size


def test_a_part_says_how_long_it_is():
    told = part({"said": "é"}, b"body")

    n_head, n_body = struct.unpack_from("<2I", told)
    assert json.loads(told[8 : 8 + n_head]) == {"said": "é"}
    assert (told[8 + n_head :], n_body) == (b"body", 4)


def test_maps_go_as_shares_of_full_colour():
    maps = tuple(SaliencyMap(key, np.full((2, 3), value, dtype=np.float32)) for key, value in (("a", 4.0), ("b", 1.0)))

    shares = np.frombuffer(zlib.decompress(packed_maps(maps, 4.0)), "<u2").reshape(2, 2, 3)

    assert (shares[0] == 65535).all()
    assert shares[1] == pytest.approx(65535 / 4, abs=1)


@pytest.mark.parametrize("maps", [(), (SaliencyMap("a", np.zeros((2, 3), dtype=np.float32)),)])
def test_maps_of_nothing_are_nothing(maps):
    assert not any(zlib.decompress(packed_maps(maps, 0.0)))
