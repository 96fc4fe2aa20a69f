"""One source to tables: records decoded, mapped to the label space, and every drop booked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.ahead import in_order
from boxray.core.boxes import box_area, clip_boxes
from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace
from boxray.core.frames import ScaleShift
from boxray.data.books import Books
from boxray.data.card import Card
from boxray.data.manifest import READER_BOX_COLUMNS
from boxray.data.pictures import Picture, Shelf
from boxray.data.presence import Cells, PresenceRules
from boxray.data.presence import together as joined
from boxray.data.record import Record
from boxray.data.sources.files import PICTURES
from boxray.data.split import Split, patient_key

SMALLEST_SIDE_PX: Final = 1.0
LEAST_INSIDE: Final = 0.5
"""Share of a box that must lie inside the picture: clicks slip by some pixels, half a box means a wrong frame."""

IMAGE_COLUMNS: Final = (
    "image_id",
    "source",
    "image",
    "patient",
    "published",
    "picture",
    "width",
    "height",
    "sha256",
    "view",
    "sex",
    "age_years",
    "aside",
    "hash",
)

_NAMED_BEFORE: Final = "named a second time by the tables"

_CHUNK: Final = 20_000
"""Rows that are tuples at one time; a table of columns takes a tenth of the memory."""

Progress = Callable[[str, int], None]


@dataclass(slots=True)
class Gathered:
    """Images of one or several sources, row by row the same in all four."""

    images: pd.DataFrame
    cells: list[Cells]
    readers: list[tuple[str, ...]]
    thumbnails: list[np.ndarray[Any, np.dtype[np.uint8]]]
    boxes: pd.DataFrame
    """The readers' boxes in pixels of the pictures."""


def together(parts: Iterable[Gathered]) -> Gathered:
    """Several sources as one, in their order."""
    whole = list(parts)
    return Gathered(
        pd.concat([part.images for part in whole], ignore_index=True),
        [cells for part in whole for cells in part.cells],
        [readers for part in whole for readers in part.readers],
        [thumbnail for part in whole for thumbnail in part.thumbnails],
        pd.concat([part.boxes for part in whole], ignore_index=True),
    )


@dataclass(frozen=True, slots=True)
class Gatherer:
    """What the images of one source have in common."""

    name: str
    people: str
    """The source whose patients these are."""
    card: Card
    label_space: LabelSpace
    key: str
    """Of the hash that makes patients opaque."""
    shelf: Shelf
    audit: Books

    def run(self, records: Iterable[Record], folders: Iterable[Path], progress: Progress) -> Gathered:
        """Decode and map every record; each one is in the result or booked in the audit.

        Args:
            records: As the importer yields them.
            folders: Where the source's pictures may lie: those there that no table names are counted.
            progress: Called with the source's name and the number of images finished since the last call.
        """
        rules = PresenceRules(self.card, self.label_space)
        asked = any(self.label_space.finding_for(word) for word in self.card.boxes.values())
        images, boxes = _Table(IMAGE_COLUMNS), _Table(READER_BOX_COLUMNS)
        gathered = Gathered(pd.DataFrame(), [], [], [], pd.DataFrame())
        row_of: dict[str, int | None] = {}
        files: set[Path] = set()
        for record, picture in self._with_pictures(records):
            self._require_frame(record)
            again = record.image in row_of
            if record.file is not None:
                files.add(record.file)
            progress(self.name, 1)
            self.audit.images_named += 1
            self.audit.boxes_named += len(record.boxes)
            if isinstance(picture, str):
                self.audit.drop_image(picture, len(record.boxes))
                row = row_of.setdefault(record.image, None)
                if again and row is not None:
                    lost = {word for raw in record.boxes if (word := self.card.finding_of(raw.label))}
                    gathered.cells[row] = joined([gathered.cells[row], rules.cells((), None, lost)], exclusive=False)
                continue
            row_of[record.image] = len(gathered.cells)
            rows, boxed, lost = self._boxes(record, picture)
            boxes.add(rows)
            gathered.cells.append(rules.cells(boxed, record.labels, lost))
            gathered.readers.append(tuple(map(self._reader, record.readers)) if asked else ())
            gathered.thumbnails.append(picture.fingerprint.thumbnail)
            images.add([self._image(record, picture)])
        self._count_unnamed(files, folders)
        gathered.images, gathered.boxes = images.frame(), boxes.frame()
        return gathered

    def _with_pictures(self, records: Iterable[Record]) -> Iterator[tuple[Record, Picture | str]]:
        """Each record with its picture, in their order; as many are decoded at once as the shelf has children."""

        def work(told: tuple[Record, bool]) -> tuple[Record, Picture | str]:
            record, again = told
            return record, _NAMED_BEFORE if again else self._picture(record)

        threads = self.shelf.at_once
        return in_order(work, _told_again(records), threads=threads, ahead=4 * threads)

    def _require_frame(self, record: Record) -> None:
        frame = self.card.frame
        as_stated = {
            "relative": record.frame_wh is None,
            "fixed": record.frame_wh == (frame.width, frame.height),
            "per_image": record.frame_wh is not None or not record.boxes,
        }
        if not as_stated[frame.kind]:
            raise DataError(
                f"{self.card.key}: image {record.image!r}: the card states a {frame.kind} frame"
                f"{f' of {frame.width} x {frame.height}' if frame.kind == 'fixed' else ''}, "
                f"the importer gives {record.frame_wh}; one of the two is wrong"
            )

    def _picture(self, record: Record) -> Picture | str:
        """The picture of a record, or the reason why there is none."""
        if Path(record.image).name != record.image or record.image == "..":
            return "its id is no name of a file"  # ids of tables become paths of the built set
        if record.view == "L" and self.card.chest:
            return "a lateral film: the models here read frontal ones"
        if record.file is None:
            return "not on disk"
        return self.shelf.put(f"images/{self.name}/{record.image}.png", record.file, chest=self.card.chest)

    def _image(self, record: Record, picture: Picture) -> tuple[Any, ...]:
        if picture.flag:
            self.audit.remarks[f"put aside: {picture.flag}"] += 1
        published = self.card.splits.get(record.split or "")
        return (
            f"{self.name}:{record.image}",
            self.name,
            record.image,
            patient_key(self.key, self.people, record.patient),
            Split(published).value if published else "",
            picture.path,
            picture.width,
            picture.height,
            picture.sha256,
            picture.view or record.view,
            record.sex,
            record.age_years,
            picture.flag,
            picture.fingerprint.hash64,
        )

    def _boxes(self, record: Record, picture: Picture) -> tuple[list[tuple[Any, ...]], set[str], set[str]]:
        """Rows of an image's boxes; the card's words that are boxed; those of which a box could not be built."""
        size_wh = picture.width, picture.height
        to_picture = ScaleShift.between(record.frame_wh or (1, 1), size_wh)
        rows: dict[tuple[Any, ...], str] = {}
        boxed: set[str] = set()
        lost: set[str] = set()
        for raw in record.boxes:
            word = self.card.finding_of(raw.label)
            finding = None if word is None else self.label_space.finding_for(word)
            if word is None or finding is None:
                self.audit.boxes_dropped[f"{raw.label}: {self.card.dropped_boxes.get(raw.label, 'not asked for')}"] += 1
                continue
            mapped = to_picture.apply(np.array([raw.xyxy], dtype=np.float64))
            clipped = clip_boxes(mapped, size_wh)
            fault = _fault_of(mapped, clipped)
            if fault:
                self.audit.boxes_dropped[fault] += 1
                lost.add(word)
                continue
            boxed.add(word)
            row = (f"{self.name}:{record.image}", finding, *clipped[0].tolist(), self._reader(raw.reader))
            if row in rows:
                self.audit.boxes_dropped["the same box of the same finding a second time"] += 1
                continue
            rows[row] = raw.label
            if box_area(mapped)[0] > box_area(clipped)[0]:
                self.audit.remarks["box clipped at the edge of the image"] += 1
        return [(*row, label) for row, label in rows.items()], boxed, lost

    def _reader(self, name: str) -> str:
        """A reader's name in the tables, where names stand side by side with blanks between them."""
        return f"{self.name}/{'_'.join(name.split())}"

    def _count_unnamed(self, named: set[Path], folders: Iterable[Path]) -> None:
        found = {path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in PICTURES}
        if found - named:
            self.audit.remarks["picture that no table names"] += len(found - named)


def _told_again(records: Iterable[Record]) -> Iterator[tuple[Record, bool]]:
    """Each record, and whether its image was named before."""
    named: set[str] = set()
    for record in records:
        yield record, record.image in named
        named.add(record.image)


def _fault_of(mapped: np.ndarray[Any, Any], clipped: np.ndarray[Any, Any]) -> str:
    """Why a box cannot be built, or nothing."""
    if not np.isfinite(mapped).all():
        return "a corner is no finite number"
    if not (clipped[:, 2:] - clipped[:, :2] > SMALLEST_SIDE_PX).all():
        return f"degenerate: a side of {SMALLEST_SIDE_PX:g} px or less in the image"
    if box_area(clipped)[0] < LEAST_INSIDE * box_area(mapped)[0]:
        return "more than half of it lies outside the picture: drawn in another frame?"
    return ""


@dataclass(slots=True)
class _Table:
    """A table that grows by rows and keeps columns."""

    columns: Iterable[str]
    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _frames: list[pd.DataFrame] = field(default_factory=list)

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows += rows
        if len(self._rows) >= _CHUNK:
            self._flush()

    def frame(self) -> pd.DataFrame:
        self._flush()
        return pd.concat(self._frames, ignore_index=True)

    def _flush(self) -> None:
        if self._rows or not self._frames:
            self._frames.append(_typed(pd.DataFrame(self._rows, columns=list(self.columns))))
            self._rows = []


_TYPES: Final = {
    **dict.fromkeys(("x1", "y1", "x2", "y2"), "float64"),
    **dict.fromkeys(("width", "height"), "int64"),
    "age_years": "Int16",
    "hash": "uint64",
}


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """An empty column has no type of its own, and Parquet wants one."""
    return frame.astype({name: _TYPES.get(name, "str") for name in frame.columns})
