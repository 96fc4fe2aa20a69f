"""Random changes leave a film a film."""

import numpy as np
import pytest

from boxray.classification.change import Change, draw_change
from boxray.classification.recipe import ClassificationRecipe
from boxray.imaging.acquisition import coarsened, grained


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


def test_a_square_is_coarsened_then_grained_as_another_machine_would_and_the_same_way_every_time() -> None:
    square = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    change = Change(degrees=0, scale=1, shift_xy=(0, 0), gain=1, detail=0.5, grain=0.05, grain_seed=3)

    shown = change.apply(square)

    assert np.array_equal(shown, grained(coarsened(square, 0.5), 0.05, np.random.default_rng(3)))
    assert np.array_equal(change.apply(square), shown)


@pytest.mark.parametrize(("coarsen", "lowest"), [(0.0, 1.0), (0.6, 0.4)])
def test_as_much_detail_is_lost_as_the_recipe_allows(tmp_path, coarsen: float, lowest: float) -> None:
    recipe = ClassificationRecipe(data=tmp_path, coarsen=coarsen)
    rng = np.random.default_rng(0)

    left = [draw_change(rng, recipe).detail for _ in range(400)]

    assert max(left) == pytest.approx(1.0, abs=0.01)
    assert min(left) == pytest.approx(lowest, abs=0.01)


@pytest.mark.parametrize(("grain", "most"), [(0.0, 0.0), (0.06, 0.06)])
def test_as_much_grain_is_drawn_as_the_recipe_allows_each_time_another(tmp_path, grain: float, most: float) -> None:
    recipe = ClassificationRecipe(data=tmp_path, grain=grain)
    rng = np.random.default_rng(0)

    drawn = [draw_change(rng, recipe) for _ in range(400)]

    assert max(one.grain for one in drawn) == pytest.approx(most, abs=0.001)
    assert len({one.grain_seed for one in drawn}) == (400 if grain else 1)
