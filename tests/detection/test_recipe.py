from pathlib import Path

import pytest

from boxray.core.errors import RecipeError
from boxray.detection.recipe import DetectionRecipe
from boxray.runs.recipe import load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "detection" / "recipes").glob("*.yaml"))


def recipe(**changes: object) -> DetectionRecipe:
    stages = [{"side_px": 64, "epochs": 6, "lr": 0.001}, {"side_px": 96, "epochs": 3, "lr": 0.001}]
    return DetectionRecipe.model_validate({"data": "nowhere", "stages": stages} | changes)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_bench_is_understood(path: Path) -> None:
    assert load_recipe(DetectionRecipe, path).stages


def test_the_switch_of_the_experiment_is_one_override() -> None:
    path = next(path for path in RECIPES if path.stem == "ablation-partial")

    on, off = load_recipe(DetectionRecipe, path), load_recipe(DetectionRecipe, path, ["partial_labels=off"])

    assert (on.partial_labels, off.partial_labels) == (True, False)
    assert on.model_copy(update={"partial_labels": False}) == off
    assert on.hide == {"tuberculosis": 0.5, "covid": 0.5}


@pytest.mark.parametrize(
    ("last_epochs", "in_stages"), [(0, (0, 0)), (2, (0, 2)), (3, (0, 3)), (5, (2, 3)), (99, (6, 3))]
)
def test_mosaic_ends_before_the_last_epochs_of_the_whole_training(last_epochs: int, in_stages: tuple[int, int]) -> None:
    asked = recipe(augment={"mosaic": 1.0, "close_mosaic": last_epochs})

    assert tuple(asked.epochs_without_mosaic(number) for number in (0, 1)) == in_stages


@pytest.mark.parametrize(("word", "on"), [("mask", True), ("background", False)])
def test_the_recipe_of_an_older_run_is_still_read(word: str, on: bool) -> None:
    assert recipe(unknown=word).partial_labels is on


def test_the_older_word_is_none_beside_the_newer(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    path.write_text("data: x\nstages: [{side_px: 64, epochs: 1, lr: 0.1}]\npartial_labels: on\nunknown: mask\n")

    with pytest.raises(RecipeError, match="unknown key 'unknown'"):
        load_recipe(DetectionRecipe, path)


@pytest.mark.parametrize(
    "changes",
    [{"batch": 5, "processes": 2}, {"device": "0,1", "batch": 5}, {"device": "0", "processes": 2, "batch": 4}],
    ids=["uneven on a CPU", "uneven on GPUs", "processes of a GPU"],
)
def test_a_batch_that_cannot_be_shared_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="process"):
        recipe(**changes)


@pytest.mark.parametrize(("changes", "processes"), [({}, 1), ({"processes": 2}, 2), ({"device": "0,1,2,3"}, 4)])
def test_how_many_train_together(changes: dict[str, object], processes: int) -> None:
    assert recipe(**changes).world_size == processes
