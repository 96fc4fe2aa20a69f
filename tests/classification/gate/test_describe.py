import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.classification.gate.describe import LENGTH, describe
from making import chest


def film(seed=0, size_wh=(320, 300)):
    return (chest(size_wh, seed) / 255).astype(np.float32)


def likeness(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_picture_becomes_832_finite_numbers_whatever_its_size():
    for size_wh in ((30, 400), (64, 64), (2000, 1500)):
        described = describe(film(size_wh=size_wh))
        assert described.shape == (LENGTH,)
        assert described.dtype == np.float32
        assert np.isfinite(described).all()


def test_a_picture_without_contrast_is_all_zeros():
    assert not describe(np.full((300, 300), 0.4, np.float32)).any()


@settings(max_examples=20)
@given(gain=st.floats(0.05, 1), share=st.floats(0, 1))
def test_brightness_and_contrast_hardly_matter(gain, share):
    rad = film()
    other = (gain * rad + share * (1 - gain)).astype(np.float32)

    assert likeness(describe(rad), describe(other)) > 0.99


@pytest.mark.parametrize("shade", [0.0, 1.0])
def test_a_plain_frame_does_not_matter(shade):
    rad = film()
    framed = np.pad(rad, ((40, 60), (50, 30)), constant_values=shade)

    assert likeness(describe(rad), describe(framed)) > 0.9


@pytest.mark.parametrize("change", [lambda g: 1 - g, np.rot90, np.flipud], ids=["inverted", "turned", "upside down"])
def test_what_makes_it_no_upright_chest_matters(change):
    rad = film()

    assert likeness(describe(rad), describe(np.ascontiguousarray(change(rad)))) < 0.8
