"""ChestX-Det: NIH images read again by three radiologists for 13 classes, under numbers that hide the NIH names.

Boxes are ``x1, y1, x2, y2`` in the 1024 x 1024 frame; `syms[i]` names `boxes[i]`. `chestxdet_to_nih.json` maps the
numbers to NIH's names, which tell the patient and let the picture be found where NIH's pictures lie. The
published split separates images and not patients, so it is told and not kept: see the card.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_json
from boxray.data.sources.values import corners_of

FRAME_WH: Final = (1024, 1024)
READER: Final = "consensus"
"""Three radiologists, merged by the publisher; who drew what is lost."""

_PARTS: Final = ("train", "test")


def read_part(table: Path) -> dict[str, tuple[RawBox, ...]]:
    """The boxes of one part by the image's own stem; none where the readers found nothing of the 13 classes.

    Raises:
        DataError: If the file is no such list, or names an image twice.
    """
    rows: Any = read_json(table)
    try:
        boxes = {
            Path(row["file_name"]).stem: tuple(
                RawBox(sym, corners_of(corners), READER) for sym, corners in zip(row["syms"], row["boxes"], strict=True)
            )
            for row in rows
        }
        if len(boxes) != len(rows):
            raise ValueError("an image is there twice")  # noqa: TRY301 - one message for all faults
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table.name}: not the list of ChestX-Det: {error!r}") from error
    return boxes


def records(download: Download) -> Iterator[Record]:
    """One record per image of both parts, under its NIH name where that is known.

    Raises:
        DataError: If a table is missing or not what it should be.
    """
    nih_names = _read_names(download.table("chestxdet_to_nih.json"))
    parts = {part: read_part(download.table(f"ChestX_Det_{part}.json")) for part in _PARTS}
    pictures = download.pictures_in("images")
    found = [(nih_names.get(own, own), own, part, boxes) for part in _PARTS for own, boxes in parts[part].items()]
    for image, own, part, boxes in sorted(found):
        yield Record(
            image=image,
            patient=image[:8] if own in nih_names else own,
            file=pictures.get(image, pictures.get(own)),
            frame_wh=FRAME_WH,
            boxes=boxes,
            labels=tuple(sorted({box.label for box in boxes})),
            readers=(READER,),
            split=part,
        )


def _read_names(table: Path) -> dict[str, str]:
    """NIH stem by own stem."""
    names = read_json(table)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise DataError(f"{table.name}: expected names of NIH by names of ChestX-Det")
    return {Path(own).stem: Path(nih).stem for own, nih in names.items()}
