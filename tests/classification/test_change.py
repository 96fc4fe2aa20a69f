"""Random changes leave a film a film."""

import numpy as np
import pytest

from boxray.classification.change import Change, draw_change
from boxray.classification.recipe import ClassificationRecipe


def test_no_change_leaves_the_square_as_it_is() -> None:
    square = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)

    assert (Change(degrees=0, scale=1, shift_xy=(0, 0), gain=1).apply(square) == square).all()


def test_a_shift_moves_what_is_on_the_left_to_the_right_and_never_mirrors() -> None:
    square = np.zeros((32, 32), dtype=np.uint8)
    square[10, 4] = 200

    moved = Change(degrees=0, scale=1, shift_xy=(0.25, 0), gain=1).apply(square)

    assert np.argwhere(moved == 200).tolist() == [[10, 12]]


def test_a_mirrored_square_is_the_same_from_the_other_side() -> None:
    square = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)

    mirrored = Change(degrees=0, scale=1, shift_xy=(0, 0), gain=1, mirrored=True).apply(square)

    assert (mirrored[:, ::-1] == square).all()


@pytest.mark.parametrize(("flip", "share"), [(False, 0.0), (True, 0.5)])
def test_squares_are_mirrored_only_where_the_recipe_says_so(tmp_path, flip: bool, share: float) -> None:
    recipe = ClassificationRecipe(data=tmp_path, flip=flip)
    rng = np.random.default_rng(0)

    mirrored = [draw_change(rng, recipe).mirrored for _ in range(400)]

    assert np.mean(mirrored) == pytest.approx(share, abs=0.1)
