import numpy as np
import pytest

from boxray.detection.intensity import shade_table, vary_look, window
from boxray.detection.recipe import Augment

FILM = np.random.default_rng(0).integers(30, 200, (40, 50), dtype=np.uint8)
STILL = Augment(brightness=0, gamma=0, windowing=0)


def test_nothing_asked_for_changes_nothing() -> None:
    assert np.array_equal(vary_look(FILM, STILL, np.random.default_rng(0)), FILM)


@pytest.mark.parametrize("change", [{"brightness": 0.3}, {"gamma": 0.4}, {"windowing": 0.1}])
def test_each_change_moves_shades_and_keeps_their_order(change: dict[str, float]) -> None:
    varied = vary_look(FILM, STILL.model_copy(update=change), np.random.default_rng(1))

    order = np.argsort(FILM, axis=None)
    assert not np.array_equal(varied, FILM)
    assert (np.diff(varied.ravel()[order].astype(int)) >= 0).all()


def test_the_film_itself_is_not_changed() -> None:
    before = FILM.copy()

    vary_look(FILM, Augment(gamma=0.5, windowing=0.2), np.random.default_rng(2))

    assert np.array_equal(FILM, before)


def test_a_window_cuts_the_shares_off_that_it_is_told() -> None:
    ramp = np.arange(200, dtype=np.uint8).reshape(10, 20)

    low, high = window(ramp, 0.1, 0.25)

    assert (low, high) == (19, 149)
    assert (ramp < low).mean() == pytest.approx(0.1, abs=0.01)
    assert (ramp > high).mean() == pytest.approx(0.25, abs=0.01)


def test_an_even_film_has_no_window() -> None:
    assert window(np.full((9, 9), 77, np.uint8), 0.2, 0.2) == (0, 255)


def test_a_window_fills_the_whole_range_of_shades() -> None:
    table = shade_table(50, 150, 1.0, 1.0)

    assert (table[:51] == 0).all()
    assert (table[150:] == 255).all()
    assert table[100] == 128


def test_gamma_and_gain_are_what_they_are_called() -> None:
    np.testing.assert_allclose(shade_table(0, 255, 2.0, 1.0), 255 * (np.arange(256) / 255) ** 2, atol=0.51)
    np.testing.assert_allclose(shade_table(0, 255, 1.0, 1.3), np.clip(np.arange(256) * 1.3, 0, 255), atol=0.51)


def test_a_coarser_film_has_less_detail_and_a_grainier_one_more_noise() -> None:
    even = np.full((200, 200), 100, np.uint8)

    coarser = [
        vary_look(FILM, STILL.model_copy(update={"coarsen": 0.8}), np.random.default_rng(seed)) for seed in (1, 2)
    ]
    grainier = vary_look(even, STILL.model_copy(update={"grain": 0.1}), np.random.default_rng(1))

    assert all(np.abs(np.diff(one.astype(int))).mean() < np.abs(np.diff(FILM.astype(int))).mean() for one in coarser)
    assert not np.array_equal(*coarser)
    assert 0 < grainier.std() <= 0.1 * 255 * 1.05
    assert grainier.mean() == pytest.approx(100, abs=0.5)


def test_what_a_recipe_without_them_draws_is_what_it_drew_before_there_were_coarsen_and_grain() -> None:
    augment = Augment(gamma=0.2, windowing=0.1)
    rng = np.random.default_rng(5)
    low, high = window(FILM, rng.uniform(0, 0.1), rng.uniform(0, 0.1))
    gamma, gain = 1.2 ** rng.uniform(-1, 1), 1 + augment.brightness * rng.uniform(-1, 1)

    varied = vary_look(FILM, augment, np.random.default_rng(5))

    np.testing.assert_array_equal(varied, shade_table(low, high, gamma, gain)[FILM])
