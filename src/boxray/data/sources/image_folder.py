"""Any data set of pictures sorted into folders by class: `<class>/`, or `train|val|test/<class>/`. No boxes.

The raw label is the folder's name; of a picture nothing else is known. Stems repeat between such folders, so an image
is called by its whole path, joined by ``__``: ``train__NORMAL__IM-0115-0001``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from boxray.core.errors import DataError
from boxray.data.record import Record
from boxray.data.sources.files import Download, pictures_by_stem

PARTS: Final = frozenset({"train", "val", "valid", "validation", "test"})
"""Names of folders, in any case, that are parts of a published split and no class."""


def class_folders(root: Path) -> list[tuple[str | None, Path]]:
    """Part, where there are parts, and folder of each class. Other folders beside parts are no class.

    Raises:
        DataError: If there is no folder of a class.
    """
    parts = [folder for folder in _folders(root) if folder.name.lower() in PARTS]
    found: list[tuple[str | None, Path]] = [(part.name, folder) for part in parts for folder in _folders(part)]
    if not parts:
        found = [(None, folder) for folder in _folders(root)]
    if not found:
        raise DataError(
            f"expected <class>/ or train|val|test/<class>/ with pictures in the source's folder {root.name}/; "
            "see data/README.md"
        )
    return found


def records(download: Download) -> Iterator[Record]:
    """One record per picture.

    Raises:
        DataError: If there is no folder of a class, or two pictures of one class have the same stem.
    """
    root = download.pictures or download.root
    found = []
    for part, folder in class_folders(root):
        for path in pictures_by_stem(folder).values():
            image = "__".join(path.relative_to(root).with_suffix("").parts)
            found.append(Record(image, image, path, None, labels=(folder.name,), split=part))
    yield from sorted(found, key=lambda record: record.image)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
