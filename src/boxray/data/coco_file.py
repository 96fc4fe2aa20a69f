"""The built set as one COCO JSON, with what COCO itself cannot say: which findings nobody looked for.

Per image, as LVIS does: `neg_category_ids` are the findings called absent, `not_exhaustive_category_ids` those that are
there without a box or unknown. What is in neither is boxed, every occurrence as far as the source's card promises.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from boxray.core.findings import Presence
from boxray.data.manifest import Manifest


def write_coco_file(manifest: Manifest, path: Path) -> None:
    """Write all images and boxes of a manifest.

    Ids count from 1 in the manifest's order; a category's is its place in the label space plus 1. A bbox is
    ``x, y, width, height`` in pixels of the picture, with all digits of the manifest. Each annotation has
    as `reader` all who drew it, as words of a shell, and keeps its `raw_label`.

    Args:
        manifest: A built set or a part of one.
        path: Of the JSON. `file_name` is relative to the manifest's folder, so it belongs there, as
            `annotations.json` beside `images/`. What is there already is replaced as a whole.
    """
    content = {
        "info": {"description": f"boxray, label space {manifest.label_space.name}"},
        "categories": [
            {"id": number, "name": finding.key, "supercategory": "finding"}
            for number, finding in enumerate(manifest.label_space, start=1)
        ],
        "images": _images(manifest),
        "annotations": _annotations(manifest),
    }
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _images(manifest: Manifest) -> list[dict[str, Any]]:
    presence = [manifest.presence(finding.key) for finding in manifest.label_space]
    return [
        {
            "id": place + 1,
            "file_name": image.picture,
            "width": int(image.width),
            "height": int(image.height),
            "neg_category_ids": _which(presence, place, Presence.ABSENT),
            "not_exhaustive_category_ids": _which(presence, place, Presence.PRESENT, Presence.UNKNOWN),
        }
        for place, image in enumerate(manifest.images.itertuples(index=False))
    ]


def _which(presence: list[Any], place: int, *wanted: Presence) -> list[int]:
    """The categories whose presence in an image is one of some."""
    return [number for number, of_images in enumerate(presence, start=1) if of_images[place] in wanted]


def _annotations(manifest: Manifest) -> list[dict[str, Any]]:
    number_of = {image: number for number, image in enumerate(manifest.images["image_id"], start=1)}
    return [
        {
            "id": number,
            "image_id": number_of[box.image_id],
            "category_id": manifest.label_space.index(box.finding) + 1,
            "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
            "area": (box.x2 - box.x1) * (box.y2 - box.y1),
            "iscrowd": 0,
            "reader": box.readers,
            "raw_label": box.raw_label,
        }
        for number, box in enumerate(manifest.boxes.itertuples(index=False), start=1)
    ]
