"""Made boxes of one finding on a few images, for the metrics: a seed says which."""

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)


def boxes(rng, most):
    """Shape (N, 4), float64 on a coarse grid, so that overlaps of exactly a half and equal overlaps occur."""
    n = rng.integers(0, most + 1)
    corner, side = rng.integers(0, 7, (n, 2)), rng.integers(1, 6, (n, 2))
    return np.hstack([corner, corner + side]).astype(np.float64)


def a_film(rng, *, equal_scores=True):
    """One image of one finding: boxes, their scores (some equal), and the readers' boxes."""
    found = boxes(rng, 6)
    scores = rng.integers(1, 8, len(found)) / 8 if equal_scores else rng.random(len(found))
    return found, scores, boxes(rng, 5)


def films(seed, **options):
    """One to six images."""
    rng = np.random.default_rng(seed)
    return [a_film(rng, **options) for _ in range(rng.integers(1, 7))]
