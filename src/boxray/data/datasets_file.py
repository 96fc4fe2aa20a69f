"""`datasets.yaml`: the sources in use and where they lie."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from boxray.core.errors import DataError
from boxray.data.corrections import SOURCE as REVIEWERS
from boxray.data.yaml_file import read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceEntry(_Strict):
    """One source in use."""

    card: str
    root: Path
    """Relative to the file that names it."""
    pictures: Path | None = None
    """Where its pictures lie if not below `root`; relative to the file that names it."""
    patients_of: str | None = None
    """The source whose patients these are too, under the same ids, so that both fall into the same split."""
    _stated: str = PrivateAttr("")
    """How the file that names it words its root: for who has to mend it."""

    def seen_from(self, file: Path) -> SourceEntry:
        """The same with absolute paths, as `file` means them."""
        base = file.resolve().parent
        pictures = (base / self.pictures).resolve() if self.pictures else None
        found = self.model_copy(update={"root": (base / self.root).resolve(), "pictures": pictures})
        found._stated = f" (root: {self.root} in {file})"  # noqa: SLF001 - its own, a moment old
        return found

    @property
    def root_in_words(self) -> str:
        """The root, and how a file words it."""
        return f"{self.root}{self._stated}"


def _folder_name(name: str) -> str:
    """A source's name becomes a folder of pictures; ultralytics replaces the last `images` of a path by `labels`."""
    if name == REVIEWERS:
        raise ValueError(f"no source may be called {name!r}: that is who corrects the others")
    if name == "images" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError("a source's name is of letters, digits, - and _, and is not 'images'")
    return name


SourceName = Annotated[str, AfterValidator(_folder_name)]


class SplitShares(_Strict):
    """How patients are dealt. The key makes the deal ours; changing it deals anew."""

    key: str = "boxray-1"
    val: float = Field(default=0.1, ge=0, le=0.5)
    test: float = Field(default=0.2, ge=0, le=0.5)


class DatasetsFile(_Strict):
    """The file's own keys; those of ultralytics (`train`, `val`, `test`, `names`) may stand beside them."""

    label_space: str = "chest8"
    """A name of `data/label_spaces`, or a YAML file, relative to the file that names it."""
    split: SplitShares = SplitShares()
    sources: dict[SourceName, SourceEntry]
    corrections: Path | None = None
    """Folder of what reviewers have corrected, relative to the file that names it; it may not be there yet."""
    train: str | None = None
    val: str | None = None
    test: str | None = None
    names: dict[int, str] | None = None

    @model_validator(mode="after")
    def _patients_are_known(self) -> DatasetsFile:
        for name, entry in self.sources.items():
            if entry.patients_of is not None and entry.patients_of not in self.sources.keys() - {name}:
                raise ValueError(f"source {name!r} has the patients of {entry.patients_of!r}, which is no other source")
            if entry.patients_of and self.sources[entry.patients_of].patients_of:
                first = self.sources[entry.patients_of].patients_of
                raise ValueError(
                    f"source {name!r} has the patients of {entry.patients_of!r}, whose are those of {first!r}: name it"
                )
        return self


def read_datasets_file(path: Path) -> DatasetsFile:
    """Read and check the file; its paths come back absolute.

    Raises:
        DataError: If the file is missing, a key is unknown (the nearest one is named), or a key
            (`download`) would be executed by other tools.
    """
    if not path.is_file():
        raise DataError(f"there is no {path.name} here; run in a checkout or give --datasets FILE")
    content: dict[str, Any] = read_yaml(path) or {}
    if "download" in content:
        raise DataError(f"{path.name} has a 'download:' key, which is code that others would run; remove it")
    try:
        parsed = DatasetsFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, _keys_beside(first["loc"]), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"{path.name}: unknown key {key!r}{hint}") from error
        raise DataError(f"{path.name}: {key}: {first['msg']}") from error
    base = path.resolve().parent
    sources = {name: entry.seen_from(path) for name, entry in parsed.sources.items()}
    label_space = parsed.label_space
    if label_space.endswith((".yaml", ".yml")):
        label_space = str((base / label_space).resolve())
    corrections = (base / parsed.corrections).resolve() if parsed.corrections else None
    return parsed.model_copy(update={"sources": sources, "label_space": label_space, "corrections": corrections})


def require_roots(datasets: DatasetsFile) -> None:
    """Every source has its folder. Asked before anything is decoded: sources are minutes of work.

    Raises:
        DataError: If one has none: the first is told in full, the others by name.
    """
    missing = {name: entry for name, entry in datasets.sources.items() if not entry.root.is_dir()}
    if not missing:
        return
    name, *others = missing
    beside = f"; nor are those of {', '.join(others)}" if others else ""
    raise DataError(
        f"the folder of source {name!r} is not there: {missing[name].root_in_words}{beside}. How to get each source: "
        "boxray data sources; then put it there, change the root, or take the source out of the file"
    )


def _keys_beside(place: tuple[int | str, ...]) -> list[str]:
    """The dotted keys that could stand where an unknown one stands."""
    by_depth: dict[int, type[BaseModel]] = {1: DatasetsFile, 2: SplitShares, 3: SourceEntry}
    return [".".join(map(str, (*place[:-1], key))) for key in by_depth[len(place)].model_fields]
