"""Lung fields: boxes round them lie on the outer edges of pixels."""

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.lungs import LungField, box_round


def test_the_box_round_a_mask_lies_on_the_outer_edges_of_its_pixels() -> None:
    mask = np.zeros((8, 10), dtype=bool)
    mask[2:5, 3] = mask[4, 3:7] = True

    assert box_round(mask) == Box(3, 2, 7, 5)


def test_there_is_no_box_round_nothing() -> None:
    assert box_round(np.zeros((3, 4), dtype=bool)) is None


def test_lungs_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(H, W\), got \(3, 4\) and \(4, 3\)"):
        LungField(np.zeros((3, 4), dtype=bool), np.zeros((4, 3), dtype=bool))
