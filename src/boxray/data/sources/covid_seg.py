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


def records(download: Download) -> Iterator[Record]:
    """One record per image, called by its published file name; its label is the case's diagnosis.

    Raises:
        DataError: If a row places no mask, or a mask is missing or not what the row says.
    """
    table = download.table("structure.csv")
    columns = ["Filename", "Image", "Template Name", "Mask", "Resolution", "Top", "Left", "Width", "Height"]
    rows: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in read_table(table, columns).to_dict("records"):
        rows[Path(row["Filename"]).stem].append(row)
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
    mask = read_mask(root / "masks" / Path(row["Mask"]).name, (side_of(row["Width"]), side_of(row["Height"])))
    smallest_px = SMALLEST_SHARE * frame_wh[0] * frame_wh[1]
    for corners in boxes_of_mask(mask, (int(row["Left"]), int(row["Top"])), smallest_px):
        yield RawBox(label, corners)
