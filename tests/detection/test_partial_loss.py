"""What reaches which anchor, on made logits."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.detection.mosaic import Film, compose, four, random_map  # noqa: E402
from boxray.detection.partial_loss import (  # noqa: E402
    TOP_ANCHORS,
    anchor_weights,
    film_under,
    present_losses,
    same_film,
)
from boxray.detection.recipe import Augment  # noqa: E402

LEFT_AND_RIGHT = torch.tensor([[[0.0, 0, 32, 64], [32, 0, 64, 64], [0, 0, 0, 0], [0, 0, 0, 0]]])
AS_IT_IS = torch.eye(2, 3)[None]
CENTRES = torch.stack(torch.meshgrid(torch.arange(4, 64, 8.0), torch.arange(4, 64, 8.0), indexing="xy"), -1).view(-1, 2)
"""64 anchors of a picture of 64 px; 32 on either side."""
ON_THE_LEFT = CENTRES[:, 0] < 32


@pytest.mark.parametrize("seed", range(8))
def test_each_anchor_of_a_turned_mosaic_has_the_weights_of_the_film_under_it(seed: int) -> None:
    """The reference turns a map of the films' numbers as the pixels are turned, and reads it at the anchors."""
    rng = np.random.default_rng(seed)
    side_px, sizes = 96, [(96, 80), (70, 96), (96, 96), (50, 90)]
    numbers = [
        Film(np.full(size[::-1], 200 + place, np.uint8), np.zeros((0, 4)), np.zeros(0, int))
        for place, size in enumerate(sizes)
    ]
    picture = compose(numbers, four(sizes, side_px, rng), random_map(192, side_px, Augment(scale=0.4), rng), side_px)
    cells = torch.tensor(rng.uniform(0, 1, (1, 4, 3)), dtype=torch.float32)
    cells[0, 1, 2] = cells[0, 3, 0] = 0  # unknown
    centres = torch.tensor(
        [[x + 0.5, y + 0.5] for y in range(side_px) for x in range(side_px)]
    )  # every pixel an anchor

    under = film_under(
        centres, *(torch.tensor(a[None], dtype=torch.float32) for a in (picture.rects_xyxy, picture.to_canvas))
    )
    weights = anchor_weights(cells, under)[0].reshape(side_px, side_px, 3)

    for place in range(4):
        pure = picture.pixels == 200 + place
        pure &= _even_around(picture.pixels)  # between films 200 and 202 a seam looks like film 201
        assert (weights[torch.tensor(pure)] == cells[0, place]).all()
    grey = (picture.pixels == 114) & _even_around(picture.pixels)
    assert (weights[torch.tensor(grey)] == 1).all()


def _even_around(pixels: np.ndarray) -> np.ndarray:
    even = np.ones(pixels.shape, bool)
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        even &= np.roll(pixels, shift, axis=(0, 1)) == pixels
    return even


def test_where_no_film_lies_everything_is_background() -> None:
    under = film_under(torch.tensor([[5.0, 70.0], [5.0, 5.0]]), LEFT_AND_RIGHT, AS_IT_IS)

    weights = anchor_weights(torch.zeros(1, 4, 2), under)

    assert under.tolist() == [[4, 0]]
    assert weights.tolist() == [[[1, 1], [0, 0]]]


def test_a_box_gets_no_anchor_of_the_film_beside() -> None:
    under = film_under(CENTRES, LEFT_AND_RIGHT, AS_IT_IS)

    allowed = same_film(torch.tensor([[0.0, 1.0]]), under)

    assert (allowed[0, 0] == ON_THE_LEFT).all()
    assert (allowed[0, 1] == ~ON_THE_LEFT).all()


def present_on(film: int, finding: int) -> "torch.Tensor":
    present = torch.zeros(1, 4, 3, dtype=torch.bool)
    present[0, film, finding] = True
    return present


def test_a_present_finding_lifts_only_the_best_anchors_of_its_film() -> None:
    logits = torch.randn(1, 64, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    under = film_under(CENTRES, LEFT_AND_RIGHT, AS_IT_IS)

    (loss,) = present_losses(logits, present_on(1, 2), under)
    loss.backward()

    assert logits.grad is not None
    best = torch.where(ON_THE_LEFT, -torch.inf, logits[0, :, 2]).topk(TOP_ANCHORS).indices
    felt = logits.grad[0].nonzero()
    assert sorted(felt[:, 0].tolist()) == sorted(best.tolist())
    assert set(felt[:, 1].tolist()) == {2}
    assert (logits.grad[0, best, 2] < 0).all()  # a step against the gradient goes up
    mean = logits[0, best, 2].mean()
    assert loss.item() == pytest.approx(-torch.log(torch.sigmoid(mean)).item(), rel=1e-5)


def test_a_film_that_fires_already_is_left_in_peace() -> None:
    under = film_under(CENTRES, LEFT_AND_RIGHT, AS_IT_IS)
    logits = torch.full((1, 64, 3), -8.0)
    logits[0, ON_THE_LEFT.nonzero()[:TOP_ANCHORS, 0], 0] = 9.0

    (fires,) = present_losses(logits, present_on(0, 0), under)
    (silent,) = present_losses(logits, present_on(1, 0), under)

    assert fires < 0.01
    assert silent == pytest.approx(8.0, abs=0.01)


def test_a_film_with_few_anchors_counts_those_it_has_and_one_with_none_nothing() -> None:
    narrow = torch.tensor([[[0.0, 0, 8, 16], [60, 60, 60, 60], [0, 0, 0, 0], [0, 0, 0, 0]]])
    under = film_under(CENTRES, narrow, AS_IT_IS)
    logits = torch.arange(64.0)[None, :, None].expand(1, 64, 3)

    (two,) = present_losses(-logits, present_on(0, 0), under)  # anchors 0 and 8
    none = present_losses(logits, present_on(1, 0), under)

    assert two == pytest.approx(4 + np.log1p(np.exp(-4)), rel=1e-4)
    assert none.shape == (0,)


def test_nothing_present_costs_nothing() -> None:
    losses = present_losses(
        torch.zeros(1, 64, 3), torch.zeros(1, 4, 3, dtype=torch.bool), torch.zeros(1, 64, dtype=torch.long)
    )

    assert losses.sum() == 0
