"""Spearman's correlation against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from boxray.core.metrics import spearman_measure

seeds = st.integers(0, 2**32 - 1)


def two_columns(seed, n):
    """Few different values, so that many are equal."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 6, n) / 6, rng.integers(0, 5, n).astype(float)


@given(seeds, st.integers(3, 40))
@settings(max_examples=60)
def test_it_is_scipys_with_equal_ranks_shared(seed, n):
    x, y = two_columns(seed, n)
    ours = spearman_measure(x, y)(np.ones(n))

    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(ours).all()
    else:
        assert ours == pytest.approx([spearmanr(x, y).statistic])


@given(seeds)
@settings(max_examples=40)
def test_a_weight_is_how_often_an_image_stands_in_the_table(seed):
    x, y = two_columns(seed, 12)
    times = np.random.default_rng(seed + 1).integers(0, 4, 12)
    repeated = np.repeat(x, times), np.repeat(y, times)

    ours = spearman_measure(x, y)(times.astype(float))

    theirs = spearman_measure(*repeated)(np.ones(times.sum()))
    assert ours == pytest.approx(theirs, nan_ok=True)


def test_two_columns_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        spearman_measure(np.zeros(3), np.zeros(2))
