"""Importers, one per published layout. The registry is a table one can read.

An importer takes a download and yields one `Record` per image that the tables name,
in the order of the image's id. It maps nothing and drops nothing: that is the card's business.
"""

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

from boxray.core.errors import DataError
from boxray.data.record import Record
from boxray.data.sources import coco, nih, siim, tbx11k, yolo
from boxray.data.sources.files import Download

Importer = Callable[[Download], Iterator[Record]]

LAYOUTS: Final = MappingProxyType(
    {
        "nih": nih.records,
        "tbx11k": tbx11k.records,
        "siim": siim.records,
        "yolo": yolo.records,
        "coco": coco.records,
    }
)


def importer_of(layout: str) -> Importer:
    """The importer of a layout.

    Raises:
        DataError: If there is none; the message lists those there are.
    """
    if layout not in LAYOUTS:
        raise DataError(f"there is no importer for layout {layout!r}; there are: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout]


__all__ = ["LAYOUTS", "Download", "Importer", "importer_of"]
