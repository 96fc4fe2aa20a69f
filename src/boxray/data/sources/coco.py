"""Any data set of one COCO JSON (`annotations.json`) beside `images/`.

Boxes are ``x, y, width, height`` in the frame of the JSON's own `width` and `height`, which need not be the
size of the picture on disk. An annotation without `category_id` gets the raw label ``(none)``. `metadata.csv`
may say more of each picture: see `metadata.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_json
from boxray.data.sources.metadata import read_metadata
from boxray.data.sources.values import corners_of_xywh, side_of

NO_CATEGORY = "(none)"


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image of a COCO JSON."""

    stem: str
    frame_wh: tuple[int, int]
    boxes: tuple[RawBox, ...]


def read_annotations(table: Path) -> list[CocoImage]:
    """The images of a JSON in the order of their names.

    Raises:
        DataError: If the file is no such JSON, or a box belongs to no image of it.
    """
    content: dict[str, Any] = read_json(table)
    try:
        names = {row["id"]: row["name"] for row in content["categories"]}
        boxes: dict[int, list[RawBox]] = {row["id"]: [] for row in content["images"]}
        for row in content["annotations"]:
            label = names[row["category_id"]] if "category_id" in row else NO_CATEGORY
            boxes[row["image_id"]].append(RawBox(label, corners_of_xywh(row["bbox"])))
        if len(boxes) != len(content["images"]):
            raise ValueError("two images have the same id")  # noqa: TRY301 - one message for all faults
        return [
            CocoImage(
                Path(row["file_name"]).stem, (side_of(row["width"]), side_of(row["height"])), tuple(boxes[row["id"]])
            )
            for row in sorted(content["images"], key=lambda row: str(row["file_name"]))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table.name}: not a COCO JSON of boxes: {error!r}") from error


def records(download: Download) -> Iterator[Record]:
    """One record per image of the JSON.

    Raises:
        DataError: If the JSON or `metadata.csv` is not what it should be.
    """
    images = read_annotations(download.table("annotations.json"))
    pictures = download.pictures_in("images")
    metadata = read_metadata(download.root)
    for image in images:
        about = metadata.of(image.stem)
        yield Record(
            image=image.stem,
            patient=about.patient or image.stem,
            file=pictures.get(image.stem),
            frame_wh=image.frame_wh,
            boxes=image.boxes,
            labels=about.labels,
            view=about.view,
            sex=about.sex,
            age_years=about.age_years,
        )
