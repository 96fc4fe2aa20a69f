"""The published films that a composite is drawn from: which there are, and where their findings lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, ByteArray, FloatArray
from boxray.core.boxes import box_area


@dataclass(frozen=True, slots=True)
class Film:
    """One published film beside the repository."""

    path: Path
    person: str
    """Films of one person share it. Only one film of a person enters a composite."""
    size_wh: tuple[int, int]
    """To which the file's pixels are brought, so that the body keeps its aspect."""
    boxes_xyxy: FloatArray
    """Shape ``(N, 4)``: whatever readers boxed here, in pixels of `size_wh`."""
    wanted: tuple[bool, ...]
    """Per box: it is the finding that the composite is to show."""

    def grey(self) -> ByteArray:
        """The film at `size_wh`, shape ``(H, W)``."""
        grey = cv2.imread(str(self.path), cv2.IMREAD_GRAYSCALE)
        sized: ByteArray = cv2.resize(grey, self.size_wh, interpolation=cv2.INTER_CUBIC)
        return sized


def nih(folder: Path, wanted: str, *, only: frozenset[str] | None = None, view: str | None = None) -> list[Film]:
    """Films of the NIH set. Its boxes live in a frame of 1024 x 1024, its files here have 640 x 640.

    Args:
        folder: The set.
        wanted: Box label that counts as wanted; films without such a box are left out unless `only` is given.
        only: Take the films whose image-level labels, as the table writes them, are in this set.
        view: ``PA`` or ``AP``; None takes both.
    """
    entries = pd.read_csv(folder / "Data_Entry_2017_v2020.csv.gz")
    labels = dict(zip(entries["Image Index"], entries["Finding Labels"], strict=True))
    views = dict(zip(entries["Image Index"], entries["View Position"], strict=True))
    boxes = pd.read_csv(folder / "BBox_List_2017.csv").iloc[:, :6]
    boxes.columns = ["film", "label", "x", "y", "width", "height"]
    scale = 640 / 1024
    films = []
    for path in sorted((folder / "images").glob("*.jpg")):
        name = f"{path.stem}.png"
        if view is not None and views.get(name) != view:
            continue
        rows = boxes[boxes.film == name]
        is_wanted = tuple(bool(label == wanted) for label in rows.label)
        if only is None and not any(is_wanted):
            continue
        if only is not None and labels.get(name) not in only:
            continue
        xywh = rows[["x", "y", "width", "height"]].to_numpy(dtype=np.float64) * scale
        films.append(Film(path, path.stem[:8], (640, 640), _xyxy(xywh), is_wanted))
    return films


def tbx11k(folder: Path) -> list[Film]:
    """Films of TBX11K. The files are squeezed to 512 x 512; the size in each XML gives the aspect back."""
    films = []
    for path in sorted((folder / "imgs" / "tb").glob("*.jpg")):
        # The folder is the user's own download, as published; no entity is resolved by this parser.
        root = ET.parse(folder / "annotations" / "xml" / f"{path.stem}.xml").getroot()  # noqa: S314
        size = np.array([float(root.findtext(f"size/{side}", "0")) for side in ("width", "height")])
        scale = 512 / size.max()
        corners, wanted = [], []
        for found in root.findall("object"):
            keys = ("xmin", "ymin", "xmax", "ymax")
            corners.append([float(found.findtext(f"bndbox/{key}", "nan")) * scale for key in keys])
            wanted.append(found.findtext("name") == "ActiveTuberculosis")
        width, height = (round(float(side)) for side in size * scale)
        boxes = np.array(corners, dtype=np.float64).reshape(-1, 4)
        films.append(Film(path, path.stem, (width, height), boxes, tuple(wanted)))
    return films


def siim(folder: Path) -> list[Film]:
    """Films of the SIIM set with boxes, class "Typical Appearance"; 256 x 256, squeezed from `original_sizes.csv`."""
    studies = pd.read_csv(folder / "train_study_level.csv")
    typical = {name.removesuffix("_study") for name in studies.id[studies["Typical Appearance"] == 1]}
    table = pd.read_csv(folder / "original_sizes.csv")
    sizes = dict(zip(table.image_id, zip(table.width, table.height, strict=True), strict=True))
    people = pd.read_csv(folder / "train_meta.csv").set_index("imageid")["patientid"]
    images = pd.read_csv(folder / "train_image_level.csv")
    films = []
    for row in images.itertuples():
        stem = str(row.id).removesuffix("_image")
        path = folder / "train" / f"{stem}.jpg"
        words = str(row.label).split()
        if row.StudyInstanceUID not in typical or words[0] != "opacity" or not path.exists():
            continue
        width, height = sizes[stem]
        scale = 256 / max(width, height)
        boxes = np.array(words, dtype=object).reshape(-1, 6)[:, 2:].astype(np.float64) * scale
        size_wh = round(width * scale), round(height * scale)
        films.append(Film(path, str(people[stem]), size_wh, boxes, (True,) * len(boxes)))
    return sorted(films, key=lambda film: film.path.name)


def largest(films: list[Film], n_most: int) -> list[Film]:
    """Of the films with one box on each side, those whose boxes cover the largest part of the film."""

    def covered(film: Film) -> float:
        return float(box_area(film.boxes_xyxy).sum()) / (film.size_wh[0] * film.size_wh[1])

    def is_bilateral(film: Film) -> bool:
        middles = film.boxes_xyxy[:, [0, 2]].mean(axis=1) / film.size_wh[0]
        return len(middles) == 2 and bool(middles.min() < 0.45) and bool(middles.max() > 0.55)

    bilateral = [film for film in films if is_bilateral(film)]
    return sorted(bilateral, key=lambda film: (-covered(film), film.path.name))[:n_most]


def one_per_person(films: list[Film], merit: Callable[[Film], float]) -> list[Film]:
    """Of each person the film of highest merit, best first; copies of the same bytes count as one person."""
    taken: list[Film] = []
    people: set[str] = set()
    contents: set[str] = set()
    for film in sorted(films, key=lambda film: (-merit(film), film.path.name)):
        content = hashlib.sha256(film.path.read_bytes()).hexdigest()
        if film.person in people or content in contents:
            continue
        people.add(film.person)
        contents.add(content)
        taken.append(film)
    return taken


def burned_in(grey: ByteArray) -> BoolArray:
    """Letters, side markers, wires and metal: small things far brighter or darker than all around. Shape ``(H, W)``.

    Found by the difference to morphological opening and closing, so no film is needed for comparison: the same
    word stands at the same place of many films.
    """
    low, high = np.percentile(grey, (1, 99.5))
    shade = ((grey.astype(np.float32) - low) / max(high - low, 1.0)).clip(0, 1.3)
    side = 2 * round(max(grey.shape) / 100) + 1
    kernel = np.ones((side, side), np.uint8)
    bright = cv2.morphologyEx(shade, cv2.MORPH_TOPHAT, kernel) > 0.22
    dark = cv2.morphologyEx(shade, cv2.MORPH_BLACKHAT, kernel) > 0.30
    wide: BoolArray = cv2.dilate((bright | dark).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    return wide


def _xyxy(xywh: FloatArray) -> FloatArray:
    return np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
