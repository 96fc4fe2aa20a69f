"""Any data set in one CSV (`annotations.csv`) beside `images/`: one row per box, or per statement without a box.

Columns are `image, label, x1, y1, x2, y2` and, where they are known, `reader`, `patient`, `width`, `height`. Corners
are in pixels of a picture of `width` x `height`; without these two, of the picture on disk. A row with empty corners
names an image without a box, and its label, if it has one, is an image-level label.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_text, rows_by_line
from boxray.data.sources.picture_header import size_of_picture
from boxray.data.sources.values import corners_of, side_of

_NEEDED: Final = ("image", "label", "x1", "y1", "x2", "y2")


@dataclass(slots=True)
class Rows:
    """All rows of one image."""

    boxes: list[RawBox] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    readers: set[str] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)
    frames_wh: set[tuple[int, int]] = field(default_factory=set)

    def add(self, row: Mapping[str, str]) -> None:
        """Take in a row.

        Raises:
            ValueError: If it is neither a box nor a statement without one.
        """
        corners = [row[side] for side in _NEEDED[2:]]
        reader = row.get("reader") or "published"
        self.readers.add(reader)
        self.patients |= {row["patient"]} if row.get("patient") else set()
        if row.get("width") or row.get("height"):
            self.frames_wh.add((side_of(row.get("width")), side_of(row.get("height"))))
        if any(corners):
            if not row["label"]:
                raise ValueError("a box without a label")
            self.boxes.append(RawBox(row["label"], corners_of(corners), reader))
        elif row["label"]:
            self.labels.add(row["label"])


def read_rows(table: Path) -> dict[str, Rows]:
    """Rows by the picture's stem.

    Raises:
        DataError: With file and line, if a row is no such row, or contradicts an earlier one of its image.
    """
    reader = csv.DictReader(io.StringIO(read_text(table), newline=""), restval="")
    missing = [column for column in _NEEDED if column not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{table.name}: expected the columns {', '.join(missing)}, got {reader.fieldnames}")
    rows: dict[str, Rows] = {}
    for line, raw in rows_by_line(reader, table.name):
        row = {key: value.strip() for key, value in raw.items() if isinstance(value, str)}
        try:
            if not row["image"] or None in raw:
                raise ValueError("no image, or more values than columns")  # noqa: TRY301 - one message for all faults
            one = rows.setdefault(Path(row["image"]).stem, Rows())
            one.add(row)
            if len(one.patients) > 1 or len(one.frames_wh) > 1:
                raise ValueError("another patient or size than before")  # noqa: TRY301 - as above
        except (ValueError, TypeError) as error:
            raise DataError(f"{table.name}:{line}: {error}") from error
    return rows


def records(download: Download) -> Iterator[Record]:
    """One record per image of the table.

    Raises:
        DataError: If the table is not what it should be.
    """
    rows = read_rows(download.table("annotations.csv"))
    pictures = download.pictures_in("images")
    for image in sorted(rows):
        one, file = rows[image], pictures.get(image)
        own_wh = size_of_picture(file) if file and one.boxes and not one.frames_wh else None
        yield Record(
            image=image,
            patient=next(iter(one.patients), image),
            file=file,
            frame_wh=next(iter(one.frames_wh), own_wh),
            boxes=tuple(one.boxes),
            labels=tuple(sorted(one.labels)),
            readers=tuple(sorted(one.readers)),
        )
