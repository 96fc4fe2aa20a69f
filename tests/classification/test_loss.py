"""What is unknown teaches nothing: findings side by side, and classes that exclude each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from built import same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.loss import exclusive_loss, masked_loss, positive_balance  # noqa: E402


def test_what_is_unknown_has_no_gradient_and_no_share_in_the_mean() -> None:
    logits = torch.tensor([[0.3, -1.0], [0.7, 2.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0]])

    loss = masked_loss(logits, targets, weights, torch.ones(2))
    loss.backward()

    alone = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], targets[:, 0])
    same_numbers(loss, alone)
    assert logits.grad is not None
    assert (logits.grad[:, 1] == 0).all()


def test_a_batch_in_which_nothing_is_known_costs_nothing() -> None:
    zeros = torch.zeros(2, 3)

    assert masked_loss(torch.ones(2, 3), zeros, zeros, torch.ones(3)) == 0


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_the_target_of_an_unknown_cell_does_not_matter(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits, weights = torch.randn(5, 3, generator=rng), (torch.rand(5, 3, generator=rng) > 0.5).float()
    targets = (torch.rand(5, 3, generator=rng) > 0.5).float()
    turned = torch.where(weights == 0, 1 - targets, targets)

    same_numbers(
        masked_loss(logits, targets, weights, torch.ones(3)), masked_loss(logits, turned, weights, torch.ones(3))
    )


def test_a_rare_finding_weighs_more_and_a_frequent_one_no_less_than_once() -> None:
    targets = np.array([[1, 1], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=float)

    balance = positive_balance(targets, np.ones((5, 2)))

    assert balance.tolist() == [2.0, 1.0]


def one_hot(classes: list[int], n: int) -> "torch.Tensor":
    return torch.nn.functional.one_hot(torch.tensor(classes), n).float()


def test_the_exclusive_loss_of_known_classes_is_torchs_weighted_cross_entropy() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    classes, balance = [0, 2, 1, 1, 0, 2], torch.tensor([1.0, 2.0, 3.0])

    ours = exclusive_loss(logits, one_hot(classes, 3), torch.ones(6, 3), balance)

    same_numbers(ours, torch.nn.functional.cross_entropy(logits, torch.tensor(classes), weight=balance))


def test_an_image_of_unknown_class_has_no_gradient() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    weights = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])

    exclusive_loss(logits, one_hot([1, 0], 3), weights, torch.ones(3)).backward()

    assert logits.grad is not None
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0] != 0).all()


def test_a_class_that_is_ruled_out_loses_and_the_others_share_what_it_gives_up() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)

    loss = exclusive_loss(logits, torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(3))
    loss.backward()

    same_numbers(loss, -torch.log(torch.tensor(2 / 3)))
    assert logits.grad is not None
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1] == logits.grad[0, 2]


def test_a_batch_without_any_known_class_costs_nothing() -> None:
    assert exclusive_loss(torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3)) == 0
