"""What the models say of a built set's images: one line an image, taken apart when it is asked for.

A line is what `boxray read --json` writes. Those that `boxray.review.read_set` makes have more: numbers that are not
rounded, so that figures made of them are those of `boxray detection evaluate`; the maps on a small grid; and the
detector's features. Lines are known by a digest of their bytes: what was seen to be whole once is only hashed again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.boxes import Box
from boxray.core.errors import DataError
from boxray.core.reading import SCHEMA, Detection
from boxray.data.manifest import Manifest

GRID: Final = 16
"""Cells a side of a stored map: the classifier's own grid has 8, and a film of 640 px needs no file of its own."""
_NOTES: Final = "boxray.review.lines/1"
"""Of the notes on lines that were seen to be whole; other notes are made anew."""


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


@dataclass(frozen=True, slots=True)
class Line:
    """Where one reading stands, and what is asked of all of them."""

    file: Path
    start: int
    length: int
    """In bytes."""
    digest: str
    """Of these bytes."""
    tail: str
    """Folder and name of the picture that was read."""
    status: str
    model: str = ""
    sha256: str = ""
    """Of the pixels that were read; empty where `boxray read` wrote the line, and so is `by`."""
    by: str = ""
    """The weights."""

    def note(self) -> list[str]:
        """What is kept of it under its digest."""
        return [self.tail, self.status, self.model, self.sha256, self.by]

    def said(self) -> Said:
        """The reading itself.

        Raises:
            DataError: If the file has changed since it was looked through.
        """
        with self.file.open("rb") as content:
            content.seek(self.start)
            line = content.read(self.length)
        if _digest(line) != self.digest:
            raise DataError(f"the readings {self.file.name} were changed while they were read; try again")
        return said_from(json.loads(line), self.digest)


class Readings(Mapping[str, Said]):
    """Readings by image id; each is taken apart when it is first asked for, and kept."""

    def __init__(self, lines: Mapping[str, Line] | None = None, known: Mapping[str, Said] | None = None) -> None:
        self._lines = dict(lines or {})
        self._known = dict(known or {})

    @classmethod
    def of(cls, said: Mapping[str, Said]) -> Readings:
        """Any readings by image id as these."""
        return said if isinstance(said, Readings) else cls(known=said)

    def __getitem__(self, image: str) -> Said:
        if image not in self._known:
            self._known[image] = self._lines[image].said()
        return self._known[image]

    def __contains__(self, image: object) -> bool:
        return image in self._known or image in self._lines

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        yield from (image for image in self._known if image not in self._lines)

    def __len__(self) -> int:
        return len(self._lines.keys() | self._known.keys())

    def _about(self, image: str) -> Line | Said:
        return self._lines.get(image) or self._known[image]

    def digest(self, image: str) -> str | None:
        """Of what was said of an image; None where nothing was. The reading need not be taken apart for it."""
        return self._about(image).digest if image in self else None

    @property
    def n_read(self) -> int:
        """Images that were read and not refused."""
        return sum(self._about(image).status == "RESULT" for image in self)

    @property
    def model(self) -> str:
        """Name and version of a detector that read; empty where there is none."""
        return next((model for image in self if (model := self._about(image).model)), "")

    def only(self, images: Collection[str]) -> Readings:
        """Those of some images."""
        wanted = set(images)
        return Readings(
            {image: line for image, line in self._lines.items() if image in wanted},
            {image: said for image, said in self._known.items() if image in wanted},
        )


def find_readings(places: Iterable[Path], manifest: Manifest, notes: Path | None = None) -> Readings:
    """Readings of a set's images by image id.

    Args:
        places: Files of lines as `boxray read --json` writes them, or folders that hold such (``*.jsonl``).
        manifest: Whose images; lines of other films are left out.
        notes: File for what was seen of each line, by its digest: next time these lines are not taken apart.

    Returns:
        Of several lines on one image the last.

    Raises:
        DataError: If there is no such file, a line is none, or no line is of an image of the set.
    """
    by_tail, by_name = _names(manifest)
    found: dict[str, Line] = {}
    taken_apart: dict[str, Said] = {}
    lines = list(lines_in(places, notes, taken_apart))
    for line in lines:
        image = by_tail.get(line.tail) or by_name.get(Path(line.tail).stem)
        if image is not None:
            found[image] = line
    if lines and not found:
        raise DataError(
            f"none of the {len(lines)} readings is of an image of this set: they are found by the name of the picture; "
            "read the built set's own pictures (boxray read --json FOLDER/images), or let them be read with --read"
        )
    known = {image: taken_apart[line.digest] for image, line in found.items() if line.digest in taken_apart}
    return Readings(found, known)


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


def lines_in(
    places: Iterable[Path], notes: Path | None = None, taken_apart: dict[str, Said] | None = None
) -> Iterator[Line]:
    """Every line of some files, in their order. A last one that was cut off while it was written is left out.

    Args:
        places: As in `find_readings`.
        notes: As in `find_readings`.
        taken_apart: Gains, by digest, the readings that had to be taken apart to see whether they are whole.

    Raises:
        DataError: If there is no such file, or a line is no whole reading.
    """
    before = _read_notes(notes)
    now: dict[str, list[str]] = {}
    for place in places:
        files = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
        if not files or not files[0].is_file():
            raise DataError(
                "there are no readings there: a file of JSON lines is expected, or a folder with readings.jsonl; "
                "make one with: boxray read --json FOLDER/images > readings.jsonl"
            )
        for file in files:
            for start, number, content in _bytes_of(file):
                digest = _digest(content)
                note = before.get(digest)
                if note is None:
                    parsed = _parsed(content, number, file)
                    if parsed is None:
                        break
                    said = _whole(parsed, digest, number, file)
                    if taken_apart is not None:
                        taken_apart[digest] = said
                    note = _note_of(parsed, said)
                now[digest] = note
                yield Line(file, start, len(content), digest, *note)
    if notes is not None and now.keys() - before.keys():
        notes.parent.mkdir(parents=True, exist_ok=True)
        notes.write_text(json.dumps({"schema": _NOTES, "lines": before | now}), encoding="utf-8")


def _bytes_of(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Start, number and content of every line."""
    start = 0
    with file.open("rb") as lines:
        for number, content in enumerate(lines, start=1):
            yield start, number, content
            start += len(content)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()


def _read_notes(notes: Path | None) -> dict[str, list[str]]:
    if notes is not None:
        with suppress(OSError, ValueError, TypeError, KeyError):  # they are made anew
            content = json.loads(notes.read_text(encoding="utf-8"))
            if content["schema"] == _NOTES:
                return dict(content["lines"])
    return {}


def _note_of(line: Mapping[str, Any], said: Said) -> list[str]:
    beside = line.get("review", {})
    tail = "/".join(Path(str(line["file"])).parts[-2:])
    return [tail, said.status, said.model, str(beside.get("sha256", "")), str(beside.get("by", ""))]


def _parsed(content: bytes, number: int, file: Path) -> dict[str, Any] | None:
    """A line as what it says; None where it was cut off while it was written: that image is read again."""
    try:
        line = json.loads(content)
    except ValueError as error:
        if not content.endswith(b"\n"):
            return None
        raise DataError(f"line {number} of the readings {file.name} is no JSON") from error
    if not isinstance(line, dict) or line.get("schema") != SCHEMA:
        raise DataError(f"line {number} of {file.name} is no reading: expected the schema {SCHEMA}")
    return line


def _whole(line: Mapping[str, Any], digest: str, number: int, file: Path) -> Said:
    try:
        return said_from(line, digest)
    except (KeyError, TypeError, AttributeError, ValueError, zlib.error) as error:
        what = "a field that is not there" if isinstance(error, KeyError) else type(error).__name__
        raise DataError(
            f"line {number} of the readings {file.name} was kept by another version of boxray, or is damaged ({what}: "
            f"{error}); expected are maps of {GRID} x {GRID} cells and features, packed with zlib in base64, as "
            "boxray review open --read keeps them today. Move the file away and read the images again: "
            "boxray review open --read"
        ) from error


def said_from(line: Mapping[str, Any], digest: str = "") -> Said:
    """A line of `boxray read --json`, or of `read_set`; `digest` is that of its bytes."""
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
        maps={finding: _map_from(*cells) for finding, cells in beside.get("maps", {}).items()},
        features=None if features is None else np.frombuffer(_unpacked(features), dtype="<f2").astype(np.float32),
        scope=beside.get("scope"),
        model=f"{detector['name']} {detector['version']}" if detector else "",
        digest=digest,
    )


def packed_map(small: SmallMap) -> list[Any]:
    """A map as it is kept in a line: its peak, and its cells as text."""
    return [round(small.peak, 6), packed(small.grid.tobytes())]


def _map_from(peak: float, cells: str) -> SmallMap:
    return SmallMap(np.frombuffer(_unpacked(cells), dtype=np.uint8).reshape(GRID, GRID), peak)


def packed(content: bytes) -> str:
    """Bytes as text: zlib in base64."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text, validate=True))
