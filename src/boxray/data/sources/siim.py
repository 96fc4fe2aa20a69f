"""SIIM-FISABIO-RSNA COVID-19: image-level boxes, study-level appearance, original sizes, patients.

The `boxes` column is a Python literal of corners and sizes in pixels of the original DICOM; the `label` column
repeats it clipped, and for an image without opacity holds the placeholder ``none 1 0 0 1 1``, which is no box.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_table
from boxray.data.sources.values import read_sizes

APPEARANCES = (
    "Negative for Pneumonia",
    "Typical Appearance",
    "Indeterminate Appearance",
    "Atypical Appearance",
)


def read_boxes(text: str) -> tuple[RawBox, ...]:
    """The boxes of one row; an empty text gives none.

    Raises:
        DataError: If the text is no list of boxes.
    """
    if not text:
        return ()
    try:
        sides = [[float(row[side]) for side in ("x", "y", "width", "height")] for row in ast.literal_eval(text)]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise DataError(f"siim: expected a list of x, y, width, height, got {text[:80]!r}") from error
    return tuple(RawBox("opacity", (x, y, x + width, y + height)) for x, y, width, height in sides)


def records(download: Download) -> Iterator[Record]:
    """One record per image of the image-level table; its label is the appearance of its study.

    Raises:
        DataError: If an image has no original size or no study in the other tables.
    """
    images = read_table(download.table("train_image_level.csv"), ["id", "boxes", "StudyInstanceUID"])
    studies = read_table(download.table("train_study_level.csv"), ["id", *APPEARANCES])
    meta = read_table(download.table("train_meta.csv"), ["imageid", "patientid"])
    patients = dict(zip(meta["imageid"], meta["patientid"], strict=True))
    frames = read_sizes(download.table("original_sizes.csv"))
    appearance = {
        study.removesuffix("_study"): tuple(name for name, is_so in zip(APPEARANCES, row, strict=True) if is_so == "1")
        for study, *row in studies.itertuples(index=False)
    }
    pictures = download.pictures_in("train")
    for row in images.sort_values("id").itertuples(index=False):
        image = row.id.removesuffix("_image")
        if image not in frames:
            raise DataError(f"siim: image {image!r} has no size in original_sizes.csv, so its boxes have no frame")
        if row.StudyInstanceUID not in appearance:
            raise DataError(f"siim: the study of image {image!r} is not in train_study_level.csv")
        yield Record(
            image=image,
            patient=patients.get(image) or image,
            file=pictures.get(image),
            frame_wh=frames[image],
            boxes=read_boxes(row.boxes),
            labels=appearance[row.StudyInstanceUID],
        )
