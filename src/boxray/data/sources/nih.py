"""NIH ChestX-ray14: `BBox_List_2017.csv` in its three circulating forms, and `Data_Entry_2017*.csv`.

The published header of the box table has nine names over six values (`Bbox [x`, `y`, `w`, `h]` and three
empty ones), so columns are taken by position. A row is x, y, width, height in the 1024 x 1024 frame.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_table, read_text
from boxray.data.sources.values import age_of, corners_of_xywh, sex_of, view_of

FRAME_WH = (1024, 1024)


def read_boxes(table: Path) -> dict[str, list[RawBox]]:
    """Boxes by image stem, in the 1024 x 1024 frame, whatever the header's form.

    Raises:
        DataError: If the header is missing, or a row has not six values, with its line number.
    """
    boxes: dict[str, list[RawBox]] = defaultdict(list)
    rows = csv.reader(read_text(table).splitlines())
    header = next(rows, [])
    if header[:2] != ["Image Index", "Finding Label"]:
        raise DataError(f"nih: {table.name}:1: expected the header 'Image Index,Finding Label,…', got {header}")
    for row in rows:
        if not any(row):
            continue
        image, label, *numbers = row + [""] * (6 - len(row))
        try:
            corners = corners_of_xywh(numbers[:4])
            if any(numbers[4:]):
                raise ValueError("more than four")  # noqa: TRY301 - one message for all faults of a row
        except ValueError as error:
            raise DataError(f"nih: {table.name}:{rows.line_num}: expected x, y, w, h, got {numbers}") from error
        boxes[Path(image).stem].append(RawBox(label, corners))
    return dict(boxes)


@dataclass(frozen=True, slots=True)
class Entry:
    """What `Data_Entry_2017*.csv` says of an image; that of an image without a row says nothing."""

    labels: tuple[str, ...] | None = None
    view: str | None = None
    sex: str | None = None
    age_years: int | None = None


def read_entries(table: Path) -> dict[str, Entry]:
    """Image-level labels, view, sex and age by image stem.

    Ages are written ``58`` in the release of 2020 and ``058Y`` in the one of 2017, which also has ages that nobody
    reaches; those are left out.
    """
    columns = ["Image Index", "Finding Labels", "View Position"]
    rows = read_table(table, columns, ["Patient Gender", "Patient Age"]).itertuples(index=False)
    return {
        Path(image).stem: Entry(tuple(labels.split("|")), view_of(view), sex_of(sex), age_of(age))
        for image, labels, view, sex, age in rows
    }


def records(download: Download) -> Iterator[Record]:
    """One record per image with a box. Of an image without a row of labels nothing is said by labels."""
    boxes = read_boxes(download.table("BBox_List_2017.csv", "BBox_List_2017_Official_NIH.csv"))
    entries = read_entries(
        download.table("Data_Entry_2017_v2020.csv.gz", "Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
    )
    pictures = download.pictures_in("images")
    for image in sorted(boxes):
        entry = entries.get(image, Entry())
        yield Record(
            image=image,
            patient=image[:8],
            file=pictures.get(image),
            frame_wh=FRAME_WH,
            boxes=tuple(boxes[image]),
            labels=entry.labels,
            view=entry.view,
            sex=entry.sex,
            age_years=entry.age_years,
        )
