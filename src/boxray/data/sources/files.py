"""What importers share: finding pictures by stem, and tables by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from boxray.core.errors import DataError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})


@dataclass(frozen=True, slots=True)
class Download:
    """A source as it lies on disk."""

    root: Path
    """Its tables, and its pictures too unless `pictures` says otherwise."""
    pictures: Path | None = None
    """Where the pictures lie if another source holds them, such as those of NIH that ChestX-Det reads again."""

    def table(self, *names: str) -> Path:
        """The first of some names that exists below the root.

        Raises:
            DataError: If none does; the message says which were expected.
        """
        return require(self.root, *names)

    def table_if_there(self, *names: str) -> Path | None:
        """The first of some names that exists below the root, or None where the source may do without."""
        return next((self.root / name for name in names if (self.root / name).exists()), None)

    def pictures_in(self, *names: str) -> dict[str, Path]:
        """Pictures by stem, in the first of some folders that is there; none where none is: tables come alone too.

        Raises:
            DataError: If two pictures have the same stem.
        """
        folders = [self.pictures] if self.pictures else [self.root / name for name in names]
        here = next((folder for folder in folders if folder.is_dir()), None)
        return {} if here is None else pictures_by_stem(here)


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """Pictures of a folder and those below it. Only the last suffix is cut: stems may contain dots.

    Raises:
        DataError: If two pictures have the same stem: the tables could mean either.
    """
    return files_by_stem(folder, PICTURES, "pictures")


def files_by_stem(folder: Path, suffixes: frozenset[str], what: str) -> dict[str, Path]:
    """Files with one of some suffixes in a folder and those below it, by stem, in the order of their paths.

    Raises:
        DataError: If two have the same stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if path.stem in found:
            raise DataError(f"two {what} are called {path.stem!r} below {folder.name}/; the tables name only the stem")
        found[path.stem] = path
    return found


def require(root: Path, *names: str) -> Path:
    """The first of some names that exists below a source's folder.

    Raises:
        DataError: If none does; the message says which were expected.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise DataError(f"expected {' or '.join(names)} in the source's folder {root.name}/; see data/README.md")


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: If it is in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: expected text in UTF-8: {error.reason}") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file in UTF-8.

    Raises:
        DataError: If it is none, or is nested deeper than any published table.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: not JSON: {error}") from error


def rows_by_line(table: csv.DictReader[str], name: str) -> Iterator[tuple[int, dict[str | Any, str | Any]]]:
    """Each row of a CSV with the number of its last line.

    Args:
        table: Of the file.
        name: The file's.

    Raises:
        DataError: With the line, if it is none of a CSV.
    """
    try:
        for row in table:
            yield table.line_num, row
    except csv.Error as error:
        raise DataError(f"{name}:{table.reader.line_num}: not a CSV: {error}") from error


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Some columns of a CSV, gzipped or not; see `read_whole_table`.

    Args:
        path: Of the table.
        columns: Those that must be there; others may stand beside them.
        optional: Those that some releases have; blank where this one has not.

    Raises:
        DataError: If it is no such table.
    """
    return read_whole_table(path, columns).reindex(columns=[*columns, *optional], fill_value="")


def read_whole_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """All of a CSV, with every value as text: numbers are parsed where their meaning is known.

    Args:
        path: Of the table.
        columns: Those that must be there.

    Raises:
        DataError: If it is no such table.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, EOFError) as error:
        raise DataError(f"{path.name}: not a CSV: {error}") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{path.name}: expected the columns {', '.join(missing)}, got {', '.join(table.columns)}")
    return table
