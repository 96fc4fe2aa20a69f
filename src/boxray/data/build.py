"""BUILD: sources to one manifest. Nothing is invented, nothing is lost without a reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray
from boxray.core.boxes import box_area, clip_boxes
from boxray.core.errors import InputError
from boxray.core.findings import LabelSpace
from boxray.core.frames import ScaleShift
from boxray.data.audit import SourceAudit
from boxray.data.card import Card, load_card, load_label_space
from boxray.data.datasets_file import DatasetsFile, SplitShares
from boxray.data.manifest import BOX_COLUMNS, Manifest
from boxray.data.presence import presence_of
from boxray.data.record import Record
from boxray.data.sources import importer_of
from boxray.data.split import patient_key, split_of
from boxray.data.yolo_files import write_yolo_files
from boxray.imaging.read import decode

LONG_SIDE_PX = 1024
"""Pictures of the built set are not larger: twice what a detector of 512 px sees, an eighth of a full radiograph's disk."""

SMALLEST_SIDE_PX = 1.0

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class BuiltRecord:
    """A record with its picture in the built set and its rows of the two tables."""

    image: dict[str, Any]
    boxes: list[dict[str, Any]]


def build(
    datasets: DatasetsFile, out: Path, *, cards: Path | None = None, progress: Progress = lambda _source, _n: None
) -> tuple[Manifest, list[SourceAudit]]:
    """Build every source of `datasets` into the folder `out`.

    Args:
        datasets: What to build, with absolute roots.
        out: Folder of the built set. Pictures already there are written again: a source may have changed.
        cards: Folder of cards; None means the bench's.
        progress: Called with the source's name and the number of images finished since the last call.

    Returns:
        The manifest, saved, and one audit per source, each closed.

    Raises:
        DataError: If a source is not where the file says, or contradicts its card.
    """
    label_space = load_label_space(datasets.label_space)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[BuiltRecord] = []
    audits = []
    for name, entry in datasets.sources.items():
        card = load_card(entry.card, cards)
        audit = SourceAudit(card)
        one = _SourceBuild(name, card, label_space, datasets.split, out, audit)
        rows += one.run(importer_of(card.layout)(entry.root), progress)
        audit.close()
        audits.append(audit)
    manifest = Manifest(out, label_space, _image_table(rows, label_space), _box_table(rows))
    write_yolo_files(manifest)
    manifest.save({"split": datasets.split.model_dump(), "sources": [audit.to_json() for audit in audits]})
    return Manifest.load(out), audits


@dataclass(frozen=True, slots=True)
class _SourceBuild:
    name: str
    card: Card
    label_space: LabelSpace
    shares: SplitShares
    out: Path
    audit: SourceAudit

    def run(self, records: Iterable[Record], progress: Progress) -> list[BuiltRecord]:
        built: list[BuiltRecord] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for chunk in _chunks(records, 64):
                built += [one for one in pool.map(self._read, chunk) if one is not None]
                progress(self.name, len(chunk))
        kept = self._merge_copies(built)
        self.audit.images_built = len(kept)
        self.audit.boxes_built = sum(len(one.boxes) for one in kept)
        return kept

    def _read(self, record: Record) -> BuiltRecord | None:
        audit = self.audit
        audit.images_named += 1
        audit.boxes_named += len(record.boxes)
        if record.file is None:
            audit.drop_image("not on disk", len(record.boxes))
            return None
        try:
            rad = decode(record.file.read_bytes())
        except InputError as error:
            audit.drop_image(error.code.name, len(record.boxes))
            return None
        picture = f"images/{self.name}/{record.image}.png"
        grey = _shrink(np.round(rad.pixels * 255).astype(np.uint8))
        height, width = grey.shape
        boxes = self._boxes(record, (width, height))
        cells = presence_of(self.card, self.label_space, {box["finding"] for box in boxes}, record.labels)
        _write_png(self.out / picture, grey)
        patient = patient_key(self.shares.key, self.name, record.patient)
        image = {
            "image_id": f"{self.name}:{record.image}",
            "source": self.name,
            "image": record.image,
            "split": split_of(patient, self.shares.val, self.shares.test).value,
            "patient": patient,
            "picture": picture,
            "width": width,
            "height": height,
            "sha256": rad.sha256,
            "view": rad.view or record.view,
            "copies": "",
        }
        for key, cell in cells.items():
            image[f"presence_{key}"] = cell.presence.value
            image[f"rule_{key}"] = cell.rule.value
        return BuiltRecord(image, boxes)

    def _boxes(self, record: Record, size_wh: tuple[int, int]) -> list[dict[str, Any]]:
        to_picture = ScaleShift.between(record.frame_wh or (1, 1), size_wh)
        rows = []
        for raw in record.boxes:
            finding = self.card.finding_of(raw.label)
            if finding is None or finding not in self.label_space:
                self.audit.boxes_dropped[f"{raw.label}: {self.card.dropped_boxes.get(raw.label, 'not asked for')}"] += 1
                continue
            mapped = to_picture.apply(np.array([raw.xyxy], dtype=np.float64))
            clipped = clip_boxes(mapped, size_wh)
            if not (clipped[:, 2:] - clipped[:, :2] > SMALLEST_SIDE_PX).all():
                self.audit.boxes_dropped[f"degenerate: a side of {SMALLEST_SIDE_PX:g} px or less in the image"] += 1
                continue
            if box_area(mapped)[0] > box_area(clipped)[0]:
                self.audit.remarks["box clipped at the edge of the image"] += 1
            x1, y1, x2, y2 = clipped[0].tolist()
            corners = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
            image_id = f"{self.name}:{record.image}"
            rows.append({"image_id": image_id, "finding": finding, **corners, "reader": raw.reader, "raw_label": raw.label})
        return rows

    def _merge_copies(self, built: list[BuiltRecord]) -> list[BuiltRecord]:
        """Keep one of each group of identical pictures: the first with boxes, else the first."""
        groups: dict[str, list[BuiltRecord]] = {}
        for one in built:
            groups.setdefault(one.image["sha256"], []).append(one)
        kept = []
        for group in groups.values():
            chosen = next((one for one in group if one.boxes), group[0])
            others = [one for one in group if one is not chosen]
            for other in others:
                self.audit.drop_image("a copy of an image that is kept, pixel by pixel", len(other.boxes))
                (self.out / other.image["picture"]).unlink()
            chosen.image["copies"] = " ".join(other.image["image_id"] for other in others)
            kept.append(chosen)
        return kept


def _chunks(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _shrink(grey: ByteArray) -> ByteArray:
    ratio = LONG_SIDE_PX / max(grey.shape)
    if ratio >= 1:
        return grey
    height, width = grey.shape
    return cv2.resize(grey, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)


def _write_png(path: Path, grey: ByteArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok, "OpenCV writes any grey picture"
    path.write_bytes(data.tobytes())


def _image_table(rows: list[BuiltRecord], label_space: LabelSpace) -> pd.DataFrame:
    named = ["image_id", "source", "image", "split", "patient", "picture", "width", "height", "sha256", "view", "copies"]
    cells = [f"{what}_{key}" for key in label_space.keys for what in ("presence", "rule")]
    return pd.DataFrame([row.image for row in rows], columns=named + cells)


def _box_table(rows: list[BuiltRecord]) -> pd.DataFrame:
    table = pd.DataFrame([box for row in rows for box in row.boxes], columns=BOX_COLUMNS)
    return table.astype({corner: np.float64 for corner in ("x1", "y1", "x2", "y2")})
