"""Object-CXR: foreign objects inside the lung field, drawn as rectangles, ellipses and polygons. A control set.

`train.csv` and `dev.csv` have per image shapes ``TYPE x1 y1 x2 y2`` separated by ``;`` in pixels of the JPEG itself:
0 a rectangle, 1 an ellipse, each by its bounding box, 2 a polygon ``x1 y1 … xn yn``. A box is the bounding
box of a shape. The tables state no size, so the frame is read from the picture's header; an image that is not on disk
has none, and its boxes are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_whole_table
from boxray.data.sources.picture_header import size_of_picture
from boxray.data.sources.values import bounds_of

SHAPES: Final = {"0": "rectangle", "1": "ellipse", "2": "polygon"}
"""Raw label by type."""

_PARTS: Final = ("train", "dev")


def read_shapes(text: str) -> tuple[RawBox, ...]:
    """Bounding boxes of an image's shapes; an empty text has none.

    Raises:
        ValueError: If a shape is of no known type or has not the coordinates that one needs.
    """
    boxes = []
    for shape in filter(str.strip, text.split(";")):
        kind, *numbers = shape.split()
        xs, ys = numbers[::2], numbers[1::2]
        enough = len(xs) >= 3 if kind == "2" else len(xs) == 2
        if kind not in SHAPES or len(xs) != len(ys) or not enough:
            raise ValueError(f"expected 'type x1 y1 x2 y2' or '2 x1 y1 … xn yn', got {shape[:80]!r}")
        boxes.append(RawBox(SHAPES[kind], bounds_of(xs, ys)))
    return tuple(boxes)


def records(download: Download) -> Iterator[Record]:
    """One record per image of the parts whose table is there.

    Raises:
        DataError: If neither table is there, or a row is no list of shapes.
    """
    tables = {part: table for part in _PARTS if (table := download.table_if_there(f"{part}.csv"))}
    if not tables:
        download.table(*(f"{part}.csv" for part in _PARTS))
    pictures = download.pictures_in("images", ".")
    images = {image: (part, boxes) for part in tables for image, boxes in _read_part(tables[part])}
    for image in sorted(images):
        part, boxes = images[image]
        file = pictures.get(image)
        yield Record(
            image=image,
            patient=image,
            file=file,
            frame_wh=size_of_picture(file) if file and boxes else None,
            boxes=boxes,
            split=part,
        )


def _read_part(table: Path) -> Iterator[tuple[str, tuple[RawBox, ...]]]:
    rows = read_whole_table(table, ["annotation"])
    column = next((name for name in ("image_name", "image_path") if name in rows.columns), None)
    if column is None:
        raise DataError(f"{table.name}: expected the column image_name or image_path, got {', '.join(rows.columns)}")
    for name, text in zip(rows[column], rows["annotation"], strict=True):
        try:
            yield Path(name).stem, read_shapes(text)
        except ValueError as error:
            raise DataError(f"{table.name}: image {Path(name).stem!r}: {error}") from error
