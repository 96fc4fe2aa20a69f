"""The masked loss, the changes, and a whole training of the classifier on drawn chests."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from built import build_tiny_set, same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.change import Change  # noqa: E402
from boxray.classification.classify import CamClassifier  # noqa: E402
from boxray.classification.evaluate import evaluate  # noqa: E402
from boxray.classification.loss import masked_loss  # noqa: E402
from boxray.classification.recipe import ClassificationRecipe  # noqa: E402
from boxray.classification.release import release  # noqa: E402
from boxray.classification.train import train  # noqa: E402
from boxray.core.errors import ModelError, RecipeError  # noqa: E402
from boxray.core.radiograph import Radiograph  # noqa: E402
from boxray.data.manifest import Manifest  # noqa: E402
from boxray.data.split import Split  # noqa: E402


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


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_the_target_of_an_unknown_cell_does_not_matter(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits, weights = torch.randn(5, 3, generator=rng), (torch.rand(5, 3, generator=rng) > 0.5).float()
    targets = (torch.rand(5, 3, generator=rng) > 0.5).float()
    turned = torch.where(weights == 0, 1 - targets, targets)

    same_numbers(
        masked_loss(logits, targets, weights, torch.ones(3)), masked_loss(logits, turned, weights, torch.ones(3))
    )


def test_no_change_leaves_the_square_as_it_is() -> None:
    square = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)

    assert (Change(degrees=0, scale=1, shift_xy=(0, 0), gain=1).apply(square) == square).all()


def test_a_shift_moves_what_is_on_the_left_to_the_right_and_never_mirrors() -> None:
    square = np.zeros((32, 32), dtype=np.uint8)
    square[10, 4] = 200

    moved = Change(degrees=0, scale=1, shift_xy=(0.25, 0), gain=1).apply(square)

    assert np.argwhere(moved == 200).tolist() == [[10, 12]]


def tiny_recipe(data: Path, **changes: object) -> ClassificationRecipe:
    small = {"data": data, "side_px": 64, "head_epochs": 1, "epochs": 1, "batch": 4, "clahe": {"tiles": 2}}
    return ClassificationRecipe.model_validate(small | changes)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("tiny"), per_split=16)


def test_a_run_that_was_cut_off_goes_on_to_the_very_same_weights(tiny: Manifest, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny.folder)
    whole = train(recipe, "tiny", runs=tmp_path / "whole")
    cut = train(recipe, "tiny", runs=tmp_path / "cut")
    # What a cut after the first epoch leaves: its checkpoint and no weights.
    (cut.folder / "classifier.safetensors").unlink()
    (cut.folder / "epoch-2.safetensors").unlink()
    first = train(tiny_recipe(tiny.folder, epochs=0), "tiny", runs=tmp_path / "first")
    (first.folder / "epoch-1.safetensors").rename(cut.folder / "epoch-1.safetensors")

    again = train(recipe, "tiny", resume=True, runs=tmp_path / "cut")

    assert again.folder == cut.folder
    assert (again.folder / "classifier.safetensors").read_bytes() == (
        whole.folder / "classifier.safetensors"
    ).read_bytes()


def test_there_is_nothing_to_go_on_with_where_nothing_was_begun(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="start without --resume"):
        train(tiny_recipe(tiny.folder), "tiny", resume=True, runs=tmp_path)


def test_a_trained_run_becomes_weights_that_answer_without_torch_code(tiny: Manifest, tmp_path: Path) -> None:
    run = train(tiny_recipe(tiny.folder), "tiny", runs=tmp_path / "runs")
    card = release(run.folder, "tiny", "0.0.1", tmp_path / "weights")

    classifier = CamClassifier.load(card)
    answer = classifier.classify(Radiograph(np.random.default_rng(0).random((90, 70), dtype=np.float32)))
    results = evaluate(classifier, tiny.part(Split.TEST), rounds=20)

    assert set(answer.scores) == {"fluid", "heart"}
    assert all(0 <= score <= 1 for score in answer.scores.values())
    assert all(saliency.values.shape == (90, 70) for saliency in answer.maps)
    assert [(result.n_with, result.n_without) for result in results] == [(8, 8), (8, 8)]
    points = json.loads(card.read_text())["operating_points"]
    assert "8 positives and 8 negatives" in points["fluid"]["chosen"]


def test_an_unfinished_run_is_not_released(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not finished"):
        release(tmp_path, "tiny", "0", tmp_path / "weights")
