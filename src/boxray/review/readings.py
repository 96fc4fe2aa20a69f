"""What the models say of a built set's images: read once, kept as one line an image, and found again by image.

A line is what `boxray read --json` writes. Those that `read_set` makes have more: numbers that are not rounded, so that
figures made of them are those of `boxray detection evaluate`; the maps on a small grid; and the detector's features.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from boxray.classification.classify import CamClassifier
from boxray.classification.gate.gate import released_gate
from boxray.core.ahead import cores, in_order
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.boxes import Box
from boxray.core.errors import DataError, InputError, Outcome
from boxray.core.protocols import Gate
from boxray.core.reading import SCHEMA, Detection, SaliencyMap
from boxray.data.manifest import Manifest
from boxray.detection.detect import EVERYTHING, YoloDetector
from boxray.localization.reader import Reader
from boxray.review.tap import TappedSession
from boxray.weights import load_card, released_card

GRID: Final = 16
"""Cells a side of a stored map: the classifier's own grid has 8, and a film of 640 px needs no file of its own."""


@dataclass(frozen=True, slots=True)
class SmallMap:
    """A saliency map on a small grid that spans the film."""

    grid: ByteArray
    """Shape ``(GRID, GRID)``, 255 where the map has its peak."""
    peak: float
    """Raw value of the map there, 0 where nothing spoke for the finding."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the models say of one image."""

    status: str
    code: str | None = None
    """Why it was not read; None where it was."""
    detections: tuple[Detection, ...] = ()
    """In pixels of the picture."""
    scores: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """The detector's operating points."""
    map_thresholds: Mapping[str, float] = field(default_factory=dict)
    """The classifier's."""
    not_assessed: tuple[str, ...] = ()
    """Findings that the detector was never trained to box."""
    agreement: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    maps: Mapping[str, SmallMap] = field(default_factory=dict)
    features: FloatArray | None = None
    """Shape ``(C,)``; None where the reading was made without."""
    scope: str | None = None
    """Code by which the scope gate would refuse the film; None where it would not."""
    model: str = ""
    """Name and version of the detector."""
    digest: str = ""
    """Of the line that it was read from."""

    def speaking(self) -> tuple[Detection, ...]:
        """The detections at or above the operating points."""
        return tuple(det for det in self.detections if det.score >= self.thresholds.get(det.finding, 0.0))


def find_readings(places: Iterable[Path], manifest: Manifest) -> dict[str, Said]:
    """Readings of a set's images by image id.

    Args:
        places: Files of lines as `boxray read --json` writes them, or folders that hold such (``*.jsonl``).
        manifest: Whose images; lines of other films are left out.

    Returns:
        Of several lines on one image the last.

    Raises:
        DataError: If there is no such file, a line is none, or no line is of an image of the set.
    """
    by_tail, by_name = _names(manifest)
    found: dict[str, Said] = {}
    n_lines = 0
    for line in _lines(places):
        n_lines += 1
        tail = "/".join(Path(str(line["file"])).parts[-2:])
        image = by_tail.get(tail) or by_name.get(Path(tail).stem)
        if image is not None:
            found[image] = said_from(line)
    if n_lines and not found:
        raise DataError(
            f"none of the {n_lines} readings is of an image of this set: they are found by the name of the picture; "
            "read the built set's own pictures (boxray read --json FOLDER/images), or let them be read with --read"
        )
    return found


def _names(manifest: Manifest) -> tuple[dict[str, str], dict[str, str]]:
    """Folder and name of a picture -> image id; and its stem alone, where only one image has it."""
    images = manifest.images
    by_tail = {
        "/".join(Path(picture).parts[-2:]): image
        for picture, image in zip(images["picture"], images["image_id"], strict=True)
    }
    stems = images["picture"].map(lambda picture: Path(picture).stem)
    alone = ~stems.duplicated(keep=False)
    return by_tail, dict(zip(stems[alone], images["image_id"][alone], strict=True))


def _lines(places: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for place in places:
        files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
        if not files or not files[0].is_file():
            raise DataError(
                "there are no readings there: a file of JSON lines is expected, or a folder with readings.jsonl; "
                "make one with: boxray read --json FOLDER/images > readings.jsonl"
            )
        for file in files:
            yield from _lines_of(file)


def _lines_of(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                content = json.loads(line)
            except ValueError as error:
                if not line.endswith("\n"):  # cut off while it was written; that image is read again
                    return
                raise DataError(f"line {number} of the readings {file.name} is no JSON") from error
            if not isinstance(content, dict) or content.get("schema") != SCHEMA:
                raise DataError(f"line {number} of {file.name} is no reading: expected the schema {SCHEMA}")
            yield content


def said_from(line: Mapping[str, Any]) -> Said:
    """A line of `boxray read --json`, or of `read_set`."""
    models = line.get("models", {})
    detector, classifier = models.get("detector", {}), models.get("classifier", {})
    beside = line.get("review", {})
    features = beside.get("features")
    return Said(
        status=line["status"],
        code=line["code"],
        detections=tuple(Detection(det["finding"], det["score"], Box(*det["box_xyxy"])) for det in line["detections"]),
        scores=line["scores"],
        thresholds=detector.get("thresholds", {}),
        map_thresholds=classifier.get("thresholds", {}),
        not_assessed=tuple(line["not_assessed"].get("detector", ())),
        agreement={row["finding"]: row for row in line["agreement"]},
        maps={finding: _map_from(*packed) for finding, packed in beside.get("maps", {}).items()},
        features=None if features is None else np.frombuffer(_unpacked(features), dtype="<f2").astype(np.float32),
        scope=beside.get("scope"),
        model=f"{detector['name']} {detector['version']}" if detector else "",
        digest=hashlib.blake2b(json.dumps(line, sort_keys=True).encode(), digest_size=8).hexdigest(),
    )


def read_set(
    manifest: Manifest,
    folder: Path,
    progress: Callable[[], None] = lambda: None,
    *,
    detector: str | None = None,
) -> Path:
    """Read every image of a set with the released weights and keep what they say.

    Cut off, it goes on where it was. Images that lie there under the same pixels and weights are not read again.

    Args:
        manifest: Whose images.
        folder: Where ``readings.jsonl`` is, or will be.
        progress: Called after every image, those that need not be read included.
        detector: Name of a released detector, or path of a card; None means the default one.

    Returns:
        The file of lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "readings.jsonl"
    card, graph = load_card(released_card("detection", detector), check=".onnx")
    session = TappedSession(graph)
    classifier = CamClassifier.load(released_card("classification"), many=True)
    reader = Reader(YoloDetector(card, session, card.space), classifier)
    reader.label_space.require_same(manifest.label_space)
    gate = released_gate()
    version = "-".join(model.sha256[:16] for model in reader.models.values())
    known = _already_read(file, version)
    images = [row for row in manifest.images.itertuples() if row.sha256 not in known]
    for _ in range(len(manifest.images) - len(images)):
        progress()

    def read(row: Any) -> dict[str, Any]:
        line = _whole_line(reader, session, gate, manifest, row.picture)
        return line | {"review": line["review"] | {"sha256": row.sha256, "by": version}}

    with file.open("a", encoding="utf-8") as lines:
        for line in in_order(read, images, threads=cores()):
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            progress()
    return file


def _already_read(file: Path, version: str) -> set[str]:
    """Hashes of the pictures in a file, which loses a line that was cut off."""
    if not file.is_file():
        return set()
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        with file.open("r+b") as lines:
            lines.truncate(content.rfind(b"\n") + 1)
    beside = (line.get("review", {}) for line in _lines_of(file))
    return {each["sha256"] for each in beside if each.get("by") == version}


def _whole_line(reader: Reader, session: TappedSession, gate: Gate, manifest: Manifest, picture: str) -> dict[str, Any]:
    rad = manifest.radiograph(picture)
    reading = reader.read_radiograph(rad, picture, min_score=EVERYTHING)
    line = reading.to_json()
    if reading.status is not Outcome.RESULT:
        return line | {"review": {}}
    for row, det in zip(line["detections"], reading.detections, strict=True):
        row["score"], row["box_xyxy"] = float(det.score), [float(value) for value in det.box.xyxy]
    beside = {
        "maps": {saliency.finding: _packed_map(small_map(saliency)) for saliency in reading.maps},
        "features": _packed(session.features.astype("<f2").tobytes()),
        "scope": None,
    }
    try:
        gate.require(rad)
    except InputError as error:
        beside["scope"] = error.code.name
    return line | {"review": beside}


def small_map(saliency: SaliencyMap) -> SmallMap:
    """A map as the mean of its cells on a grid of `GRID` by `GRID` that spans the film."""
    grid = cv2.resize(saliency.values.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    top = float(grid.max())
    values = np.rint(grid / top * 255) if top > 0 else np.zeros_like(grid)
    return SmallMap(values.astype(np.uint8), float(saliency.values.max()))


def _packed_map(small: SmallMap) -> list[Any]:
    return [round(small.peak, 6), _packed(small.grid.tobytes())]


def _map_from(peak: float, packed: str) -> SmallMap:
    return SmallMap(np.frombuffer(_unpacked(packed), dtype=np.uint8).reshape(GRID, GRID), peak)


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
