"""The built set as YOLO files: `labels/` beside `images/`, and a list of pictures per split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from boxray.core.boxes import xyxy_to_yolo
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.split import PARTS

DIGITS = 10
"""Behind the point. A corner is a centre and half a side, so it is off by 0.75e-10 of a side: 4e-7 px of 5,000."""


def write_yolo_files(manifest: Manifest) -> None:
    """Write one label file per picture (an empty one where there is no box) and `train.txt`, `val.txt`, `test.txt`.

    Paths in the lists begin with ``./``, which ultralytics reads as relative to the list.
    """
    lines = _lines_by_picture(manifest)
    for folder in {label_file(manifest.folder, picture).parent for picture in manifest.images["picture"]}:
        folder.mkdir(parents=True, exist_ok=True)
    for picture in manifest.images["picture"]:
        label_file(manifest.folder, picture).write_text("".join(lines.get(picture, [])), encoding="utf-8")
    for split in PARTS:
        pictures = manifest.part(split).images["picture"]
        (manifest.folder / f"{split.value}.txt").write_text("".join(f"./{p}\n" for p in pictures), encoding="utf-8")


def _lines_by_picture(manifest: Manifest) -> dict[str, list[str]]:
    """The rows of each picture that has boxes."""
    sizes = manifest.images[["image_id", "picture", "width", "height"]]
    boxes = manifest.boxes.merge(sizes, on="image_id", how="left", validate="many_to_one")
    index = boxes["finding"].map(manifest.label_space.index).astype(str)
    fractions = xyxy_to_yolo(boxes[CORNERS].to_numpy(dtype=np.float64), (1, 1))
    fractions /= boxes[["width", "height", "width", "height"]].to_numpy(dtype=np.float64)
    lines: dict[str, list[str]] = {}
    for picture, finding, row in zip(boxes["picture"], index, fractions.tolist(), strict=True):
        numbers = " ".join(f"{value:.{DIGITS}f}" for value in row)
        lines.setdefault(picture, []).append(f"{finding} {numbers}\n")
    return lines


def label_file(folder: Path, picture: str) -> Path:
    """Where the labels of a picture lie: ``images/a/b.png`` has ``labels/a/b.txt``."""
    inside = Path(picture).relative_to("images")
    return folder / "labels" / inside.with_name(f"{inside.stem}.txt")
