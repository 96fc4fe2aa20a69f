"""Recipes: a typo must not train for ten hours."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from boxray.core.errors import RecipeError
from boxray.runs.recipe import AS_LIST, FilePath, StrictModel, load_recipe, recipe_path
from making import write_text


class Augment(StrictModel):
    degrees: float = Field(default=5.0, ge=0, le=20)
    view: str = "PA"


class Stage(StrictModel):
    epochs: int = Field(ge=1)
    lr: float = 0.01
    frozen: bool = False


class Recipe(StrictModel):
    batch: int = Field(default=16, ge=1)
    start: str | None = None
    augment: Augment = Augment()
    data: FilePath | None = None
    stages: Annotated[tuple[Stage, ...], AS_LIST] = ()
    at_most: dict[str, int] = Field(default_factory=dict)


@pytest.fixture
def recipe_file(tmp_path):
    return write_text(tmp_path / "tiny.yaml", "batch: 4", "augment: {degrees: 3}", "stages:", "  - {epochs: 2}")


def test_a_recipe_is_what_the_file_says_and_the_defaults(recipe_file):
    recipe = load_recipe(Recipe, recipe_file)

    assert recipe == Recipe(batch=4, augment=Augment(degrees=3), stages=(Stage(epochs=2),))


def test_an_empty_recipe_is_all_defaults(tmp_path):
    assert load_recipe(Recipe, write_text(tmp_path / "empty.yaml")) == Recipe()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        pytest.param("batch=8", {"batch": 8}, id="at-the-top"),
        pytest.param("augment.degrees=0", {"augment": Augment(degrees=0)}, id="inside"),
        pytest.param("at_most.siim=1100", {"at_most": {"siim": 1100}}, id="a-new-key-of-a-mapping"),
        pytest.param("stages=[{epochs: 1}]", {"stages": (Stage(epochs=1),)}, id="a-value-is-yaml"),
        pytest.param("start=a=b", {"start": "a=b"}, id="an-equals-sign-in-the-value"),
        pytest.param("start=null", {"start": None}, id="nothing"),
        pytest.param("augment.degrees=1e1", {"augment": Augment(degrees=10)}, id="a-float-that-yaml-1-1-calls-text"),
        pytest.param("augment.degrees=4", {"augment": Augment(degrees=4.0)}, id="a-whole-number-is-a-number"),
        pytest.param("data=built/real", {"data": Path("built/real")}, id="a-path"),
        pytest.param('start="3"', {"start": "3"}, id="a-number-in-quotes-is-text"),
        pytest.param(
            "stages=[{epochs: 1, lr: 1e-3, frozen: on}]",
            {"stages": (Stage(epochs=1, lr=0.001, frozen=True),)},
            id="on-is-true-in-yaml",
        ),
    ],
)
def test_an_override_lies_over_the_file(recipe_file, override, expected):
    recipe = load_recipe(Recipe, recipe_file, [override])

    assert recipe == load_recipe(Recipe, recipe_file).model_copy(update=expected)


def test_the_last_of_several_overrides_counts(recipe_file):
    assert load_recipe(Recipe, recipe_file, ["batch=8", "batch=9"]).batch == 9


def test_a_recipe_does_not_change_once_it_is_read(recipe_file):
    recipe = load_recipe(Recipe, recipe_file)

    with pytest.raises(ValidationError, match="frozen"):
        recipe.batch = 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("bach=8", r"^tiny\.yaml: unknown key 'bach' \(did you mean 'batch'\?\)$", id="at-the-top"),
        pytest.param(
            "augmnet.degrees=0", r"^tiny\.yaml: unknown key 'augmnet' \(did you mean 'augment'\?\)$", id="a-group"
        ),
        pytest.param(
            "augment.degree=0", r"unknown key 'augment\.degree' \(did you mean 'augment\.degrees'\?\)", id="inside"
        ),
        pytest.param(
            "stages=[{epochs: 1}, {epochs: 1, rl: 1}]",
            r"unknown key 'stages\.1\.rl' \(did you mean 'stages\.1\.lr'\?\)",
            id="in-an-item-of-a-list",
        ),
        pytest.param("zzz=1", r"^tiny\.yaml: unknown key 'zzz'$", id="like-nothing"),
        pytest.param("augment.degrees=21", r"augment\.degrees: .*less than or equal to 20, got 21$", id="too-much"),
        pytest.param("augment.view=[AP]", r"augment\.view: expected text, got \['AP'\]$", id="type"),
        pytest.param(
            "batch=yes", r"batch: expected a whole number, got True, as YAML reads yes, no", id="yes-is-not-1"
        ),
        pytest.param(
            'batch="3"', r"batch: expected a whole number, got '3', which is text: write it without", id="text"
        ),
        pytest.param("batch=3.0", r"batch: expected a whole number, got 3\.0: write it without a point$", id="a-point"),
        pytest.param("batch=null", r"batch: expected a whole number, got None: leave the key out", id="nothing"),
        pytest.param("augment.degrees=on", r"augment\.degrees: expected a number, got True, as YAML", id="on-is-not-1"),
        pytest.param(
            'augment.degrees="1e1"', r"augment\.degrees: expected a number, got '1e1', which is text", id="1e1"
        ),
        pytest.param(
            "augment.view=3", r"""augment\.view: expected text, got 3: put it in quotes, .* as '"3"'$""", id="a-number"
        ),
        pytest.param("at_most.siim='9'", r"at_most\.siim: expected a whole number, got '9'", id="in-a-mapping"),
        pytest.param(
            "stages=[{epochs: true}]", r"stages\.0\.epochs: expected a whole number, got True", id="in-a-list"
        ),
        pytest.param(
            "stages=[{epochs: 1, frozen: 1}]", r"stages\.0\.frozen: expected true or false, got 1$", id="bool"
        ),
        pytest.param("stages=3", r"stages: expected a list, got 3$", id="no-list"),
        pytest.param("augment=3", r"augment: expected keys and values, got 3$", id="no-keys"),
        pytest.param("data=3", r"data: expected a path, got 3$", id="no-path"),
        pytest.param("stages=[{lr: 1}]", r"stages\.0\.epochs: field required", id="missing"),
    ],
)
def test_a_mistake_is_named_by_its_dotted_key(recipe_file, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(Recipe, recipe_file, [override])


def test_all_mistakes_are_told_at_once(recipe_file):
    with pytest.raises(RecipeError, match=r"augment\.degrees: .*; .*'bach'"):
        load_recipe(Recipe, recipe_file, ["bach=1", "augment.degrees=-1"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("batch", "expected key=value, got 'batch'", id="no-equals-sign"),
        pytest.param("=3", "expected key=value, got '=3'", id="no-key"),
        pytest.param("batch.size=3", "'batch.size' goes through 'batch', which holds a value", id="through-a-value"),
        pytest.param("stages=[1", "the value of stages is not YAML", id="not-yaml"),
    ],
)
def test_an_override_that_is_none_is_refused(recipe_file, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(Recipe, recipe_file, [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("- a", r"tiny\.yaml: expected keys and values, got list", id="a-list"),
        pytest.param("batch: [1", r"tiny\.yaml is not YAML", id="torn"),
        pytest.param("batch: 4\nbatch: 8", r"tiny\.yaml is not YAML: .*'batch' is there twice", id="a-key-twice"),
        pytest.param("stages: [{epochs: 2, epochs: 3}]", r"'epochs' is there twice", id="a-key-twice-within"),
        pytest.param("batch: !!python/object/apply:os.getcwd []", r"tiny\.yaml is not YAML", id="code"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(Recipe, write_text(tmp_path / "tiny.yaml", content))


def test_a_recipe_that_is_not_there_is_missed(tmp_path):
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(Recipe, tmp_path / "nowhere.yaml")


def test_a_name_means_a_recipe_of_the_bench_and_a_suffix_means_a_file(tmp_path):
    assert recipe_path("detection", "chest8").is_file()
    assert recipe_path("detection", str(tmp_path / "mine.yaml")) == tmp_path / "mine.yaml"
