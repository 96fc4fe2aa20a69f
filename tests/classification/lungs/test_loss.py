"""The losses of boxes and masks: by hand, by gradients, and where nothing is known."""

import math

import numpy as np
import pytest

from built import same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.lungs.loss import (  # noqa: E402
    Extent,
    dice_loss,
    likeness_loss,
    mask_loss,
    outside_loss,
    projection_loss,
)

UNKNOWN = [math.nan] * 4


def extent(right: list[float], left: list[float] | None = None, size: int = 4) -> Extent:
    return Extent.of(torch.tensor([[right, UNKNOWN if left is None else left]], dtype=torch.float64), size)


def both(lung: "torch.Tensor") -> "torch.Tensor":
    """The same map for both lungs of one image."""
    return lung.expand(1, 2, *lung.shape[-2:]).clone()


def test_a_box_covers_cells_by_the_share_that_lies_in_it() -> None:
    found = extent([0.125, 0.25, 0.625, 1.0])  # x from 0.5 to 2.5 cells, y from 1 to 4

    assert found.x[0, 0].tolist() == [0.5, 1, 0.5, 0]
    assert found.y[0, 0].tolist() == [0, 1, 1, 1]
    assert found.touched[0, 0].tolist() == [[0] * 4, *([[1, 1, 1, 0]] * 3)]
    assert found.known.tolist() == [[1, 0]]


def test_projections_by_hand() -> None:
    lung = torch.zeros(4, 4, dtype=torch.float64)
    lung[1, 1], lung[2, 1] = 0.5, 1.0
    # On x: the map's shadow is 0, 1, 0, 0, the box's 0, 1, 1, 0: 1 - 2 / (1 + 2). On y: 0, 0.5, 1, 0 and 0, 1, 1, 0:
    # 1 - 3 / (1.25 + 2).
    expected = (1 / 3 + (1 - 3 / 3.25)) / 2

    loss = projection_loss(both(lung), extent([0.25, 0.25, 0.75, 0.75]))

    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", ["box", "cross"])
def test_a_mask_that_reaches_all_four_sides_of_its_box_costs_nothing(shape: str) -> None:
    lung = torch.zeros(4, 4, dtype=torch.float64)
    lung[1:4, 0:3] = float(shape == "box")
    lung[2, 0:3] = lung[1:4, 1] = 1
    found = extent([0, 0.25, 0.75, 1])

    assert projection_loss(both(lung), found).item() == pytest.approx(0, abs=1e-6)
    assert outside_loss((both(lung) - 0.5) * 200, found).item() == pytest.approx(0, abs=1e-6)


def test_a_perfect_mask_costs_nothing() -> None:
    masks = torch.zeros(1, 2, 4, 4)
    masks[:, :, 1:3, 1:3] = 1

    assert mask_loss((masks - 0.5) * 200, masks, torch.ones(1, 2)).item() == pytest.approx(0, abs=1e-5)


def test_what_lies_outside_the_box_is_background_and_inside_is_left_open() -> None:
    logits = torch.zeros(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    loss = outside_loss(logits, extent([0.25, 0.25, 0.75, 0.75]))
    loss.backward()

    assert loss.item() == pytest.approx(math.log(2))  # of a probability of one half, on each of the twelve cells
    assert logits.grad is not None
    inside = np.zeros((4, 4), dtype=bool)
    inside[1:3, 1:3] = True
    assert (logits.grad[0, 0].numpy()[inside] == 0).all()
    assert (logits.grad[0, 0].numpy()[~inside] > 0).all()


def test_cells_of_like_shade_cost_what_they_differ_and_others_nothing() -> None:
    logits = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    logits[..., 0, 0], logits[..., 0, 2] = 2.0, -1.0
    shades = torch.tensor([[[10.0, 99, 15], [200, 199, 240], [60, 120, 180]]], dtype=torch.float64)
    # Of the eight pairs two cells apart (corners, middles of opposite sides) only the upper corners are alike.
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    expected = -math.log(p * q + (1 - p) * (1 - q))

    assert likeness_loss(logits, shades, extent([0, 0, 1, 1], size=3), alike_below=6).item() == pytest.approx(expected)


def test_pairs_far_from_the_box_say_nothing_of_likeness() -> None:
    logits = torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)

    likeness_loss(logits, torch.zeros(1, 8, 8), extent([0, 0, 0.25, 0.25], size=8), alike_below=1).backward()

    assert logits.grad is not None
    assert (logits.grad[0, 0, 4:, 4:] == 0).all()
    assert (logits.grad[0, 0, :2, :2] != 0).all()


def test_an_unknown_lung_has_no_gradient_and_no_share_in_the_mean() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 8, 8, generator=rng, dtype=torch.float64, requires_grad=True)
    shades = torch.zeros(1, 8, 8)
    box = [0.1, 0.2, 0.6, 0.9]

    def cost(found: Extent, of: "torch.Tensor") -> "torch.Tensor":
        return projection_loss(of.sigmoid(), found) + outside_loss(of, found) + likeness_loss(of, shades, found, 1)

    loss = cost(extent(box, size=8), logits)
    loss.backward()

    same_numbers(loss, cost(extent(box, box, size=8), both(logits[0, 0])))
    assert logits.grad is not None
    assert (logits.grad[0, 1] == 0).all()


def test_where_nothing_is_known_nothing_is_lost() -> None:
    logits, nothing = torch.randn(2, 2, 4, 4), Extent.of(torch.full((2, 2, 4), math.nan), 4)

    assert projection_loss(logits.sigmoid(), nothing) == 0
    assert outside_loss(logits, nothing) == 0
    assert likeness_loss(logits, torch.zeros(2, 4, 4), nothing, 10) == 0
    assert mask_loss(logits, torch.zeros(2, 2, 4, 4), torch.zeros(2, 2)) == 0


def test_gradients_are_those_of_finite_differences() -> None:
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 2, 5, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    shades = torch.rand(1, 5, 5, generator=rng, dtype=torch.float64) * 30
    masks = (torch.rand(1, 2, 5, 5, generator=rng) > 0.5).double()
    found = extent([0.1, 0.2, 0.7, 0.9], [0.3, 0.0, 0.95, 0.5], size=5)

    assert torch.autograd.gradcheck(lambda of: projection_loss(of.sigmoid(), found), logits)
    assert torch.autograd.gradcheck(lambda of: outside_loss(of, found), logits)
    assert torch.autograd.gradcheck(lambda of: likeness_loss(of, shades, found, 12), logits)
    assert torch.autograd.gradcheck(lambda of: mask_loss(of, masks, torch.ones(1, 2)), logits)


def test_dice_of_halves_by_hand() -> None:
    loss = dice_loss(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 1.0]))

    assert loss.item() == pytest.approx(1 - 2 / 4)
