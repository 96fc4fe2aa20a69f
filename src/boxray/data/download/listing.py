"""What a source publishes, what of it is here, and what was seen of that: `downloads.json`."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from boxray.core.bench import bench_folder
from boxray.core.errors import DataError
from boxray.data.yaml_file import read_yaml

NOTES: Final = "downloads.json"
"""What lies in the folder and how it was verified. May be copied to another machine before its download."""

UNPACKED_SHARE: Final = 1.1
"""Bytes of the pictures over bytes of their archive, to plan with: a PNG is compressed already."""

_OURS: Final = (".part", ".part.json", ".bad", ".unpacking")


class DiskFullError(DataError):
    """No room, or too little: nothing else can be fetched either."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFile(_Strict):
    """One file, and how to tell that it is the one that was published."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    url: str | None
    """None where no direct link is known: then people fetch it by hand, and it is verified all the same."""
    bytes: int | None = Field(gt=0)
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """Finds damage, not forgery; some sources publish nothing better."""
    unpack: Literal["tar.gz", "none"]
    into: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Folder of an archive's pictures, below the source's; None for a file that is not unpacked."""

    @model_validator(mode="after")
    def _can_be_fetched(self) -> PublishedFile:
        if self.name == NOTES or self.name.endswith(_OURS):
            raise ValueError(f"name {self.name!r} is one that the download uses itself")
        if (self.into is None) != (self.unpack == "none"):
            raise ValueError("'into' is the folder of an archive's pictures: give it with 'unpack: tar.gz' only")
        if self.url is not None and not re.match(r"https?://[^/?#]", self.url):
            raise ValueError(f"url {self.url!r} is none of the web: it begins with https://")
        return self


class Listing(_Strict):
    """The files of a source as published."""

    source: str
    page: str
    """Where people get them by hand."""
    files: tuple[PublishedFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_each_once(self) -> Listing:
        names = [file.name.casefold() for file in self.files]  # some disks do not tell A from a
        if len(set(names)) != len(names):
            raise ValueError("two files have the same name")
        return self

    def only(self, names: Sequence[str]) -> Listing:
        """The part of the listing that some names ask for; all of it where none is given.

        Raises:
            DataError: If a name is not in it; the nearest one is named.
        """
        known = [file.name for file in self.files]
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
                raise DataError(f"{self.source} has no file {name!r} (did you mean {near!r}?)")
        return self.model_copy(update={"files": tuple(file for file in self.files if not names or file.name in names)})


def load_listing(source: str, folder: Path | None = None) -> Listing:
    """The listing of a source, from the bench or a folder of your own.

    Raises:
        DataError: If there is none, or the file is none.
    """
    folder = folder or bench_folder("data/downloads")
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if source not in known:
        raise DataError(f"there is no download {source!r}; there are: {', '.join(known)}. Others: see data/README.md")
    try:
        return Listing.model_validate(read_yaml(folder / f"{source}.yaml"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(f"downloads {source}.yaml: {where}: {first['msg']}") from error


class Note(_Strict):
    """What was seen of a file when it was verified."""

    published: PublishedFile
    """What was said of it then."""
    bytes: int
    sha256: str
    verified_by: tuple[str, ...]
    """What it was compared with; empty for a file put there by hand of which nothing is published."""
    pictures: int | None
    """How many came out of an archive; None for another file."""
    mtime_ns: int
    """Of this machine's copy: while it stands, the file is not read again."""


class _Notes(_Strict):
    files: dict[str, Note]


def read_notes(out: Path) -> dict[str, Note]:
    """By file name; empty before the first download.

    Raises:
        DataError: If `downloads.json` is damaged.
    """
    path = out / NOTES
    if not path.is_file():
        return {}
    try:
        return _Notes.model_validate_json(path.read_bytes()).files
    except ValidationError as error:
        raise DataError(f"{NOTES} is damaged; delete it, and the files that are there are verified anew") from error


def add_note(out: Path, note: Note) -> None:
    """Note what was seen of one file, beside the others."""
    notes = _Notes(files=read_notes(out) | {note.published.name: note})
    fresh = out / f"{NOTES}.part"
    fresh.write_text(notes.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.replace(out / NOTES)


@dataclass(frozen=True, slots=True)
class Stock:
    """One file before the download: what is there of it."""

    file: PublishedFile
    state: Literal["verified", "to verify", "partly", "to fetch", "by hand"]
    bytes_here: int
    """Of the file or its part; 0 for none."""
    note: Note | None
    """Of an earlier download, perhaps on another machine."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download would do."""

    stocks: tuple[Stock, ...]
    bytes_free: int

    @property
    def bytes_to_fetch(self) -> int:
        """Of files whose length is known."""
        missing = [stock for stock in self.stocks if stock.state in ("partly", "to fetch")]
        return sum(max((stock.file.bytes or 0) - stock.bytes_here, 0) for stock in missing)

    @property
    def bytes_needed(self) -> int:
        """On the disk: what is to be fetched, and the pictures of what is to be unpacked."""
        archives = [stock for stock in self.stocks if stock.file.into and stock.state not in ("verified", "by hand")]
        packed = sum(stock.file.bytes or stock.bytes_here for stock in archives)
        return self.bytes_to_fetch + round(packed * UNPACKED_SHARE)

    def require_room(self) -> None:
        """Stop before the first byte where the disk cannot hold the last.

        Raises:
            DiskFullError: If it cannot.
        """
        if self.bytes_needed > self.bytes_free:
            raise DiskFullError(
                f"the disk has {self.bytes_free / 1e9:.1f} GB free, {self.bytes_needed / 1e9:.1f} GB are needed for "
                "the files and their pictures; make room, give --out on another disk, or fetch some files with --only"
            )


def plan(listing: Listing, out: Path) -> Plan:
    """What is there of each file, and what the disk can hold. Nothing is fetched, read through or written.

    Raises:
        DataError: If `downloads.json` is damaged.
    """
    notes = read_notes(out)
    there = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    return Plan(tuple(_stock(file, out, notes) for file in listing.files), shutil.disk_usage(there).free)


def _stock(file: PublishedFile, out: Path, notes: dict[str, Note]) -> Stock:
    path, note = out / file.name, notes.get(file.name)
    if path.is_file():
        stat = path.stat()
        seen = note is not None and (note.published, note.bytes, note.mtime_ns) == (
            file,
            stat.st_size,
            stat.st_mtime_ns,
        )
        n_pictures = sum(note.pictures or 0 for note in notes.values() if note.published.into == file.into)
        whole = file.into is None or sum(1 for _ in (out / file.into).glob("*.png")) >= n_pictures
        return Stock(file, "verified" if seen and whole else "to verify", stat.st_size, note)
    if file.url is None:
        return Stock(file, "by hand", 0, note)
    part = out / f"{file.name}.part"
    here = part.stat().st_size if part.exists() else 0
    return Stock(file, "partly" if here else "to fetch", here, note)
