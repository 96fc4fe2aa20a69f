"""Where a map is highest: one pixel, and of a plateau its middle."""

import numpy as np
import pytest

from boxray.localization.peak import highest_pixel


def test_a_map_of_zeros_is_highest_nowhere():
    assert highest_pixel(np.zeros((3, 4))) is None


def test_one_highest_pixel_is_it():
    values = np.arange(12.0).reshape(3, 4)
    values[1, 2] = 20

    assert highest_pixel(values) == (1, 2)


@pytest.mark.parametrize("rounding", [0, 1e-8], ids=["level", "level up to rounding"])
def test_of_a_plateau_it_is_the_middle_and_not_the_upper_left_corner(rounding):
    values = np.zeros((20, 20))
    values[4:9, 10:17] = 0.5
    values[8, 16] -= rounding

    assert highest_pixel(values) == (6, 13)


def test_of_two_plateaus_it_is_the_first_and_never_between_them():
    values = np.zeros((20, 20))
    values[2:5, 2:5] = values[2:5, 12:15] = 1

    assert highest_pixel(values) == (3, 3)


def test_the_middle_of_a_bent_plateau_lies_on_it():
    values = np.zeros((9, 9))
    values[0, :] = values[:, 0] = 1  # its mean lies off it

    row, column = highest_pixel(values)

    assert values[row, column] == 1
