"""Pictures of a built set: each file is decoded once, and again only when it, or the decoder, has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray
from boxray.core.errors import InputError, Outcome
from boxray.core.radiograph import Radiograph
from boxray.data.likeness import SIDE_PX, Fingerprint, fingerprint_of
from boxray.data.yolo_files import label_file
from boxray.imaging.children import DecodingChildren, decoding_children
from boxray.imaging.limits import MIN_SIDE_IN_DATA_PX
from boxray.imaging.polarity import EXCHANGED_BELOW, polarity
from boxray.imaging.read import read_radiograph
from boxray.imaging.shrink import shrink

SHELF: Final = "pictures.parquet"
SHELF_COLUMNS: Final = [
    "path",
    "key",
    "refused",
    "passing",
    "width",
    "height",
    "sha256",
    "view",
    "flag",
    "hash",
    "thumbnail",
]


@dataclass(frozen=True, slots=True)
class Picture:
    """A radiograph as a file of the built set."""

    path: str
    """Relative to the built set."""
    width: int
    height: int
    sha256: str
    """Of the radiograph's pixels before it was made smaller."""
    view: str | None
    flag: str
    """The code of a quality fault for which it is put aside, or nothing."""
    fingerprint: Fingerprint
    """By which copies are found."""


class Shelf:
    """The pictures of one built set, with what is known of them from the build before."""

    def __init__(self, folder: Path, children: DecodingChildren | None = None) -> None:
        """Look at what an earlier build left.

        Args:
            folder: Of the built set.
            children: Who decodes; None means the program's own, one for each core.
        """
        self.folder = folder
        self._children = children or decoding_children()
        self._counting = Lock()
        self._files: dict[str, tuple[Path, bool]] = {}
        self.decoded = 0
        """How many files were decoded anew."""
        self._before = self._read()
        self._now: dict[str, dict[str, Any]] = {}

    @property
    def at_once(self) -> int:
        """How many threads may well `put` at one time: one more than are decoding, as one writes meanwhile."""
        return self._children.most + 1

    def begin(self) -> None:
        """Leave a shelf where there is none yet, so that a build that is cut off is known as one by the next."""
        if not self._before:
            self.save()

    def put(self, path: str, file: Path, *, chest: bool) -> Picture | str:
        """The picture of a file at a place of the built set, or the code for which there is none.

        Args:
            path: Where it goes, relative to the built set.
            file: A DICOM, PNG or JPEG file.
            chest: Whether it is said to be a frontal chest radiograph: then its polarity is looked at.
        """
        key = _key_of(file, chest=chest)
        row = self._before.get(path)
        self._files[path] = file, chest
        if row is None or row["key"] != key:
            row = {"key": key, **self._decode(path, file, chest=chest)}
            if row["refused"]:
                self._remove(path)
        self._now[path] = row
        return row["refused"] or _picture_of(path, row)

    def keep(self, paths: Iterable[str]) -> None:
        """Leave the pictures of the built set in its folder, and none beside: copies that were merged have no file."""
        kept = set(paths)
        for path in kept:
            if not (self.folder / path).is_file():
                file, chest = self._files[path]
                self._decode(path, file, chest=chest)
        for path in (self._before.keys() | self._now.keys()) - kept:
            self._remove(path)
        self.save()

    def _remove(self, path: str) -> None:
        (self.folder / path).unlink(missing_ok=True)
        label_file(self.folder, path).unlink(missing_ok=True)

    def save(self) -> None:
        """Keep what is known so far for the next build; a refusal that may go better another time is forgotten."""
        # By path: which of two files was done first is chance, and the table is not.
        rows = [{"path": path, **row} for path, row in sorted(self._now.items()) if not row["passing"]]
        table = pd.DataFrame(rows, columns=SHELF_COLUMNS).astype({"hash": "uint64"})
        table.to_parquet(self.folder / f"{SHELF}.part", index=False)
        (self.folder / f"{SHELF}.part").replace(self.folder / SHELF)

    def _read(self) -> dict[str, dict[str, Any]]:
        path = self.folder / SHELF
        if not path.is_file():
            return {}
        try:
            rows = pd.read_parquet(path).to_dict("records")
            return {row.pop("path"): row for row in rows}
        except (OSError, ValueError, KeyError):
            return {}  # a damaged shelf costs time, nothing else: every file is decoded again

    def _decode(self, path: str, file: Path, *, chest: bool) -> dict[str, Any]:
        with self._counting:  # several files may be in work
            self.decoded += 1
        blank = dict.fromkeys(("width", "height", "hash"), 0) | {"sha256": "", "view": "", "flag": "", "thumbnail": b""}
        try:
            rad = read_radiograph(file, check_polarity=False, min_side_px=MIN_SIDE_IN_DATA_PX, children=self._children)
        except InputError as error:
            passing = error.code.outcome is Outcome.FAILED or error.code.name.startswith("decode.")
            return {"refused": error.code.name, "passing": passing, **blank}
        grey = shrink(np.round(rad.pixels * 255).astype(np.uint8))
        _write_png(self.folder / path, grey)
        seen = fingerprint_of(grey)
        return {
            "refused": "",
            "passing": False,
            "width": grey.shape[1],
            "height": grey.shape[0],
            "sha256": rad.sha256,
            "view": rad.view or "",
            "flag": _flag(rad) if chest else "",
            "hash": int(seen.hash64),
            "thumbnail": seen.thumbnail.tobytes(),
        }


def _picture_of(path: str, row: dict[str, Any]) -> Picture:
    thumbnail = np.frombuffer(row["thumbnail"], dtype=np.uint8).reshape(SIDE_PX, SIDE_PX)
    return Picture(
        path,
        int(row["width"]),
        int(row["height"]),
        row["sha256"],
        row["view"] or None,
        row["flag"],
        Fingerprint(np.uint64(row["hash"]), thumbnail),
    )


def _flag(rad: Radiograph) -> str:
    return "quality.polarity" if polarity(rad) < EXCHANGED_BELOW else ""


def _key_of(file: Path, *, chest: bool) -> str:
    """What must be as before for a file to be the same to us: the file's own marks, and the decoder."""
    try:
        seen = file.stat()
    except OSError:
        return ""
    return f"{file} {seen.st_size} {seen.st_mtime_ns} {chest} {_decoder()}"


@cache
def _decoder() -> str:
    """Hash of what makes pixels: our decoder's source and the libraries under it."""
    digest = hashlib.sha256()
    data = Path(str(files("boxray.data")))
    for source in (*_sources(Path(str(files("boxray.imaging")))), data / "likeness.py", data / "pictures.py"):
        digest.update(source.read_bytes())
    for library in ("pydicom", "opencv-python", "numpy", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pyjpegls"):
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()[:16]


def _sources(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.py"))


def _write_png(path: Path, grey: ByteArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert ok, "OpenCV writes any grey picture"
    part = path.with_suffix(".part")
    part.write_bytes(data.tobytes())
    part.replace(path)
