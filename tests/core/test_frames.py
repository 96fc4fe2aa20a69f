"""Frames: there and back is identity, and edges land where they belong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.frames import Letterbox, ScaleShift

scales = st.floats(1e-3, 1e3)
shifts = st.floats(-1e4, 1e4, allow_subnormal=False)
maps = st.builds(ScaleShift, scales, scales, shifts, shifts)
boxes = st.builds(
    lambda seed, n: np.random.default_rng(seed).uniform(-1e4, 1e4, (n, 4)), st.integers(0), st.integers(0, 5)
)
sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
sides = st.sampled_from([32, 224, 320, 511, 640])


@given(maps, boxes)
@settings(max_examples=80)
def test_a_map_and_its_inverse_lead_back(mapping, boxes_xyxy):
    there_and_back = mapping.invert().apply(mapping.apply(boxes_xyxy))

    assert there_and_back.shape == boxes_xyxy.shape
    assert np.allclose(there_and_back, boxes_xyxy, rtol=0, atol=1e-5)


@given(sizes, sizes)
@settings(max_examples=60)
def test_a_whole_frame_is_stretched_onto_the_whole_other_frame(source_wh, target_wh):
    mapped = ScaleShift.between(source_wh, target_wh).apply(np.array([[0.0, 0.0, *source_wh]]))

    assert np.allclose(mapped, [[0, 0, *target_wh]])


def test_x_and_y_scale_separately():
    """A TBX11K film of 1756 x 2022, squashed to 512 x 512, worked by hand."""
    mapped = ScaleShift.between((1756, 2022), (512, 512)).apply(np.array([[1313.0, 505.0, 1451.0, 681.0]]))

    assert mapped[0].round(2).tolist() == [382.83, 127.87, 423.07, 172.44]


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param((0, 1), id="flat"),
        pytest.param((1, -1), id="mirrored"),
        pytest.param((float("nan"), 1), id="nan"),
        pytest.param((1, 1, float("inf"), 0), id="infinitely-far"),
    ],
)
def test_a_map_without_a_way_back_cannot_be_made(numbers):
    with pytest.raises(ValueError, match="scales above 0"):
        ScaleShift(*numbers)


@pytest.mark.parametrize("make", [lambda size: ScaleShift.between(size, (5, 5)), lambda size: Letterbox.fit(size, 320)])
@pytest.mark.parametrize("size_wh", [(0, 5), (5, 0), (-3, 5)])
def test_a_frame_without_area_is_refused(make, size_wh):
    with pytest.raises(ValueError, match="sides above 0"):
        make(size_wh)


def test_a_square_without_area_is_refused():
    with pytest.raises(ValueError, match="sides above 0"):
        Letterbox.fit((512, 512), 0)


@given(sizes, sides)
@settings(max_examples=80)
def test_the_edges_of_the_image_land_on_whole_pixels_inside_the_square(size_wh, side_px):
    letterbox = Letterbox.fit(size_wh, side_px)

    x1, y1, x2, y2 = letterbox.to_square.apply(np.array([[0.0, 0.0, *size_wh]]))[0]

    left, top = letterbox.left, letterbox.top
    right, bottom = left + letterbox.inner_wh[0], top + letterbox.inner_wh[1]
    assert 0 <= left <= right <= side_px
    assert 0 <= top <= bottom <= side_px
    assert np.allclose((x1, y1, x2, y2), (left, top, right, bottom), rtol=0, atol=1e-9)


@given(sizes, sides)
@settings(max_examples=80)
def test_the_way_back_from_the_square_brings_the_corners_of_the_image_home(size_wh, side_px):
    letterbox = Letterbox.fit(size_wh, side_px)
    right, bottom = letterbox.left + letterbox.inner_wh[0], letterbox.top + letterbox.inner_wh[1]

    home = letterbox.to_square.invert().apply(np.array([[letterbox.left, letterbox.top, right, bottom]], dtype=float))

    assert np.allclose(home, [[0, 0, *size_wh]], rtol=0, atol=1e-6)


@given(sizes, sides)
@settings(max_examples=80)
def test_the_longer_side_fills_the_square_and_the_shorter_one_keeps_the_aspect_to_half_a_pixel(size_wh, side_px):
    inner_wh = Letterbox.fit(size_wh, side_px).inner_wh

    exact = [side * side_px / max(size_wh) for side in size_wh]
    assert max(inner_wh) == side_px
    assert all(abs(inner - wanted) <= 0.5 or inner == 1 for inner, wanted in zip(inner_wh, exact, strict=True))


@given(sizes, sides)
@settings(max_examples=60)
def test_the_image_lies_in_the_middle_and_an_odd_pixel_goes_right_or_below(size_wh, side_px):
    letterbox = Letterbox.fit(size_wh, side_px)

    right = side_px - letterbox.left - letterbox.inner_wh[0]
    below = side_px - letterbox.top - letterbox.inner_wh[1]
    assert right - letterbox.left in {0, 1}
    assert below - letterbox.top in {0, 1}


@given(maps, maps, boxes)
@settings(max_examples=60)
def test_two_maps_as_one_are_one_after_the_other(first, onward, boxes_xyxy):
    one_after_the_other = onward.apply(first.apply(boxes_xyxy))

    assert np.allclose(first.then(onward).apply(boxes_xyxy), one_after_the_other, rtol=1e-9, atol=1e-5)
