"""Recipes: YAML into frozen models. A typo must not train for ten hours."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from boxray.core.bench import bench_folder
from boxray.core.errors import RecipeError


class StrictModel(BaseModel):
    """The base of recipes: no unknown key, no later change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


RecipeType = TypeVar("RecipeType", bound=StrictModel)


def load_recipe(model: type[RecipeType], path: Path, overrides: Sequence[str] = ()) -> RecipeType:
    """Read a recipe and lay `key=value` over it.

    Args:
        model: What the recipe is read into.
        path: A YAML file, or a name in `<job>/recipes`.
        overrides: Such as ``epochs=3`` or ``augment.degrees=0``; values are YAML.

    Raises:
        RecipeError: If the file is missing, or a key is unknown (the nearest one is named), or a
            value is out of range. The message begins with the recipe's name and the dotted key.
    """
    if not path.is_file():
        raise RecipeError(f"there is no recipe {path}; see the folder recipes/ of the job")
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
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


def _lay_over(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"expected key=value, got {override!r}")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise RecipeError(f"{key!r} goes through {parent!r}, which holds a value and no keys")
    content[last] = yaml.safe_load(value)


def _explain(name: str, model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    known = list(_dotted_keys(model))
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known, n=1)
            yield f"{name}: unknown key {key!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
        else:
            yield f"{name}: {key}: {fault['msg'].lower()}, got {fault['input']!r}"


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key, field in model.model_fields.items():
        yield prefix + key
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _dotted_keys(inner, f"{prefix}{key}.")
