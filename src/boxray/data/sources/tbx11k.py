"""TBX11K: one VOC-like XML per tuberculosis film, lists that name all films of a split.

Boxes are in the frame that each XML states (originals of 1,612 to 3,072 pixels); the published pictures
are squashed to 512 x 512, so x and y scale differently. Where `annotations/xml/` is not there, the authors'
JSON is read, which was made from the XML: in 512 x 512, and one pixel up and left of it, because their converter
subtracts 1 after scaling. That pixel is added again, to both corners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from boxray.data.record import RawBox, Record
from boxray.data.sources.coco import read_annotations
from boxray.data.sources.files import Download, read_text
from boxray.data.sources.voc import read_xml

PUBLISHED_WH = (512, 512)

Film = tuple[tuple[int, int], tuple[RawBox, ...]]
"""Frame and boxes."""


def read_authors_json(table: Path) -> dict[str, Film]:
    """Frame and boxes by stem, moved back to where the XML has them.

    Raises:
        DataError: If the file is no COCO JSON.
    """
    return {image.stem: (image.frame_wh, tuple(map(_moved_back, image.boxes))) for image in read_annotations(table)}


def _moved_back(box: RawBox) -> RawBox:
    x1, y1, x2, y2 = box.xyxy
    return RawBox(box.label, (x1 + 1, y1 + 1, x2 + 1, y2 + 1))


def records(download: Download) -> Iterator[Record]:
    """One record per film of the training list; its label is the list's folder (tb, sick, health).

    Raises:
        DataError: If the list, or both forms of the boxes, are not there, or not what they should be.
    """
    listed = read_text(download.table("lists/TBX11K_train.txt")).split()
    pictures = download.pictures_in("imgs")
    film_of = _films(download.table("annotations/xml", "annotations/json/TBX11K_train.json"))
    for name in sorted(listed):
        path = PurePosixPath(name)
        frame_wh, boxes = film_of(path.stem)
        yield Record(
            image=path.stem,
            patient=path.stem,
            file=pictures.get(path.stem),
            frame_wh=frame_wh,
            boxes=boxes,
            labels=(path.parts[0],),
        )


def _films(annotations: Path) -> Callable[[str], Film]:
    """Frame and boxes of a film by its stem; one that is negative for tuberculosis has none."""
    if annotations.is_file():
        films = read_authors_json(annotations)
        return lambda stem: films.get(stem, (PUBLISHED_WH, ()))

    def film_of(stem: str) -> Film:
        xml = annotations / f"{stem}.xml"
        return read_xml(xml) if xml.is_file() else (PUBLISHED_WH, ())

    return film_of
