"""VinDr-CXR, as Kaggle published it (`train.csv`) and as PhysioNet does (`annotations_*.csv`, `image_labels_*.csv`).

Each image was read by three of seventeen radiologists; PhysioNet's test part is a consensus of five. Boxes are
in pixels of the original DICOM, whose size no table states: it is taken from `sizes.csv`
(`image_id,width,height`) where that is there, else from the header of the DICOM on disk. Boxes on a re-posted
PNG without `sizes.csv` are refused. An image that is not on disk, or has no box, needs no frame and has
none; its boxes are only counted.

What a reader says without a box ("No finding", PhysioNet's global labels) is an image-level label: as it stands where
most of the readers say it, with ``(disputed)`` behind it where fewer do. Classes with a box are labels too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_table, read_whole_table
from boxray.data.sources.picture_header import read_picture_header
from boxray.data.sources.values import corners_of, read_sizes
from boxray.imaging.sniff import Kind

CONSENSUS: Final = "consensus"
DISPUTED: Final = " (disputed)"

_CORNERS: Final = ("x_min", "y_min", "x_max", "y_max")
_PARTS: Final = ("train", "test")


@dataclass(slots=True)
class Said:
    """What all readers said of one image."""

    split: str | None
    boxes: list[RawBox] = field(default_factory=list)
    readers: set[str] = field(default_factory=set)
    votes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Raw label -> who said it."""

    def labels(self) -> tuple[str, ...]:
        """Raw image-level labels, disputed ones marked."""
        boxed = {box.label for box in self.boxes}
        return tuple(
            label if label in boxed or 2 * len(voters) > len(self.readers) else label + DISPUTED
            for label, voters in sorted(self.votes.items())
        )


def records(download: Download) -> Iterator[Record]:
    """One record per image that the tables name, with every reader's boxes.

    Raises:
        DataError: If a table is not what it should be, or boxes on a picture on disk have no known frame.
    """
    said = _read_all(download)
    size_table = download.table_if_there("sizes.csv")
    sizes = read_sizes(size_table) if size_table else {}
    pictures = download.pictures_in("images", ".")
    for image in sorted(said):
        one, file = said[image], pictures.get(image)
        yield Record(
            image=image,
            patient=image,
            file=file,
            frame_wh=_frame(image, file, sizes) if one.boxes and file else None,
            boxes=tuple(one.boxes),
            labels=one.labels(),
            readers=tuple(sorted(one.readers)),
            split=one.split,
        )


def _read_all(download: Download) -> dict[str, Said]:
    """Kaggle's one table, or the parts of PhysioNet's that are there."""
    said: dict[str, Said] = {}
    kaggle = download.table_if_there("train.csv", "train.csv.gz")
    if kaggle:
        _add_boxes(said, kaggle, None)
        return said
    for part in _PARTS:
        names = (f"annotations_{part}.csv", f"annotations/annotations_{part}.csv")
        table = download.table_if_there(*names)
        if table:
            _add_boxes(said, table, part)
            _add_labels(said, table.with_name(f"image_labels_{part}.csv"), part)
    if not said:
        download.table("train.csv", "train.csv.gz", "annotations_train.csv", "annotations/annotations_train.csv")
    return said


def _add_boxes(said: dict[str, Said], table: Path, part: str | None) -> None:
    rows = read_table(table, ["image_id", "class_name", *_CORNERS], ["rad_id"])
    for image, label, *corners, reader in rows.itertuples(index=False):
        one = said.setdefault(image, Said(part))
        one.readers.add(reader or CONSENSUS)
        one.votes[label].add(reader or CONSENSUS)
        if not any(corners):
            continue
        try:
            one.boxes.append(RawBox(label, corners_of(corners), reader or CONSENSUS))
        except ValueError as error:
            raise DataError(f"{table.name}: image {image!r}: expected four corners, got {corners}") from error


def _add_labels(said: dict[str, Said], table: Path, part: str) -> None:
    """Without these, nobody could call pneumonia or tuberculosis absent: the table must be there."""
    if not table.is_file():
        raise DataError(f"expected {table.name} beside annotations_{part}.csv; see data/README.md")
    labelled = set()
    for row in read_whole_table(table, ["image_id"]).to_dict("records"):
        image, reader = row.pop("image_id"), row.pop("rad_id", "") or CONSENSUS
        one = said.setdefault(image, Said(part))
        one.readers.add(reader)
        labelled.add(image)
        for label, value in row.items():
            if value in {"1", "1.0"}:
                one.votes[label].add(reader)
    unlabelled = {image for image, one in said.items() if one.split == part} - labelled
    if unlabelled:
        raise DataError(f"{table.name}: image {min(unlabelled)!r} of annotations_{part}.csv has no row")


def _frame(image: str, file: Path, sizes: dict[str, tuple[int, int]]) -> tuple[int, int] | None:
    if image in sizes:
        return sizes[image]
    header = read_picture_header(file)
    if header is not None and header.kind is not Kind.DICOM:
        raise DataError(
            f"vindr: the boxes of image {image!r} are in pixels of its original DICOM, and its picture on disk is a "
            f"{header.kind}, which does not tell that size; supply sizes.csv (image_id,width,height), or the DICOM"
        )
    return header.size_wh if header else None
