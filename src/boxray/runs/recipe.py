"""Recipes: YAML into frozen models. A typo must not train for ten hours."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from boxray.core.bench import bench_folder
from boxray.core.errors import DataError, RecipeError


class StrictModel(BaseModel):
    """The base of recipes: no unknown key, no later change, and no value taken for another: `yes` is not 1.

    YAML has no paths and no tuples: such fields are `FilePath` and `Annotated[tuple[…], AS_LIST]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


AS_LIST: Final = Strict(strict=False)
"""Of a tuple that is written as a list; what stands in it stays strict."""

FilePath = Annotated[Path, Strict(strict=False)]
"""A path that is written as text."""

Precision = Literal["float32", "bfloat16"]
"""What a network computes in while it learns."""


class Clahe(StrictModel):
    """Contrast-limited adaptive histogram equalization (Zuiderveld, 1994) of each film, in training as in reading."""

    clip: float = Field(default=2.0, gt=0)
    tiles: int = Field(default=8, ge=1)


RecipeType = TypeVar("RecipeType", bound=StrictModel)


def load_recipe(model: type[RecipeType], path: Path, overrides: Sequence[str] = ()) -> RecipeType:
    """Read a recipe and lay `key=value` over it.

    Args:
        model: What the recipe is read into.
        path: A YAML file, or a name in `<job>/recipes`.
        overrides: Such as ``epochs=3`` or ``augment.degrees=0``; values are YAML, so ``3`` is a number and ``'"3"'``
            is text.

    Raises:
        RecipeError: If the file is missing or no text, or a key is unknown (the nearest one is named), or a value is of
            another kind or out of range. The message begins with the recipe's name and the dotted key.
    """
    if not path.is_file():
        raise RecipeError(f"there is no recipe {path}; see the folder recipes/ of the job")
    content = _yaml(_text(path), path.name) or {}
    if not isinstance(content, dict):
        raise RecipeError(f"{path.name}: expected keys and values, got {type(content).__name__}")
    for override in overrides:
        _lay_over(content, override)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RecipeError("; ".join(_explain(path.name, model, error))) from error


def recipe_path(job: str, name: str) -> Path:
    """A recipe by path, or by name from the bench."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    return bench_folder(f"{job}/recipes") / f"{name}.yaml"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path.name} is not text in UTF-8: {error.reason}") from error


def _lay_over(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"expected key=value, got {override!r}")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise RecipeError(f"{key!r} goes through {parent!r}, which holds a value and no keys")
    content[last] = _yaml(value, f"the value of {key}")


class _Recipe(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, as in YAML 1.2, and a key stands once. PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                mark = node.value[place][0].start_mark
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is there twice", problem_mark=mark)
        return super().construct_mapping(node, deep=deep)


_Recipe.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def _yaml(text: str, what: str) -> Any:
    try:
        return yaml.load(text, _Recipe)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise RecipeError(f"{what} is not YAML: {error}") from error


def _explain(name: str, model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    known = list(_dotted_keys(model))
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            place = ".".join("*" if isinstance(part, int) else str(part) for part in fault["loc"])
            near = difflib.get_close_matches(place, known, n=1)
            yield f"{name}: unknown key {key!r}" + (f" (did you mean {_numbered(near[0], key)!r}?)" if near else "")
        elif fault["type"] in _EXPECTED:
            got, advice = reprlib.repr(fault["input"]), _advice(fault["type"], fault["input"])
            yield f"{name}: {key}: expected {_EXPECTED[fault['type']]}, got {got}{advice}"
        else:
            said = fault["msg"][:1].lower() + fault["msg"][1:]
            yield f"{name}: {key}: {said}, got {reprlib.repr(fault['input'])}"


_EXPECTED: Final = MappingProxyType(
    {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "text",
        "path_type": "a path",
        "tuple_type": "a list",
        "dict_type": "keys and values",
        "model_type": "keys and values",
    }
)
"""What stands there, by pydantic's word for the fault."""


def _advice(fault: str, got: Any) -> str:
    """What to do about a value of another kind, where its kind tells; else nothing."""
    if got is None:
        return ": leave the key out for its default"
    if isinstance(got, bool) and fault != "string_type":
        return ", as YAML reads yes, no, on and off too: write what is meant"
    if fault == "int_type" and isinstance(got, float):
        return ": write it without a point"
    if fault in {"int_type", "float_type", "bool_type"} and isinstance(got, str):
        return ", which is text: write it without quotes"
    if fault == "string_type" and isinstance(got, bool | int | float):
        return f""": put it in quotes, on a command line as '"{got}"'"""
    return ""


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All keys of a recipe and of the models in it; ``*`` stands for the number of an item of a list."""
    for key, field in model.model_fields.items():
        yield prefix + key
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _dotted_keys(inner, f"{prefix}{key}." if inner is field.annotation else f"{prefix}{key}.*.")


def _numbered(near: str, key: str) -> str:
    """The nearest key with the number of the item in which the unknown one was found."""
    numbers = (part for part in key.split(".") if part.isdigit())
    return ".".join(next(numbers, part) if part == "*" else part for part in near.split("."))


def require_start(start: Path | None) -> None:
    """Say before a run folder is made that the weights to start from are missing.

    Raises:
        DataError: If they are not there.
    """
    if start is not None and not start.is_file():
        raise DataError(f"start weights {start.name!r} are not there; set start=null to train from nothing")
