"""The built set as YOLO files: `labels/` beside `images/`, and a list of pictures per split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from boxray.core.boxes import xyxy_to_yolo
from boxray.data.manifest import Manifest
from boxray.data.split import PARTS

DIGITS = 10
"""Behind the point. A corner is a centre and half a side, so it is off by 0.75e-10 of a side: 4e-7 px of 5,000."""


def write_yolo_files(manifest: Manifest) -> None:
    """Write one label file per picture (an empty one where there is no box) and `train.txt`, `val.txt`, `test.txt`.

    Paths in the lists begin with ``./``, which ultralytics reads as relative to the list.
    """
    # No dict(): it would take the attribute `keys` of a groupby for a method.
    rows_of = {image: part for image, part in manifest.boxes.groupby("image_id")}  # noqa: C416
    for image in manifest.images.itertuples(index=False):
        path = label_file(manifest.folder, image.picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        if image.image_id in rows_of:
            part = rows_of[image.image_id]
            corners = part[["x1", "y1", "x2", "y2"]].to_numpy(dtype=np.float64)
            fractions = xyxy_to_yolo(corners, (image.width, image.height))
            for finding, row in zip(part["finding"], fractions, strict=True):
                lines.append(
                    " ".join([str(manifest.label_space.index(finding)), *(f"{value:.{DIGITS}f}" for value in row)])
                )
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for split in PARTS:
        pictures = manifest.part(split).images["picture"]
        (manifest.folder / f"{split.value}.txt").write_text("".join(f"./{p}\n" for p in pictures), encoding="utf-8")


def label_file(folder: Path, picture: str) -> Path:
    """Where the labels of a picture lie: ``images/a/b.png`` has ``labels/a/b.txt``."""
    inside = Path(picture).relative_to("images")
    return folder / "labels" / inside.with_name(f"{inside.stem}.txt")
