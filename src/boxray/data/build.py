"""BUILD: sources to one manifest. Nothing is invented, nothing is lost without a reason."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray
from boxray.core.boxes import box_area, clip_boxes
from boxray.core.errors import DataError, InputError
from boxray.core.findings import LabelSpace
from boxray.core.frames import ScaleShift
from boxray.data.audit import SourceAudit
from boxray.data.card import Card, load_card, load_label_space
from boxray.data.datasets_file import DatasetsFile, SplitShares
from boxray.data.manifest import BOX_COLUMNS, Manifest, forget
from boxray.data.presence import presence_of
from boxray.data.record import Record
from boxray.data.sources import Download, importer_of
from boxray.data.sources.files import PICTURES
from boxray.data.split import patient_key, split_of
from boxray.data.yolo_files import write_yolo_files
from boxray.imaging.read import decode, file_content
from boxray.imaging.shrink import shrink

SMALLEST_SIDE_PX = 1.0

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class BuiltRecord:
    """A record with its picture in the built set and its rows of the two tables."""

    image: dict[str, Any]
    boxes: list[dict[str, Any]]


def build(
    datasets: DatasetsFile,
    out: Path,
    *,
    cards: Path | None = None,
    progress: Progress = lambda _source, _n: None,
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
        DataError: If a source is not where the file says, or contradicts its card; if the file's `names` are not
            the label space, or a picture is in two splits.
    """
    label_space = load_label_space(datasets.label_space)
    _require_names(datasets, label_space)
    out.mkdir(parents=True, exist_ok=True)
    forget(out)
    rows: list[BuiltRecord] = []
    audits = []
    for name, entry in datasets.sources.items():
        card = load_card(entry.card, cards)
        audit = SourceAudit(card)
        people = entry.patients_of or name
        one = _SourceBuild(name, people, card, label_space, datasets.split, out, audit)
        rows += one.run(importer_of(card.layout)(Download(entry.root, entry.pictures)), entry.root, progress)
        audit.close()
        audits.append(audit)
    manifest = Manifest(out, label_space, _image_table(rows, label_space), _box_table(rows))
    manifest.require_splits_apart()
    write_yolo_files(manifest)
    manifest.save({"split": datasets.split.model_dump(), "sources": [audit.to_json() for audit in audits]})
    return Manifest.load(out), audits


@dataclass(frozen=True, slots=True)
class _Picture:
    path: str
    size_wh: tuple[int, int]
    sha256: str
    view: str | None


@dataclass(frozen=True, slots=True)
class _SourceBuild:
    name: str
    people: str
    """The source whose patients these are."""
    card: Card
    label_space: LabelSpace
    shares: SplitShares
    out: Path
    audit: SourceAudit

    def run(self, records: Iterable[Record], root: Path, progress: Progress) -> list[BuiltRecord]:
        built = []
        named: set[str] = set()
        files: set[Path] = set()
        for record in records:
            picture = "named a second time by the tables" if record.image in named else self._picture(record)
            named.add(record.image)
            if record.file is not None:
                files.add(record.file)
            one = self._book(record, picture)
            if one is not None:
                built.append(one)
            progress(self.name, 1)
        n_pictures = sum(path.suffix.lower() in PICTURES for path in root.rglob("*"))
        if n_pictures > len(files):
            self.audit.remarks["picture that no table names"] += n_pictures - len(files)
        kept = self._merge_copies(built)
        self.audit.images_built = len(kept)
        self.audit.boxes_built = sum(len(one.boxes) for one in kept)
        return kept

    def _picture(self, record: Record) -> _Picture | str:
        """Decode a record's file and write its picture; or the reason why there is none."""
        if record.file is None:
            return "not on disk"
        try:
            rad = decode(file_content(record.file))
        except InputError as error:
            return error.code.name
        grey = shrink(np.round(rad.pixels * 255).astype(np.uint8))
        path = f"images/{self.name}/{record.image}.png"
        _write_png(self.out / path, grey)
        return _Picture(path, (grey.shape[1], grey.shape[0]), rad.sha256, rad.view)

    def _book(self, record: Record, picture: _Picture | str) -> BuiltRecord | None:
        audit = self.audit
        audit.images_named += 1
        audit.boxes_named += len(record.boxes)
        if isinstance(picture, str):
            audit.drop_image(picture, len(record.boxes))
            return None
        boxes, lost = self._boxes(record, picture.size_wh)
        boxed = {box["finding"] for box in boxes}
        cells = presence_of(self.card, self.label_space, boxed, record.labels, lost)
        patient = patient_key(self.shares.key, self.people, record.patient)
        image = {
            "image_id": f"{self.name}:{record.image}",
            "source": self.name,
            "image": record.image,
            "split": split_of(patient, self.shares.val, self.shares.test).value,
            "patient": patient,
            "picture": picture.path,
            "width": picture.size_wh[0],
            "height": picture.size_wh[1],
            "sha256": picture.sha256,
            "view": picture.view or record.view,
            "copies": "",
        }
        for key, cell in cells.items():
            image[f"presence_{key}"] = cell.presence.value
            image[f"rule_{key}"] = cell.rule.value
        return BuiltRecord(image, boxes)

    def _boxes(self, record: Record, size_wh: tuple[int, int]) -> tuple[list[dict[str, Any]], set[str]]:
        """The rows of an image's boxes, and the findings of which a box could not be built."""
        to_picture = ScaleShift.between(record.frame_wh or (1, 1), size_wh)
        rows: list[dict[str, Any]] = []
        lost: set[str] = set()
        seen: set[tuple[str, str, tuple[float, ...]]] = set()
        for raw in record.boxes:
            finding = self.card.finding_of(raw.label)
            if finding is None or finding not in self.label_space:
                self.audit.boxes_dropped[f"{raw.label}: {self.card.dropped_boxes.get(raw.label, 'not asked for')}"] += 1
                continue
            mapped = to_picture.apply(np.array([raw.xyxy], dtype=np.float64))
            clipped = clip_boxes(mapped, size_wh)
            if not np.isfinite(mapped).all():
                self.audit.boxes_dropped["a corner is no finite number"] += 1
                lost.add(finding)
                continue
            if not (clipped[:, 2:] - clipped[:, :2] > SMALLEST_SIDE_PX).all():
                self.audit.boxes_dropped[f"degenerate: a side of {SMALLEST_SIDE_PX:g} px or less in the image"] += 1
                lost.add(finding)
                continue
            if (finding, raw.reader, raw.xyxy) in seen:
                self.audit.boxes_dropped["the same box of the same finding a second time"] += 1
                continue
            seen.add((finding, raw.reader, raw.xyxy))
            if box_area(mapped)[0] > box_area(clipped)[0]:
                self.audit.remarks["box clipped at the edge of the image"] += 1
            x1, y1, x2, y2 = clipped[0].tolist()
            corners = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
            image_id = f"{self.name}:{record.image}"
            rows.append(
                {
                    "image_id": image_id,
                    "finding": finding,
                    **corners,
                    "reader": raw.reader,
                    "raw_label": raw.label,
                }
            )
        return rows, lost

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
            chosen.image["copies"] = shlex.join(other.image["image_id"] for other in others)
            kept.append(chosen)
        return kept


def _require_names(datasets: DatasetsFile, label_space: LabelSpace) -> None:
    """`names` is what ultralytics calls the classes of the label files; by position, so a slip renames findings."""
    if datasets.names is not None and datasets.names != dict(enumerate(label_space.keys)):
        raise DataError(
            f"the names {list(datasets.names.values())} are not the findings of {label_space.name!r} in their order: "
            f"{', '.join(label_space.keys)}"
        )


def _write_png(path: Path, grey: ByteArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok, "OpenCV writes any grey picture"
    path.write_bytes(data.tobytes())


def _image_table(rows: list[BuiltRecord], label_space: LabelSpace) -> pd.DataFrame:
    named = [
        "image_id",
        "source",
        "image",
        "split",
        "patient",
        "picture",
        "width",
        "height",
        "sha256",
        "view",
        "copies",
    ]
    cells = [f"{what}_{key}" for key in label_space.keys for what in ("presence", "rule")]
    return pd.DataFrame([row.image for row in rows], columns=named + cells)


def _box_table(rows: list[BuiltRecord]) -> pd.DataFrame:
    table = pd.DataFrame([box for row in rows for box in row.boxes], columns=BOX_COLUMNS)
    return table.astype(dict.fromkeys(("x1", "y1", "x2", "y2"), np.float64))
