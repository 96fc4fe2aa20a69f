"""COVID-19 chest X-ray segmentations (GeneralBlockchain): one mask per structure and image, as published.

`structure.csv` places each mask: `Resolution` is ``WxH``, then come `Top, Left, Width, Height`, the top first. A mask
is a PNG of that cut-out. One mask often spans both lungs, so each connected part of at least 0.2 % of the image becomes
a box. A mask of ground glass or consolidation does not say of what; the case's diagnosis does (`finding` in
`metadata.csv`), so both stand in the raw label: ``Ground Glass Opacities|COVID-19``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from boxray.core.arrays import ByteArray
from boxray.core.errors import DataError, InputError
from boxray.data.record import Corners, RawBox, Record
from boxray.data.sources.files import Download, read_table
from boxray.data.sources.metadata import read_metadata
from boxray.data.sources.values import side_of
from boxray.imaging.png import read_png_header
from boxray.imaging.read import file_content

SMALLEST_SHARE: Final = 0.002
"""Of the image's area; smaller parts of a mask are strokes beside it."""
NEEDS_CAUSE: Final = frozenset({"Ground Glass Opacities", "Consolidation"})
NO_CAUSE: Final = "(not stated)"


def read_mask(path: Path, size_wh: tuple[int, int]) -> ByteArray:
    """A mask as 0 and 1, shape ``(H, W)``: what is not transparent, or not black where nothing is transparent.

    Raises:
        DataError: If it is missing, no whole PNG, or not of the size that the table states.
    """
    try:
        data = file_content(path)
        header = read_png_header(data)
    except InputError as error:
        raise DataError(f"mask {path.name}: {error}") from error
    if header.size_wh != size_wh:
        raise DataError(f"mask {path.name}: expected {size_wh[0]} x {size_wh[1]} pixels, got {header.size_wh}")
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"mask {path.name}: the PNG cannot be decoded")
    channels = np.atleast_3d(pixels)
    alpha = channels[..., 3] if channels.shape[2] == 4 else None
    inside = alpha > 0 if alpha is not None and not alpha.all() else channels[..., :3].any(axis=2)
    return np.asarray(inside, dtype=np.uint8)


def boxes_of_mask(mask: ByteArray, left_top: tuple[int, int], smallest_px: float) -> list[Corners]:
    """Corners, in the image's frame, of the connected parts of at least so many pixels. Diagonal pixels connect."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    left, top = left_top
    return [
        (float(left + x), float(top + y), float(left + x + width), float(top + y + height))
        for x, y, width, height, area in stats[1:].tolist()  # the first is what lies outside
        if area >= smallest_px
    ]


Rows = list[Mapping[str, str]]
"""Of one image."""


def rows_by_image(table: Path) -> dict[str, Rows]:
    """The rows of `structure.csv` by the stem of their image's published name.

    Raises:
        DataError: If it is no table or lacks a column.
    """
    columns = ["Filename", "Image", "Template Name", "Mask", "Resolution", "Top", "Left", "Width", "Height"]
    rows: dict[str, Rows] = defaultdict(list)
    for row in read_table(table, columns).to_dict("records"):
        rows[Path(row["Filename"]).stem].append(row)
    return rows


def mask_of(root: Path, rows: Rows, structure: str) -> ByteArray | None:
    """All masks of one structure of an image, as 0 and 1 in the image's frame of shape ``(H, W)``.

    Args:
        root: Of the download, with `masks/`.
        rows: The image's.
        structure: Such as ``Right Lung``.

    Returns:
        None if nobody drew it there.

    Raises:
        DataError: If a mask is missing, or not what its row says.
    """
    named = [row for row in rows if row["Template Name"] == structure]
    if not named:
        return None
    try:
        width, height = _frame({row["Resolution"] for row in named})
        canvas = np.zeros((height, width), dtype=np.uint8)
        for row in named:
            left, top = int(row["Left"]), int(row["Top"])
            mask = _read_row(root, row)[max(0, -top) :, max(0, -left) :]
            place = canvas[max(0, top) : max(0, top) + mask.shape[0], max(0, left) : max(0, left) + mask.shape[1]]
            place |= mask[: place.shape[0], : place.shape[1]]
    except ValueError as error:
        raise DataError(f"the mask of {structure!r}: {error}") from error
    return canvas


def records(download: Download) -> Iterator[Record]:
    """One record per image, called by its published file name; its label is the case's diagnosis.

    Raises:
        DataError: If a row places no mask, or a mask is missing or not what the row says.
    """
    table = download.table("structure.csv")
    rows = rows_by_image(table)
    metadata = read_metadata(download.root)
    pictures = download.pictures_in("images")
    for image in sorted(rows):
        about = metadata.of(image)
        cause = (about.labels or (NO_CAUSE,))[0]
        try:
            frame_wh = _frame({row["Resolution"] for row in rows[image]})
            boxes = [box for row in rows[image] for box in _boxes(download.root, row, frame_wh, cause)]
        except ValueError as error:
            raise DataError(f"{table.name}: image {image!r}: {error}") from error
        yield Record(
            image=image,
            patient=about.patient or image,
            file=pictures.get(image, pictures.get(Path(rows[image][0]["Image"]).stem)),
            frame_wh=frame_wh,
            boxes=tuple(boxes),
            labels=about.labels or None,
            view=about.view,
            sex=about.sex,
            age_years=about.age_years,
        )


def _frame(resolutions: set[str]) -> tuple[int, int]:
    if len(resolutions) != 1:
        raise ValueError(f"its masks lie in different resolutions: {', '.join(sorted(resolutions))}")
    width, height = resolutions.pop().split("x")
    return side_of(width), side_of(height)


def _boxes(root: Path, row: Mapping[str, str], frame_wh: tuple[int, int], cause: str) -> Iterator[RawBox]:
    name = row["Template Name"]
    label = f"{name}|{cause}" if name in NEEDS_CAUSE else name
    mask = _read_row(root, row)
    smallest_px = SMALLEST_SHARE * frame_wh[0] * frame_wh[1]
    for corners in boxes_of_mask(mask, (int(row["Left"]), int(row["Top"])), smallest_px):
        yield RawBox(label, corners)


def _read_row(root: Path, row: Mapping[str, str]) -> ByteArray:
    return read_mask(root / "masks" / Path(row["Mask"]).name, (side_of(row["Width"]), side_of(row["Height"])))
