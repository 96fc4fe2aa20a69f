"""Radiographs: made means valid."""

import numpy as np
import pytest

from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph

GREY = np.full((3, 5), 0.5, dtype=np.float32)


def with_one(value):
    pixels = GREY.copy()
    pixels[1, 2] = value
    return pixels


@pytest.mark.parametrize("value", [0, 1], ids=["air", "the-densest"])
def test_both_ends_of_the_range_are_shades(value):
    assert Radiograph(with_one(value)).pixels[1, 2] == value


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(with_one(np.nan), id="nan"),
        pytest.param(with_one(np.inf), id="infinite"),
        pytest.param(with_one(-0.001), id="below-0"),
        pytest.param(with_one(1.001), id="above-1"),
        pytest.param(GREY.astype(np.float64), id="float64"),
        pytest.param((GREY * 255).astype(np.uint8), id="bytes"),
        pytest.param(np.stack([GREY] * 3, axis=2), id="colour"),
        pytest.param(GREY[:0], id="no-row"),
        pytest.param(GREY[:, :0], id="no-column"),
    ],
)
def test_pixels_that_are_no_radiograph_are_refused(pixels):
    with pytest.raises(InputError) as refusal:
        Radiograph(pixels)

    assert refusal.value.code.name == "image.values_invalid"


def test_padding_covers_the_same_pixels():
    with pytest.raises(InputError, match=r"padding \(5, 3\) on pixels \(3, 5\)"):
        Radiograph(GREY, padded=np.zeros((5, 3), dtype=bool))


@pytest.mark.parametrize("spacing", [(0.0, 0.0), (-0.1, 0.1), (float("nan"), 0.1), (float("inf"), 0.1)])
def test_a_spacing_that_measures_nothing_is_refused(spacing):
    with pytest.raises(InputError, match="spacing"):
        Radiograph(GREY, spacing_mm=spacing)


def test_size_is_width_then_height():
    assert Radiograph(GREY).size_wh == (5, 3)


def test_the_hash_is_of_the_shades_and_not_of_the_depth_that_they_were_stored_in():
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)

    from_8_bits = Radiograph((shades / 255).astype(np.float32))
    from_16_bits = Radiograph((shades.astype(np.uint16) * 257 / 65535).astype(np.float32))

    assert from_8_bits.sha256 == from_16_bits.sha256


def test_the_hash_tells_pictures_of_one_shade_and_another_shape_apart():
    lying, standing = Radiograph(GREY), Radiograph(GREY.reshape(5, 3))
    changed = Radiograph(with_one(0.51))

    assert len({lying.sha256, standing.sha256, changed.sha256}) == 3


def test_two_radiographs_can_be_compared_and_one_can_be_a_key():
    """A comparison of fields would ask an array whether it is true, and raise."""
    one, other = Radiograph(GREY), Radiograph(GREY.copy())

    assert one == one  # noqa: PLR0124 - that it can be asked is the claim
    assert one != other
    assert len({one, other}) == 2
