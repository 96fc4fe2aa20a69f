"""The released models read a built set's images once, and what they say is kept as one line an image."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from boxray.classification.classify import CamClassifier
from boxray.classification.gate.gate import released_gate
from boxray.core.ahead import cores, in_order
from boxray.core.errors import InputError, Outcome
from boxray.core.protocols import Gate
from boxray.core.reading import SaliencyMap
from boxray.data.manifest import Manifest
from boxray.detection.detect import EVERYTHING, YoloDetector
from boxray.localization.reader import Reader
from boxray.review.readings import GRID, SmallMap, lines_in, packed, packed_map
from boxray.review.tap import TappedSession
from boxray.weights import load_card, released_card


def read_set(
    manifest: Manifest,
    folder: Path,
    progress: Callable[[], None] = lambda: None,
    *,
    detector: str | None = None,
    notes: Path | None = None,
) -> Path:
    """Read every image of a set with the released weights and keep what they say.

    Cut off, it goes on where it was. Images that lie there under the same pixels and weights are not read again.

    Args:
        manifest: Whose images.
        folder: Where ``readings.jsonl`` is, or will be.
        progress: Called after every image, those that need not be read included.
        detector: Name of a released detector, or path of a card; None means the default one.
        notes: As in `boxray.review.readings.find_readings`.

    Returns:
        The file of lines.

    Raises:
        DataError: If there are lines that are no whole readings; before anything is read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "readings.jsonl"
    cards = released_card("detection", detector), released_card("classification")
    version = "-".join(load_card(card, check=".onnx")[0].identity().sha256[:16] for card in cards)
    known = _already_read(file, version, notes)
    images = [row for row in manifest.images.itertuples() if row.sha256 not in known]
    for _ in range(len(manifest.images) - len(images)):
        progress()
    if images:
        _read_all(manifest, images, file, cards, version, progress)
    return file


def _read_all(
    manifest: Manifest,
    images: Sequence[Any],
    file: Path,
    cards: tuple[Path, Path],
    version: str,
    progress: Callable[[], None],
) -> None:
    card, graph = load_card(cards[0], check=".onnx")
    session = TappedSession(graph)
    reader = Reader(YoloDetector(card, session, card.space), CamClassifier.load(cards[1], many=True))
    reader.label_space.require_same(manifest.label_space)
    gate = released_gate()

    def read(row: Any) -> dict[str, Any]:
        line = _whole_line(reader, session, gate, manifest, row.picture)
        return line | {"review": line["review"] | {"sha256": row.sha256, "by": version}}

    with file.open("a", encoding="utf-8") as lines:
        for line in in_order(read, images, threads=cores()):
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            progress()


def _already_read(file: Path, version: str, notes: Path | None) -> set[str]:
    """Hashes of the pictures in a file, which loses a line that was cut off."""
    if not file.is_file():
        return set()
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        with file.open("r+b") as lines:
            lines.truncate(content.rfind(b"\n") + 1)
    return {line.sha256 for line in lines_in([file], notes) if line.by == version}


def _whole_line(reader: Reader, session: TappedSession, gate: Gate, manifest: Manifest, picture: str) -> dict[str, Any]:
    rad = manifest.radiograph(picture)
    reading = reader.read_radiograph(rad, picture, min_score=EVERYTHING)
    line = reading.to_json()
    if reading.status is not Outcome.RESULT:
        return line | {"review": {}}
    for row, det in zip(line["detections"], reading.detections, strict=True):
        row["score"], row["box_xyxy"] = float(det.score), [float(value) for value in det.box.xyxy]
    beside = {
        "maps": {saliency.finding: packed_map(small_map(saliency)) for saliency in reading.maps},
        "features": packed(session.features.astype("<f2").tobytes()),
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
