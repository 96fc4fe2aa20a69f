from pathlib import Path

import numpy as np

from boxray.data.draw import draw_at_most
from boxray.data.manifest import Manifest
from built import image_row, manifest_of

NOTHING: dict[str, tuple[str, str]] = {}


def two_sources() -> Manifest:
    rows = [image_row(number, "train", NOTHING, source="a" if number < 12 else "b") for number in range(20)]
    return manifest_of(Path(), rows, [])


def test_a_source_that_is_not_named_is_kept_whole() -> None:
    drawn = draw_at_most(two_sources(), {"a": 5}, seed=0)

    assert drawn.images["source"].value_counts().to_dict() == {"b": 8, "a": 5}


def test_the_seed_decides_which_ones() -> None:
    first, again, other = (
        draw_at_most(two_sources(), {"a": 5}, seed=seed).images["image"].tolist() for seed in (1, 1, 2)
    )

    assert first == again != other


def test_only_eligible_images_are_drawn() -> None:
    eligible = np.arange(20) % 2 == 0

    drawn = draw_at_most(two_sources(), {"a": 3}, seed=0, eligible=eligible)

    assert {int(image) % 2 for image in drawn.images["image"]} == {0}
    assert len(drawn.images) == 3 + 4


def test_a_limit_above_what_there_is_takes_all() -> None:
    assert len(draw_at_most(two_sources(), {"a": 500}, seed=0).images) == 20
