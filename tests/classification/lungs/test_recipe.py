"""The recipe that is shipped."""

from boxray.classification.lungs.recipe import LungRecipe
from boxray.runs.recipe import load_recipe, recipe_path


def test_the_shipped_recipe_is_one_and_leaves_the_backbone_alone() -> None:
    recipe = load_recipe(LungRecipe, recipe_path("classification", "lungs"))

    assert not recipe.joint
    assert recipe.classifier.name == "mobilenetv2-chest8.json"
