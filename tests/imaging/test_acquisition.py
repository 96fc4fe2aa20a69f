"""A film with less detail or more noise is of the same size, and the same film where nothing is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.imaging.acquisition import coarsened, grained

FILM = np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)


@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    detail=st.floats(0.01, 1),
    deviation=st.floats(0, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_film_keeps_its_size_and_its_scale(
    sides: tuple[int, int], detail: float, deviation: float, seed: int
) -> None:
    film = np.random.default_rng(seed).integers(0, 256, sides, dtype=np.uint8)
    before = film.copy()

    for changed in (coarsened(film, detail), grained(film, deviation, np.random.default_rng(seed))):
        assert changed.shape == film.shape
        assert changed.dtype == np.uint8
    assert np.array_equal(film, before)


def test_all_of_the_detail_and_no_noise_is_the_film_itself() -> None:
    assert coarsened(FILM, 1.0) is FILM
    assert grained(FILM, 0.0, np.random.default_rng(0)) is FILM


def test_a_pattern_finer_than_the_detail_that_is_left_is_gone() -> None:
    chessboard = (np.indices((64, 64)).sum(axis=0) % 2 * 200).astype(np.uint8)

    assert np.unique(coarsened(chessboard, 0.5)).tolist() == [100]


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    even = np.full((256, 256), 100, dtype=np.uint8)

    noisy = grained(even, 0.05, np.random.default_rng(3))

    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.02)
    assert noisy.mean() == pytest.approx(100, abs=0.2)
