"""What a reviewer is shown of one image, finding by finding, and how it is told from what he makes of it.

Boxes lie in FiftyOne as fractions of the picture, here in its pixels; each has an id that is made of what it says, so
that the same built set gives the same ids wherever it is opened. What was shown is kept beside the image: an edit is
whatever differs from it, and nobody has to be asked what stood there before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray
from boxray.core.findings import Presence
from boxray.data.corrections import Opinion, same_box
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.record import Corners

Opinions = Mapping[tuple[str, str, str], Opinion]
"""By image, finding and reviewer, as `CorrectionLog.opinions` has them."""


@dataclass(frozen=True, slots=True)
class ShownBox:
    """A box that may be edited."""

    id: str
    """24 hexadecimal digits."""
    xyxy: Corners
    """In pixels of the picture."""
    votes: int = 1
    n_readers: int = 1
    readers: str = ""
    raw_label: str = ""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """What is known of one finding in one image, as the reviewer sees it."""

    presence: Presence
    rule: str = ""
    ruled_by: str = ""
    boxes: tuple[ShownBox, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown of one image, without what cannot be edited."""

    presence: Mapping[str, str] = field(default_factory=dict)
    """Per finding."""
    boxes: Mapping[str, Mapping[str, Corners]] = field(default_factory=dict)
    """Per finding the boxes by id, in pixels of the picture."""

    def to_json(self) -> str:
        """One line; `from_json` is the way back, without loss."""
        content = {"presence": dict(self.presence), "boxes": {key: dict(each) for key, each in self.boxes.items()}}
        return json.dumps(content, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Shown:
        """What `to_json` wrote."""
        content = json.loads(text)
        boxes = {
            key: {name: (box[0], box[1], box[2], box[3]) for name, box in each.items()}
            for key, each in content["boxes"].items()
        }
        return cls(content["presence"], boxes)

    @classmethod
    def of(cls, findings: Mapping[str, ShownFinding]) -> Shown:
        """That of an image as it is to be shown."""
        return cls(
            {key: each.presence.value for key, each in findings.items()},
            {key: {box.id: box.xyxy for box in each.boxes} for key, each in findings.items() if each.boxes},
        )

    def with_finding(self, key: str, other: Shown) -> Shown:
        """The same, one finding taken from elsewhere."""
        presence, boxes = dict(self.presence), dict(self.boxes)
        presence[key] = other.presence.get(key, Presence.UNKNOWN.value)
        boxes.pop(key, None)
        if other.boxes.get(key):
            boxes[key] = other.boxes[key]
        return Shown(presence, boxes)

    def differs(self, key: str, other: Shown) -> bool:
        """Whether the two say different things of a finding."""
        mine, theirs = self.boxes.get(key, {}), other.boxes.get(key, {})
        return (
            self.presence.get(key) != other.presence.get(key)
            or mine.keys() != theirs.keys()
            or any(not same_box(mine[name], theirs[name]) for name in mine)
        )


def box_id(image_id: str, finding: str, xyxy: Corners, place: int = 0) -> str:
    """24 hexadecimal digits of what a box says; `place` tells apart boxes that say the same."""
    text = json.dumps([image_id, finding, [float(value) for value in xyxy], place])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def to_fractions(xyxy: Corners, size_wh: tuple[int, int]) -> list[float]:
    """Pixels of a picture to FiftyOne's left, top, width and height as fractions of it."""
    (x1, y1, x2, y2), (width, height) = xyxy, size_wh
    return [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]


def to_pixels(fractions: list[float], size_wh: tuple[int, int]) -> Corners:
    """The way back, exact to the last digits of a float: a millionth of a millionth of a pixel."""
    (left, top, wide, high), (width, height) = fractions, size_wh
    return left * width, top * height, (left + wide) * width, (top + high) * height


def shown_images(manifest: Manifest, opinions: Opinions, reviewer: str) -> dict[str, dict[str, ShownFinding]]:
    """Image id -> finding -> what the reviewer is to see: his own opinion in force, else what the set says.

    Args:
        manifest: The images.
        opinions: In force.
        reviewer: Whose.
    """
    boxes = _boxes(manifest)
    own = {(image, key): each for (image, key, who), each in opinions.items() if who == reviewer}
    images = manifest.images
    known: dict[str, dict[str, ShownFinding]] = {image: {} for image in images["image_id"]}
    for key in manifest.label_space.keys:
        columns = (images["image_id"], images[f"presence_{key}"], images[f"rule_{key}"], manifest.ruled_by(key))
        pixels = images["sha256"]
        for image, presence, rule, ruled_by, sha256 in zip(*columns, pixels, strict=True):
            held = own.get((image, key))
            if held is not None and held.sha256 == sha256:
                known[image][key] = _held(held, boxes.get((image, key), ()))
            else:
                there = boxes.get((image, key), ())
                known[image][key] = ShownFinding(Presence(presence), str(rule), str(ruled_by), there)
    return known


def _held(opinion: Opinion, of_set: tuple[ShownBox, ...]) -> ShownFinding:
    """His boxes, under the ids of the set's where they are the same ones."""
    boxes = []
    for place, xyxy in enumerate(opinion.boxes_xyxy):
        same = next((box for box in of_set if same_box(box.xyxy, xyxy)), None)
        own_id = box_id(opinion.image_id, opinion.finding, xyxy, place)
        boxes.append(same or ShownBox(own_id, xyxy, readers=f"review/{opinion.reviewer}"))
    return ShownFinding(opinion.presence, "review", f"review/{opinion.reviewer}", tuple(boxes))


def _boxes(manifest: Manifest) -> dict[tuple[str, str], tuple[ShownBox, ...]]:
    found: dict[tuple[str, str], list[ShownBox]] = {}
    for row in manifest.boxes.itertuples():
        here = found.setdefault((row.image_id, row.finding), [])
        xyxy = (float(row.x1), float(row.y1), float(row.x2), float(row.y2))
        place = sum(box.xyxy == xyxy for box in here)
        name = box_id(row.image_id, row.finding, xyxy, place)
        here.append(ShownBox(name, xyxy, int(row.votes), int(row.n_readers), str(row.readers), str(row.raw_label)))
    return {cell: tuple(boxes) for cell, boxes in found.items()}


def reader_boxes(manifest: Manifest) -> dict[str, dict[str, list[tuple[str, Corners, str]]]]:
    """Reader -> image id -> finding, corners and raw label of each box that this reader drew."""
    table = manifest.reader_boxes()
    table = table[table["image_id"].isin(set(manifest.images["image_id"]))]
    found: dict[str, dict[str, list[tuple[str, Corners, str]]]] = {}
    corners: FloatArray = table[CORNERS].to_numpy(dtype=np.float64)
    columns = (table["reader"], table["image_id"], table["finding"], corners.tolist(), table["raw_label"])
    for reader, image, finding, box, raw_label in zip(*columns, strict=True):
        xyxy = (box[0], box[1], box[2], box[3])
        found.setdefault(str(reader), {}).setdefault(image, []).append((finding, xyxy, str(raw_label)))
    return found


def digest_of(*parts: Any) -> str:
    """16 hexadecimal digits of anything plain: whether an image must be written again."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(thing: Any) -> Any:
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, np.ndarray):
        return hashlib.blake2b(np.ascontiguousarray(thing).tobytes(), digest_size=8).hexdigest()
    if thing is pd.NA:
        return None
    if hasattr(thing, "__dataclass_fields__"):
        return {name: getattr(thing, name) for name in thing.__dataclass_fields__}
    return dict(thing) if isinstance(thing, Mapping) else str(thing)
