"""Local contrast, with padding kept out of it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from boxray.core.radiograph import Radiograph
from boxray.imaging.clahe import equalise_shades


def clahe(rad, clip=2.0, tiles=8):
    """On a radiograph's own grid, in [0, 1]."""
    shades = np.round(rad.pixels * 255).astype(np.uint8)
    return equalise_shades(shades, clip, tiles, rad.padded) / np.float32(255)


@pytest.fixture
def rad():
    """Clouds in the middle greys: every tile has a histogram worth equalising, and none is near black."""
    noise = np.random.default_rng(5).random((320, 288))
    clouds = cv2.GaussianBlur(noise, (0, 0), 6)
    clouds = (clouds - clouds.min()) / np.ptp(clouds)
    return Radiograph((clouds * 0.3 + 0.4).astype(np.float32))


def test_without_padding_it_is_what_opencv_gives(rad):
    reference = cv2.createCLAHE(2.0, (8, 8)).apply(np.round(rad.pixels * 255).astype(np.uint8))

    assert np.array_equal(np.round(clahe(rad) * 255), reference)


def test_it_stays_in_range_and_raises_local_contrast(rad):
    equalised = clahe(rad)

    assert equalised.dtype == np.float32
    assert equalised.shape == rad.pixels.shape
    assert equalised.min() >= 0
    assert equalised.max() <= 1
    assert equalised.std() > rad.pixels.std()


def test_a_higher_clip_limit_gives_more_contrast(rad):
    assert clahe(rad, clip=4.0).std() > clahe(rad, clip=1.0).std()


def test_a_padded_frame_changes_nothing_inside_a13(rad):
    padded = np.ones((400, 400), np.bool_)
    padded[40:360, 56:344] = False
    framed = np.zeros((400, 400), np.float32)
    framed[~padded] = rad.pixels.ravel()

    equalised = clahe(Radiograph(framed, padded=padded))

    assert np.array_equal(equalised[40:360, 56:344], clahe(rad))
    assert (equalised[padded] == 0).all()


def test_padding_in_a_corner_disturbs_its_tile_less_than_black_would_a13(rad):
    corner = np.zeros(rad.pixels.shape, np.bool_)
    corner[:60, :60] = np.add.outer(np.arange(60), np.arange(60)) < 55
    black = replace(rad, pixels=np.where(corner, np.float32(0), rad.pixels))
    undisturbed = clahe(rad)

    as_padding = np.abs(clahe(replace(black, padded=corner)) - undisturbed)[~corner].mean()
    as_picture = np.abs(clahe(black) - undisturbed)[~corner].mean()

    assert as_padding < as_picture / 2
    assert (clahe(replace(black, padded=corner))[corner] == 0).all()


def test_nothing_but_padding_is_left_alone(rad):
    everything = replace(rad, padded=np.ones(rad.pixels.shape, np.bool_))

    assert clahe(everything).shape == rad.pixels.shape


@pytest.mark.parametrize(("clip", "tiles"), [(0, 8), (-1, 8), (float("nan"), 8), (2, 0)])
def test_settings_that_mean_nothing_are_a_value_error(rad, clip, tiles):
    with pytest.raises(ValueError, match="clip must be above 0"):
        clahe(rad, clip=clip, tiles=tiles)
