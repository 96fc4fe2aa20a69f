"""SIIM-FISABIO-RSNA COVID-19: image-level boxes, study-level appearance, original sizes, patients.

The `boxes` column is a Python literal of corners and sizes in pixels of the original DICOM; the `label` column
repeats it clipped, and for an image without opacity holds the placeholder ``none 1 0 0 1 1``, which is no box.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import pictures_by_stem, read_table, require

APPEARANCES = ("Negative for Pneumonia", "Typical Appearance", "Indeterminate Appearance", "Atypical Appearance")


def read_boxes(text: str) -> tuple[RawBox, ...]:
    """The boxes of one row; an empty text gives none.

    Raises:
        DataError: If the text is no list of boxes.
    """
    if not text:
        return ()
    try:
        rows = ast.literal_eval(text)
        return tuple(
            RawBox("opacity", (row["x"], row["y"], row["x"] + row["width"], row["y"] + row["height"])) for row in rows
        )
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise DataError(f"siim: expected a list of x, y, width, height, got {text[:80]!r}") from error


def records(root: Path) -> Iterator[Record]:
    """One record per image of the image-level table; its label is the appearance of its study."""
    images = read_table(require(root, "train_image_level.csv"))
    studies = read_table(require(root, "train_study_level.csv")).set_index("id")
    sizes = read_table(require(root, "original_sizes.csv")).set_index("image_id")
    patients = read_table(require(root, "train_meta.csv")).set_index("imageid")["patientid"].to_dict()
    frames = {image: (int(row.width), int(row.height)) for image, row in sizes.iterrows()}
    appearance = {
        study.removesuffix("_study"): tuple(name for name in APPEARANCES if row[name] == "1")
        for study, row in studies.iterrows()
    }
    pictures = pictures_by_stem(require(root, "train"))
    for row in images.sort_values("id").itertuples(index=False):
        image = row.id.removesuffix("_image")
        if image not in frames:
            raise DataError(f"siim: image {image!r} has no size in original_sizes.csv, so its boxes have no frame")
        yield Record(
            image=image,
            patient=patients.get(image, image),
            file=pictures.get(image),
            frame_wh=frames[image],
            boxes=read_boxes(row.boxes),
            labels=appearance[row.StudyInstanceUID],
        )
