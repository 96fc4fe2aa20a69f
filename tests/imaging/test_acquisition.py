"""A film as a coarser, grainier machine takes it is of the same size, and the same film where nothing is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.imaging.acquisition import retaken

FILM = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)
EVEN = np.full((256, 256), 100, dtype=np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    detail=st.floats(0.01, 1),
    grain=st.floats(0, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_film_keeps_its_size_and_its_scale(sides: tuple[int, int], detail: float, grain: float, seed: int) -> None:
    film = np.random.default_rng(seed).integers(0, 256, sides, dtype=np.uint8)
    before = film.copy()

    taken = retaken(film, detail, grain, np.random.default_rng(seed))

    assert taken.shape == film.shape
    assert taken.dtype == np.uint8
    assert np.array_equal(film, before)


def test_all_of_the_detail_and_no_noise_is_the_film_itself() -> None:
    assert retaken(FILM, 1.0, 0.0, rng()) is FILM


def test_a_pattern_finer_than_the_detail_that_is_left_is_gone() -> None:
    chessboard = (np.indices((64, 64)).sum(axis=0) % 2 * 200).astype(np.uint8)

    assert np.unique(retaken(chessboard, 0.5, 0.0, rng())).tolist() == [100]


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    noisy = retaken(EVEN, 1.0, 0.05, rng())

    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.02)
    assert noisy.mean() == pytest.approx(100, abs=0.2)


def test_the_grains_of_a_coarse_machine_are_as_large_as_its_pixels() -> None:
    """Noise of single pixels is as far from its neighbour's as from any other's; of enlarged ones it is near."""

    def alike(detail: float) -> float:
        noise = retaken(EVEN, detail, 0.05, rng()).astype(float) - 100
        return float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var())

    assert alike(1.0) == pytest.approx(0, abs=0.02)
    assert alike(0.25) > 0.8
