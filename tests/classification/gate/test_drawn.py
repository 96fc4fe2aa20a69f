"""Pictures that are no chest: there are enough of each kind, and a seed says which."""

import numpy as np
import pytest

from boxray.classification.gate.altered import ALTERED, moved, sheet, shuffled
from boxray.classification.gate.drawn import DRAWN
from boxray.core.errors import CODES
from making import chest

MAKERS = {
    **DRAWN,
    **{name: (lambda rng, alter=alter: alter(chest((200, 240)), rng)) for name, (alter, _) in ALTERED.items()},
    "moved": lambda rng: moved(chest((200, 240)), rng),
    "sheet": lambda rng: sheet([chest(seed=seed) for seed in range(3)], rng),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_is_a_grey_picture_and_the_same_by_the_same_seed(kind):
    for seed in range(12):
        picture, again = (MAKERS[kind](np.random.default_rng(seed)) for _ in range(2))

        assert picture.dtype == np.uint8
        assert picture.ndim == 2
        assert min(picture.shape) >= 24
        assert (picture == again).all()


@pytest.mark.parametrize("kind", DRAWN)
def test_every_drawing_is_another_one(kind):
    rng = np.random.default_rng(0)

    assert len({DRAWN[kind](rng).tobytes() for _ in range(8)}) == 8


def test_a_shuffled_film_has_the_same_shades_at_other_places():
    grey = chest((192, 192))
    for seed in range(10):
        mixed = shuffled(grey, np.random.default_rng(seed))
        assert (np.sort(mixed, axis=None) == np.sort(grey, axis=None)).all()
        assert (mixed != grey).mean() > 0.1


def test_each_alteration_names_a_documented_refusal():
    assert {code for _, code in ALTERED.values()} <= CODES.keys()
