"""`datasets.yaml`: the sources in use and where they lie."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from boxray.core.errors import DataError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceEntry(_Strict):
    """One source in use."""

    card: str
    root: Path
    """Relative to the file that names it."""


class SplitShares(_Strict):
    """How patients are dealt. The key makes the deal ours; changing it deals anew."""

    key: str = "boxray-1"
    val: float = Field(default=0.1, ge=0, le=0.5)
    test: float = Field(default=0.2, ge=0, le=0.5)


class DatasetsFile(_Strict):
    """The file's own keys; those of ultralytics (`train`, `val`, `test`, `names`) may stand beside them."""

    label_space: str = "chest8"
    split: SplitShares = SplitShares()
    sources: dict[str, SourceEntry]
    train: str | None = None
    val: str | None = None
    test: str | None = None
    names: dict[int, str] | None = None


def read_datasets_file(path: Path) -> DatasetsFile:
    """Read and check the file; the sources' roots come back absolute.

    Raises:
        DataError: If the file is missing, a key is unknown (the nearest one is named), or a key
            (`download`) would be executed by other tools.
    """
    if not path.is_file():
        raise DataError(f"there is no {path.name} here; run in a checkout or give --datasets FILE")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if "download" in content:
        raise DataError(f"{path.name} has a 'download:' key, which is code that others would run; remove it")
    try:
        parsed = DatasetsFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        near = difflib.get_close_matches(key, list(DatasetsFile.model_fields), n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DataError(f"{path.name}: {key}: {first['msg']}{hint}") from error
    base = path.resolve().parent
    sources = {
        name: entry.model_copy(update={"root": (base / entry.root).resolve()}) for name, entry in parsed.sources.items()
    }
    return parsed.model_copy(update={"sources": sources})
