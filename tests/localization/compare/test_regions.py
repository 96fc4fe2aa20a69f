"""Boxes round a map's regions: by hand, and against scipy's labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from boxray.localization.compare.regions import highest_point, region_boxes
from drawn import rectangle


def test_a_region_has_the_box_of_its_pixels_and_the_highest_comes_first():
    values = rectangle((40, 60), (10, 5, 20, 15)) + rectangle((40, 60), (30, 20, 60, 40), 0.5)

    boxes, highest = region_boxes(values, 0.5)

    assert boxes.tolist() == [[10, 5, 20, 15], [30, 20, 60, 40]]  # the second is the larger one and holds more
    assert highest.tolist() == [1.0, 0.5]


def test_a_higher_share_of_the_maximum_leaves_the_bright_region_alone():
    values = rectangle((40, 60), (10, 5, 20, 15)) + rectangle((40, 60), (30, 20, 60, 40), 0.5)

    assert region_boxes(values, 0.6)[0].tolist() == [[10, 5, 20, 15]]


def test_pixels_that_touch_at_a_corner_are_one_region():
    assert region_boxes(np.eye(7, dtype=np.float32), 1.0)[0].tolist() == [[0, 0, 7, 7]]


def test_an_empty_map_has_neither_region_nor_highest_point():
    boxes, highest = region_boxes(np.zeros((8, 8), np.float32), 0.1)

    assert (boxes.shape, highest.shape) == ((0, 4), (0,))
    assert highest_point(np.zeros((8, 8), np.float32)) is None


def test_the_highest_point_is_the_centre_of_its_pixel_as_x_and_y():
    assert highest_point(rectangle((10, 20), (13, 4, 14, 5))) == (13.5, 4.5)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and not above 1"):
        region_boxes(np.ones((3, 3), np.float32), share)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.4, 0.8, 1.0]))
@settings(max_examples=60)
def test_regions_are_those_that_scipy_labels(seed, share):
    rng = np.random.default_rng(seed)
    values = (rng.random((9, 13)) ** 3).astype(np.float32)

    boxes, highest = region_boxes(values, share)

    labels, n_labels = ndimage.label(values >= share * values.max(), structure=np.ones((3, 3)))
    peaks = ndimage.maximum(values, labels, range(1, n_labels + 1))
    slices = ndimage.find_objects(labels)
    expected = {(x.start, y.start, x.stop, y.stop): peak for (y, x), peak in zip(slices, peaks, strict=True)}
    assert dict(zip(map(tuple, boxes.tolist()), highest.tolist(), strict=True)) == pytest.approx(expected)
    assert (np.diff(highest) <= 0).all()
