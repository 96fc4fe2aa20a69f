"""What importers share: finding pictures by stem, and tables by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from boxray.core.errors import DataError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """Pictures of a folder and those below it. Only the last suffix is cut: stems may contain dots.

    Raises:
        DataError: If two pictures have the same stem: the tables could mean either.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURES:
            continue
        if path.stem in found:
            raise DataError(f"two pictures are called {path.stem!r} below {folder.name}/; the tables name only the stem")
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


def read_table(path: Path, **options: object) -> pd.DataFrame:
    """A CSV, gzipped or not, with every value as text: numbers are parsed where their meaning is known."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", **options)
