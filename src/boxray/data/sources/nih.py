"""NIH ChestX-ray14: `BBox_List_2017.csv` in its three circulating forms, and `Data_Entry_2017*.csv`.

The published header of the box table has nine names over six values (`Bbox [x`, `y`, `w`, `h]` and three
empty ones), so columns are taken by position. A row is x, y, width, height in the 1024 x 1024 frame.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_table, read_text

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
            x, y, width, height = map(float, numbers[:4])
            if any(numbers[4:]) or not all(map(math.isfinite, (x, y, width, height))):
                raise ValueError("more than four, or not finite")  # noqa: TRY301 - one message for all faults of a row
        except ValueError as error:
            raise DataError(f"nih: {table.name}:{rows.line_num}: expected x, y, w, h, got {numbers}") from error
        boxes[Path(image).stem].append(RawBox(label, (x, y, x + width, y + height)))
    return dict(boxes)


def read_labels(table: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Image-level labels and view by image stem."""
    rows = read_table(table, ["Image Index", "Finding Labels", "View Position"]).itertuples(index=False)
    return {Path(image).stem: (tuple(labels.split("|")), view) for image, labels, view in rows}


def records(download: Download) -> Iterator[Record]:
    """One record per image with a box. Of an image without a row of labels nothing is said by labels."""
    boxes = read_boxes(download.table("BBox_List_2017.csv"))
    labels = read_labels(download.table("Data_Entry_2017_v2020.csv.gz", "Data_Entry_2017_v2020.csv"))
    pictures = download.pictures_in("images")
    for image in sorted(boxes):
        raw_labels, view = labels.get(image, (None, None))
        yield Record(
            image=image,
            patient=image[:8],
            file=pictures.get(image),
            frame_wh=FRAME_WH,
            boxes=tuple(boxes[image]),
            labels=raw_labels,
            view=view,
        )
