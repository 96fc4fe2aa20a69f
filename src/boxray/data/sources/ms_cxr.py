"""MS-CXR: boxes round what a phrase of a MIMIC-CXR report speaks of. Positives only: nothing is ever absent.

One row per box, so a phrase with two boxes has two rows and a box may serve two phrases. Boxes are ``x, y, w, h`` in
pixels of the MIMIC-CXR-JPG picture, whose size each row states. The patient is the number behind ``p`` in `path`.
Release 1.1.0 adds the column `split`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_table
from boxray.data.sources.values import corners_of_xywh, side_of


@dataclass(slots=True)
class Image:
    """The rows of one image."""

    patient: str
    frame_wh: tuple[int, int]
    split: str | None
    boxes: list[RawBox] = field(default_factory=list)


def records(download: Download) -> Iterator[Record]:
    """One record per image. Boxes speak; there are no image-level labels.

    Raises:
        DataError: If a row is no box, or the rows of an image differ in its size, patient or part.
    """
    names = [f"MS_CXR_Local_Alignment_v{version}.csv" for version in ("1.1.0", "1.0.0")]
    table = download.table(*names)
    columns = ["dicom_id", "path", "image_width", "image_height", "category_name", "x", "y", "w", "h"]
    by_image: dict[str, list[Image]] = defaultdict(list)
    for image, path, width, height, label, *xywh, split in read_table(table, columns, ["split"]).itertuples(
        index=False
    ):
        try:
            one = Image(_patient(path), (side_of(width), side_of(height)), split or None)
            one.boxes.append(RawBox(label, corners_of_xywh(xywh)))
        except ValueError as error:
            raise DataError(f"{table.name}: image {image!r}: {error}") from error
        by_image[image].append(one)
    pictures = download.pictures_in("images", "files")
    for image in sorted(by_image):
        first, *others = by_image[image]
        if any(
            (row.patient, row.frame_wh, row.split) != (first.patient, first.frame_wh, first.split) for row in others
        ):
            raise DataError(f"{table.name}: the rows of image {image!r} differ in its size, its patient or its part")
        yield Record(
            image=image,
            patient=first.patient,
            file=pictures.get(image),
            frame_wh=first.frame_wh,
            boxes=tuple(box for row in by_image[image] for box in row.boxes),
            labels=None,
            split=first.split,
        )


def _patient(path: str) -> str:
    found = re.search(r"(?:^|/)p(\d{8})/", path)
    if found is None:
        raise ValueError("expected a path such as files/p10/p10000032/s50414267/….jpg, which tells the patient")
    return found[1]
