"""TBX11K: one VOC-like XML per tuberculosis film, lists that name all films of a split.

Boxes are in the frame that each XML states (originals of 1,612 to 3,072 pixels); the published pictures
are squashed to 512 x 512, so x and y scale differently. The authors' JSON is not read: it lies one pixel
up and left of the XML.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_text


def read_xml(path: Path) -> tuple[tuple[int, int], tuple[RawBox, ...]]:
    """Frame and boxes of one film. Negative for tuberculosis has no XML; no object means no box.

    Raises:
        DataError: If the file is no such XML.
    """
    try:
        tree = ET.parse(path).getroot()  # noqa: S314 - expat resolves no external entity; sizes are small
        frame_wh = (int(_text(tree, "size/width")), int(_text(tree, "size/height")))
        if min(frame_wh) <= 0:
            raise ValueError(f"a film of {frame_wh[0]} x {frame_wh[1]} has no area")  # noqa: TRY301 - told with the file
        boxes = tuple(
            RawBox(
                _text(node, "name"),
                (
                    float(_text(node, "bndbox/xmin")),
                    float(_text(node, "bndbox/ymin")),
                    float(_text(node, "bndbox/xmax")),
                    float(_text(node, "bndbox/ymax")),
                ),
            )
            for node in tree.iter("object")
        )
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"tbx11k: {path.name}: not the XML of this source: {error}") from error
    return frame_wh, boxes


def _text(node: ET.Element, path: str) -> str:
    found = node.findtext(path)
    if found is None:
        raise ValueError(f"<{path}> is missing")
    return found.strip()


def records(download: Download) -> Iterator[Record]:
    """One record per film of the training list; its label is the list's folder (tb, sick, health)."""
    listed = read_text(download.table("lists/TBX11K_train.txt")).split()
    pictures = download.pictures_in("imgs")
    annotations = download.table("annotations/xml")
    for name in sorted(listed):
        path = PurePosixPath(name)
        xml = annotations / f"{path.stem}.xml"
        frame_wh, boxes = read_xml(xml) if xml.is_file() else ((512, 512), ())
        yield Record(
            image=path.stem,
            patient=path.stem,
            file=pictures.get(path.stem),
            frame_wh=frame_wh,
            boxes=boxes,
            labels=(path.parts[0],),
        )
