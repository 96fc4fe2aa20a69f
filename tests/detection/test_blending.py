"""Weights between two trainings lie on the line between them."""

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")

import torch

from boxray.core.errors import ModelError
from boxray.detection.blending import blended

BEFORE = {"weight": torch.tensor([0.0, 4.0], dtype=torch.float16), "seen": torch.tensor(3)}
AFTER = {"weight": torch.tensor([1.0, 0.0]), "seen": torch.tensor(7)}


@pytest.mark.parametrize(("kept", "weight"), [(0.0, [1.0, 0.0]), (0.25, [0.75, 1.0]), (1.0, [0.0, 4.0])])
def test_as_much_is_kept_as_is_asked_for_and_whole_numbers_are_those_of_the_training(kept: float, weight: list[float]):
    between = blended(BEFORE, AFTER, kept)

    assert between["weight"].tolist() == weight
    assert between["weight"].dtype == torch.float32
    assert int(between["seen"]) == 7


@pytest.mark.parametrize("other", [{"weight": torch.zeros(3), "seen": torch.tensor(0)}, {"weight": torch.zeros(2)}])
def test_between_two_networks_there_is_nothing(other):
    with pytest.raises(ModelError, match="another network or of other findings"):
        blended(other, AFTER, 0.5)
