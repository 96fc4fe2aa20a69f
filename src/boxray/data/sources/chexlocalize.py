"""CheXlocalize: radiologists' contours of ten findings on the validation and test films of CheXpert.

`gt_annotations_val.json` and `gt_annotations_test.json` hold contours ``[[x, y], …]`` in pixels of the film, whose
`img_size` is height before width. A box is the bounding box of a contour. An image that no JSON names has none of the
ten findings: it becomes a record where its picture lies in the folder of such a part (`CheXpert/val/`,
`CheXpert/test/`). An id is ``<patient>_<study>_<view>``, a picture lies at ``<patient>/<study>/<view>.jpg``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import PICTURES, Download, read_json
from boxray.data.sources.values import bounds_of, side_of

_FOLDERS: Final = {"val": {"val", "valid"}, "test": {"test"}}
"""Published part -> folders that CheXpert and CheXlocalize keep it in."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film of a part."""

    split: str
    frame_wh: tuple[int, int] | None = None
    """None for a film that the JSON does not name, which has no box either."""
    boxes: tuple[RawBox, ...] = ()


def read_contours(table: Path, part: str) -> dict[str, Film]:
    """The films that a JSON names, by id.

    Raises:
        DataError: If the file is no such JSON.
    """
    content: Any = read_json(table)
    try:
        return {image: _film(dict(entry), part) for image, entry in content.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{table.name}: not the contours of CheXlocalize: {error!r}") from error


def records(download: Download) -> Iterator[Record]:
    """One record per film of the parts whose JSON is there.

    Raises:
        DataError: If neither JSON is there, or one is not what it should be.
    """
    films: dict[str, Film] = {}
    pictures: dict[str, Path] = {}
    tables = {part: (f"gt_annotations_{part}.json", f"CheXlocalize/gt_annotations_{part}.json") for part in _FOLDERS}
    parts = {part: table for part, names in tables.items() if (table := download.table_if_there(*names))}
    if not parts:
        download.table(*(name for names in tables.values() for name in names))
    for part, table in parts.items():
        films |= read_contours(table, part)
    folder = download.pictures or download.root
    for path in _pictures(folder):
        image = _id_of(path)
        pictures[image] = path
        above = set(path.relative_to(folder.parent).parts)
        part_here = next((part for part in parts if _FOLDERS[part] & above), None)
        if part_here:
            films.setdefault(image, Film(part_here))
    for image in sorted(films):
        film = films[image]
        yield Record(
            image=image,
            patient=image.split("_")[0],
            file=pictures.get(image),
            frame_wh=film.frame_wh,
            boxes=film.boxes,
            split=film.split,
            view="L" if image.endswith("_lateral") else None,
        )


def _film(entry: dict[str, Any], part: str) -> Film:
    height, width = entry.pop("img_size")
    boxes = tuple(
        RawBox(name, bounds_of(*zip(*contour, strict=True))) for name, contours in entry.items() for contour in contours
    )
    return Film(part, (side_of(width), side_of(height)), boxes)


def _pictures(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES:
            yield path


def _id_of(path: Path) -> str:
    """Of ``…/patient1/study1/view1_frontal.jpg``, or of a picture that is called by its id."""
    return path.stem if path.stem.startswith("patient") else "_".join((*path.parts[-3:-1], path.stem))
