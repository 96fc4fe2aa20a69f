"""A made built set: drawn chests with a bright square for what is boxed, so that the right answer is known."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from boxray.core.findings import LabelSpace, Presence
from boxray.data.manifest import BOX_COLUMNS, Manifest
from boxray.data.presence import Rule
from boxray.data.yolo_files import write_yolo_files
from making import chest, label_space

TWO = label_space("fluid", "heart")
"""`fluid` has boxes, `heart` only image-level labels."""

SQUARE_XYXY = (60.0, 150.0, 120.0, 210.0)


def image_row(number: int, split: str, cells: dict[str, tuple[str, str]], *, source: str = "made") -> dict[str, Any]:
    """One row of the image table: a picture of 256 x 256 px and a patient of its own."""
    row: dict[str, Any] = {
        "image_id": f"{source}:{number}",
        "source": source,
        "image": str(number),
        "split": split,
        "patient": f"{number:032x}",
        "picture": f"images/{source}/{number}.png",
        "width": 256,
        "height": 256,
        "sha256": f"{number:064x}",
        "view": None,
        "sex": None,
        "age_years": None,
        "aside": "",
        "copies": "",
        "readers": f"{source}/published",
    }
    for key, (presence, rule) in cells.items():
        row |= {f"presence_{key}": presence, f"rule_{key}": rule}
    return row


def box_row(image_id: str, finding: str, xyxy: tuple[float, float, float, float]) -> dict[str, Any]:
    """One row of the box table."""
    corners = dict(zip(("x1", "y1", "x2", "y2"), xyxy, strict=True))
    votes = {"votes": 1, "n_readers": 1, "readers": "made/published"}
    return {"image_id": image_id, "finding": finding, **corners, **votes, "raw_label": finding}


def manifest_of(
    folder: Path, images: list[dict[str, Any]], boxes: list[dict[str, Any]], space: LabelSpace = TWO
) -> Manifest:
    """A manifest in memory; no picture is written."""
    return Manifest(folder, space, pd.DataFrame(images), pd.DataFrame(boxes, columns=BOX_COLUMNS))


def build_tiny_set(folder: Path, per_split: int = 6) -> Manifest:
    """Half of the pictures have a boxed bright square and the heart label, half have neither; saved."""
    images, boxes = [], []
    for place, split in enumerate(("train", "val", "test")):
        for index in range(per_split):
            number = place * per_split + index
            boxed = index % 2 == 0
            cells = {
                "fluid": (Presence.BOXED.value, Rule.BOX.value) if boxed else (Presence.ABSENT.value, Rule.LABEL.value),
                "heart": (Presence.PRESENT.value, Rule.LABEL.value)
                if boxed
                else (Presence.ABSENT.value, Rule.LABEL.value),
            }
            row = image_row(number, split, cells)
            images.append(row)
            grey = chest(seed=number)
            if boxed:
                x1, y1, x2, y2 = map(int, SQUARE_XYXY)
                grey[y1:y2, x1:x2] = 250
                boxes.append(box_row(row["image_id"], "fluid", SQUARE_XYXY))
            path = folder / row["picture"]
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), grey.astype(np.uint8))
    manifest = manifest_of(folder, images, boxes)
    write_yolo_files(manifest)
    manifest.save({})
    return manifest


def same_numbers(ours: Any, theirs: Any, atol: float = 1e-6) -> None:
    """Two tensors hold the same numbers, up to rounding. (torch.testing would load all of torch.distributed.)"""
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=atol)
