"""Any data set in Pascal VOC XML: `annotations/` (or `Annotations/`) with one file per picture of the same stem.

Corners are taken as they are written, in the frame of the file's own `<size>`. VOC itself counts pixels from 1 and
most tools that write its XML from 0; the file does not say which, and half a pixel of a radiograph moves no finding.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, files_by_stem
from boxray.data.sources.values import corners_of, side_of
from boxray.data.sources.yolo import MISSING_LABELS

_CORNERS = ("bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")


def read_xml(path: Path) -> tuple[tuple[int, int], tuple[RawBox, ...]]:
    """Frame and boxes of one picture. No object means no box.

    Raises:
        DataError: If the file is no such XML.
    """
    try:
        tree = ET.parse(path).getroot()  # noqa: S314 - expat resolves no external entity; sizes are small
        frame_wh = side_of(_text(tree, "size/width")), side_of(_text(tree, "size/height"))
        boxes = tuple(
            RawBox(_text(node, "name"), corners_of(_text(node, corner) for corner in _CORNERS))
            for node in tree.iter("object")
        )
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"{path.name}: not the XML of Pascal VOC: {error}") from error
    return frame_wh, boxes


def _text(node: ET.Element, path: str) -> str:
    found = node.findtext(path)
    if found is None:
        raise ValueError(f"<{path}> is missing")
    return found.strip()


def records(download: Download) -> Iterator[Record]:
    """One record per picture or XML. A picture without XML has no statement: see `MISSING_LABELS`.

    Raises:
        DataError: If a file is no such XML.
    """
    annotations = files_by_stem(download.table("annotations", "Annotations"), frozenset({".xml"}), "annotation files")
    pictures = download.pictures_in("images", "JPEGImages")
    for stem in sorted(pictures.keys() | annotations.keys()):
        frame_wh, boxes = read_xml(annotations[stem]) if stem in annotations else (None, ())
        yield Record(
            image=stem,
            patient=stem,
            file=pictures.get(stem),
            frame_wh=frame_wh,
            boxes=boxes,
            labels=() if stem in annotations else (MISSING_LABELS,),
        )
