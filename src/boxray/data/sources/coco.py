"""Any data set of one COCO JSON (`annotations.json`) beside `images/`.

Boxes are ``x, y, width, height`` in the frame of the JSON's own `width` and `height`, which need not be the
size of the picture on disk. An annotation without `category_id` gets the raw label ``(none)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download
from boxray.data.sources.yolo import read_patients

NO_CATEGORY = "(none)"


def records(download: Download) -> Iterator[Record]:
    """One record per image of the JSON.

    Raises:
        DataError: If the file is no such JSON, or a box belongs to no image of it.
    """
    table = download.table("annotations.json")
    try:
        content: dict[str, Any] = json.loads(table.read_text(encoding="utf-8"))
        names = {row["id"]: row["name"] for row in content["categories"]}
        boxes: dict[int, list[RawBox]] = {row["id"]: [] for row in content["images"]}
        for row in content["annotations"]:
            x, y, width, height = map(float, row["bbox"])
            label = names[row["category_id"]] if "category_id" in row else NO_CATEGORY
            boxes[row["image_id"]].append(RawBox(label, (x, y, x + width, y + height)))
        if len(boxes) != len(content["images"]):
            raise ValueError("two images have the same id")  # noqa: TRY301 - one message for all faults
        images = [
            (Path(row["file_name"]).stem, (_side(row["width"]), _side(row["height"])), tuple(boxes[row["id"]]))
            for row in sorted(content["images"], key=lambda row: str(row["file_name"]))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table.name}: not a COCO JSON of boxes: {error!r}") from error
    pictures = download.pictures_in("images")
    patients = read_patients(download.root)
    for stem, frame_wh, image_boxes in images:
        yield Record(
            image=stem,
            patient=patients.get(stem, stem),
            file=pictures.get(stem),
            frame_wh=frame_wh,
            boxes=image_boxes,
        )


def _side(value: Any) -> int:
    side = int(value)
    if side <= 0:
        raise ValueError(f"a side of {side} px")
    return side
