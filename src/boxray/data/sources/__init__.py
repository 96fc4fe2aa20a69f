"""Importers, one per published layout. The registry is a table one can read.

An importer takes a download and yields one `Record` per image that the tables name,
in the order of the image's id. It maps nothing and drops nothing: that is the card's business.
"""

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

from boxray.core.errors import DataError
from boxray.data.record import Record
from boxray.data.sources import (
    chestx_det,
    chexlocalize,
    coco,
    covid_seg,
    csv_file,
    image_folder,
    ms_cxr,
    nih,
    object_cxr,
    padchest_gr,
    rsna,
    siim,
    tbx11k,
    vindr,
    voc,
    yolo,
)
from boxray.data.sources.files import Download

Importer = Callable[[Download], Iterator[Record]]

LAYOUTS: Final = MappingProxyType(
    {
        # published sets
        "nih": nih.records,
        "tbx11k": tbx11k.records,
        "siim": siim.records,
        "chestx_det": chestx_det.records,
        "rsna": rsna.records,
        "vindr": vindr.records,  # as on Kaggle and as on PhysioNet
        "padchest_gr": padchest_gr.records,
        "ms_cxr": ms_cxr.records,
        "chexlocalize": chexlocalize.records,
        "object_cxr": object_cxr.records,
        "covid_seg": covid_seg.records,
        # files of your own
        "yolo": yolo.records,
        "coco": coco.records,
        "voc": voc.records,
        "csv": csv_file.records,
        "image_folder": image_folder.records,
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
