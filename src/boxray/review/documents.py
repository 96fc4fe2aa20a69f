"""One image of a built set as a document of FiftyOne's database, and the way back.

FiftyOne's own classes take a tenth of a second for an image with its boxes and maps; the document that they would write
takes a millisecond. `tests/review` reads it back through FiftyOne.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.findings import LabelSpace, Presence
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.record import Corners
from boxray.review import fields as names
from boxray.review.readings import Readings, Said, SmallMap
from boxray.review.shown import (
    Opinions,
    Shown,
    ShownFinding,
    digest_of,
    reader_boxes,
    shown_images,
    to_fractions,
    to_pixels,
)

VERSION: Final = "1"
"""Of what is written of an image; another one has every image written anew."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writer:
    """One image of the manifest as a document."""

    folder: Path
    label_space: LabelSpace
    said: Readings
    findings: Mapping[str, Mapping[str, ShownFinding]]
    drawn: Mapping[str, Mapping[str, list[tuple[str, Corners, str]]]]
    key: bytes

    @classmethod
    def of(cls, manifest: Manifest, said: Mapping[str, Said], opinions: Opinions, reviewer: str, key: bytes) -> Writer:
        """For the images of a manifest, as a reviewer sees them; `key` hides the patient."""
        findings = shown_images(manifest, opinions, reviewer)
        drawn = reader_boxes(manifest)
        return cls(manifest.folder.resolve(), manifest.label_space, Readings.of(said), findings, drawn, key)

    def digest(self, row: Any) -> str:
        """Of all that `document` would write of a row of the manifest."""
        drawn = {reader: of[row.image_id] for reader, of in self.drawn.items() if row.image_id in of}
        about = [row.source, row.split, row.picture, row.sha256, row.view, row.aside, row.copies, row.readers]
        about.append(self._patient(row))
        said = self.said.digest(row.image_id)
        return digest_of(VERSION, str(self.folder), about, self.findings[row.image_id], drawn, said)

    def _patient(self, row: Any) -> str:
        return hashlib.blake2b(str(row.patient).encode(), key=self.key, digest_size=8).hexdigest()

    def document(self, row: Any, digest: str) -> Document:
        """All fields of a row of the manifest."""
        size_wh = int(row.width), int(row.height)
        findings = self.findings[row.image_id]
        said = self.said.get(row.image_id)
        quality = [str(row.aside)] if row.aside else []
        if said is not None and (said.code or said.scope):
            quality.append(str(said.code or said.scope))
        content: Document = {
            "filepath": str(self.folder / row.picture),
            "tags": [row.split],
            "metadata": {"_cls": "ImageMetadata", "width": size_wh[0], "height": size_wh[1], "num_channels": 1},
            names.IMAGE_ID: row.image_id,
            names.SHA256: row.sha256,
            names.WIDTH: size_wh[0],
            names.HEIGHT: size_wh[1],
            "source": row.source,
            "split": row.split,
            "view": None if pd.isna(row.view) else str(row.view),
            "patient": self._patient(row),
            "readers": str(row.readers).split(),
            "n_copies": len(str(row.copies).split()),
            names.QUALITY: quality,
            names.SHOWN: Shown.of(findings).to_json(),
            names.DIGEST: digest,
            names.STAMPS: "{}",
            names.ANNOTATION: _annotation(findings, size_wh),
        }
        for key, each in findings.items():
            content[f"{names.PRESENCE}{key}"] = _label(
                "Classification", label=each.presence.value, rule=each.rule, ruled_by=each.ruled_by
            )
        for reader, of in self.drawn.items():
            content[names.reader_field(reader)] = detections(
                _label("Detection", label=key, bounding_box=to_fractions(xyxy, size_wh), raw_label=raw)
                for key, xyxy, raw in of.get(row.image_id, ())
            )
        for name in (names.DETECTOR, names.DETECTOR_ALL):
            content[name] = None
        for key in self.label_space.keys:
            for name in (names.SCORE, names.MAP, names.AGREEMENT):
                content[f"{name}{key}"] = None
        if said is not None and said.status == "RESULT":
            content |= _reading(said, findings, size_wh)
        return content


def _label(kind: str, _id: str | None = None, **content: Any) -> Document:
    from bson import ObjectId  # comes with the extra [review]

    return {"_id": ObjectId(_id), "_cls": kind, "tags": [], **content}


def detections(boxes: Iterable[Document]) -> Document:
    """Boxes as FiftyOne's `Detections`."""
    return {"_cls": "Detections", "detections": list(boxes)}


def _annotation(findings: Mapping[str, ShownFinding], size_wh: tuple[int, int]) -> Document:
    return detections(
        _label(
            "Detection",
            box.id,
            label=key,
            bounding_box=to_fractions(box.xyxy, size_wh),
            votes=box.votes,
            n_readers=box.n_readers,
            drawn_by=box.readers,
            raw_label=box.raw_label,
        )
        for key, each in findings.items()
        for box in each.boxes
    )


def _reading(said: Said, findings: Mapping[str, ShownFinding], size_wh: tuple[int, int]) -> Document:
    speaking = said.speaking()
    content: Document = {
        names.DETECTOR: _boxes_of(speaking, size_wh),
        names.DETECTOR_ALL: _boxes_of(said.detections, size_wh),
    }
    boxed = {det.finding for det in speaking}
    for key, score in said.scores.items():
        content[f"{names.SCORE}{key}"] = float(score)
        there = key in findings and findings[key].presence in {Presence.BOXED, Presence.PRESENT}
        small = said.maps.get(key)
        # The map of a finding that nobody speaks of would only hide the film.
        if small is not None and (there or key in boxed or score >= said.map_thresholds.get(key, 0.5)):
            content[f"{names.MAP}{key}"] = heatmap(small, float(score))
    for key, row in said.agreement.items():
        measured = ("pointing_hit", "iou", "energy_inside")
        measures = {name: row[name] for name in measured if row.get(name) is not None}
        content[f"{names.AGREEMENT}{key}"] = _label("Classification", label=row["case"], **measures)
    return content


def _boxes_of(found: Sequence[Detection], size_wh: tuple[int, int]) -> Document:
    return detections(
        _label(
            "Detection",
            label=det.finding,
            confidence=float(det.score),
            bounding_box=to_fractions(det.box.xyxy, size_wh),
        )
        for det in found
    )


def heatmap(small: SmallMap, score: float) -> Document:
    """A map as FiftyOne draws it: as strong as its score, so that what hardly speaks looks weak."""
    with io.BytesIO() as file:
        np.save(file, np.rint(small.grid * score).astype(np.uint8), allow_pickle=False)
        packed = zlib.compress(file.getvalue())
    return _label("Heatmap", map=packed, range=[0.0, 255.0], peak=small.peak)


# -- the way back ------------------------------------------------------------------------------------------


def boxes_now(doc: Document) -> list[Document]:
    """The boxes that may be edited, as they lie in the database now."""
    drawn = doc.get(names.ANNOTATION) or {}
    return [box for box in drawn.get("detections") or () if box.get("bounding_box")]


def shown_now(doc: Document, keys: Sequence[str]) -> Shown:
    """What a document says at this moment, with whatever was done to it in the App."""
    size_wh = doc[names.WIDTH], doc[names.HEIGHT]
    presence = {key: (doc.get(f"{names.PRESENCE}{key}") or {}).get("label") or Presence.UNKNOWN.value for key in keys}
    boxes: dict[str, dict[str, Corners]] = {}
    for box in boxes_now(doc):
        boxes.setdefault(str(box.get("label")), {})[str(box["_id"])] = to_pixels(box["bounding_box"], size_wh)
    return Shown(presence, boxes)


def is_marked(doc: Document, key: str) -> bool:
    """Whether something was said of a finding that changes neither its presence nor a box."""
    if (doc.get(f"{names.PRESENCE}{key}") or {}).get(names.SECOND):
        return True
    return any(box.get("label") == key and box.get(names.CHECKED) for box in boxes_now(doc))


def edited_findings(doc: Document, keys: Sequence[str]) -> list[str]:
    """The findings that are not as they were shown."""
    shown, now = Shown.from_json(doc[names.SHOWN]), shown_now(doc, keys)
    return [key for key in keys if now.differs(key, shown)]


def is_edited(doc: Document, keys: Sequence[str]) -> bool:
    """Whether anything was said of an image; boxes of a finding that is none of the set's count too."""
    strange = any(box.get("label") not in keys for box in boxes_now(doc))
    return strange or any(is_marked(doc, key) for key in keys) or bool(edited_findings(doc, keys))


def renewed_document(doc: Document, fresh: Document, keys: Sequence[str]) -> tuple[Document, int]:
    """A document brought up to date: edited findings stay, with what stood there when they were shown.

    Returns:
        What to write, and how many findings stayed.
    """
    shown, now = Shown.from_json(doc[names.SHOWN]), shown_now(doc, keys)
    below = Shown.from_json(fresh[names.SHOWN])
    keep = [key for key in edited_findings(doc, keys) if now.differs(key, below)]
    boxes = [box for box in fresh[names.ANNOTATION]["detections"] if box["label"] not in keep]
    boxes += [box for box in boxes_now(doc) if box.get("label") in keep or box.get("label") not in keys]
    changed = fresh | {names.ANNOTATION: detections(boxes)}
    _carry_marks(doc, changed, keys)
    for key in keep:
        changed[f"{names.PRESENCE}{key}"] = doc.get(f"{names.PRESENCE}{key}")
        below = below.with_finding(key, shown)
    changed[names.SHOWN] = below.to_json()
    changed["tags"] = sorted({*doc.get("tags", ()), *fresh["tags"]} - {"gone"})
    del changed[names.STAMPS]
    return changed, len(keep)


def _carry_marks(doc: Document, changed: Document, keys: Sequence[str]) -> None:
    """What was said of a finding or a box without changing it."""
    said = (names.SECOND, names.CHECKED, names.REASON, names.REVIEWER)
    old = {box["_id"]: box for box in boxes_now(doc)}
    pairs = [(old[box["_id"]], box) for box in changed[names.ANNOTATION]["detections"] if box["_id"] in old]
    pairs += [(doc.get(f"{names.PRESENCE}{key}") or {}, changed[f"{names.PRESENCE}{key}"]) for key in keys]
    for before, after in pairs:
        after.update({name: before[name] for name in said if before.get(name)})
