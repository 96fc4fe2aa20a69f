"""Any data set of one COCO JSON (`annotations.json`) beside `images/`.

Boxes are ``x, y, width, height`` in the frame of the JSON's own `width` and `height`, which need not be the
size of the picture on disk. An annotation without `category_id` gets the raw label ``(none)``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import pictures_by_stem, require
from boxray.data.sources.yolo import read_patients

NO_CATEGORY = "(none)"


def records(root: Path) -> Iterator[Record]:
    """One record per image of the JSON."""
    table = require(root, "annotations.json")
    try:
        content: dict[str, Any] = json.loads(table.read_text(encoding="utf-8"))
        names = {row["id"]: row["name"] for row in content["categories"]}
        boxes: dict[int, list[RawBox]] = defaultdict(list)
        for row in content["annotations"]:
            x, y, width, height = row["bbox"]
            label = names[row["category_id"]] if "category_id" in row else NO_CATEGORY
            boxes[row["image_id"]].append(RawBox(label, (x, y, x + width, y + height)))
        images = sorted(content["images"], key=lambda row: row["file_name"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table.name}: not a COCO JSON of boxes: {error!r}") from error
    pictures = pictures_by_stem(require(root, "images"))
    patients = read_patients(root)
    for row in images:
        stem = Path(row["file_name"]).stem
        yield Record(
            image=stem,
            patient=patients.get(stem, stem),
            file=pictures.get(stem),
            frame_wh=(row["width"], row["height"]),
            boxes=tuple(boxes[row["id"]]),
        )
