"""Zip files of data sets: looked through before a byte is written, unpacked beside the target, renamed at the end.

A zip file is a program for writing files: it names where each goes, and some kilobytes of it can mean terabytes. So
names, kinds, sizes and overlaps are checked in its directory first; one bad member refuses the whole archive.
"""

from __future__ import annotations

import io
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from boxray.core.errors import DataError
from boxray.data.names import collisions, one_name

_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
"""Flags of encryption: of the member, strong, of the directory (APPNOTE 4.4.4)."""
_LOCAL_HEADER_BYTES: Final = 30
"""Of a member without its name (APPNOTE 4.3.7)."""
_ENTRY: Final = b"PK\x01\x02"
"""Begins the entry of each member in the directory (APPNOTE 4.3.12)."""
_CHUNK_BYTES: Final = 2**20
_LONGEST_NAME_BYTES: Final = 255
"""Of one file or folder, on every usual file system."""

_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)
"""What `zipfile` raises on damaged archives; `NotImplementedError` is a `RuntimeError`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may ask for."""

    members: int = 2_000_000
    """Files and folders. The largest public sets have some hundred thousand pictures, each with a label file."""
    total_bytes: int = 2**40
    """Of all files together, unpacked."""
    ratio: float = 100.0
    """Unpacked over packed, of each member and of the whole. Text reaches 20; a bomb 1,000 and more."""
    free_bytes: int = 2**20
    """Below this a member's ratio is not asked for: an empty mask of some kilobytes packs to nearly nothing."""


DEFAULT: Final = Limits()


def unsafe_members(archive: Path | bytes, limits: Limits = DEFAULT) -> list[tuple[str, str]]:
    """Why an archive is not to be unpacked; nothing is written.

    Args:
        archive: A zip file, or its content.
        limits: How much it may ask for.

    Returns:
        Name of the member (``""`` for the archive as a whole) and reason, in the archive's order. Empty means safe.
    """
    if isinstance(archive, bytes) and archive.count(_ENTRY) > limits.members:
        # Before `zipfile` makes an object of each: of an upload of 128 MB it would make 2.8 million.
        return [("", f"more than {limits.members} members, or archives among them")]
    try:
        with _open(archive) as opened:
            members = opened.infolist()
            n_packed = len(archive) if isinstance(archive, bytes) else archive.stat().st_size
            return [*_whole_faults(members, n_packed, limits), *_name_faults(members), *_member_faults(members, limits)]
    except _UNREADABLE as error:
        return [("", f"not a zip file, or a damaged one ({type(error).__name__})")]
    except OSError as error:
        return [("", f"the file cannot be read ({type(error).__name__})")]


def extract(archive: Path, target: Path, limits: Limits = DEFAULT) -> None:
    """Unpack a zip file into a new folder: all of it or nothing.

    Args:
        archive: A zip file.
        target: Must not be there yet; the folder it lies in must. What is unfinished stands beside it.
        limits: How much the archive may ask for.

    Raises:
        DataError: ``archive.unsafe`` with the first reason and how many there are; or if the target is there already,
            the disk has too little room, or a member turns out damaged.
    """
    if target.exists() or target.is_symlink():
        raise DataError(f"{target.name} is there already; an archive is unpacked into a new folder only")
    _require_safe(archive, limits)
    beside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        with zipfile.ZipFile(archive) as opened:
            _require_room(opened.infolist(), beside)
            for member in opened.infolist():
                _write(opened, member, beside / "set")
        (beside / "set").mkdir(exist_ok=True)  # an archive without members is an empty folder
        (beside / "set").rename(target)
    except _UNREADABLE as error:
        raise DataError(f"archive.unsafe: a member is damaged ({error}); nothing was unpacked") from error
    except OSError as error:
        raise DataError(f"the archive could not be unpacked ({type(error).__name__}: {error.strerror})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def unpacked(archive: bytes, limits: Limits) -> list[tuple[str, bytes]]:
    """Path in the archive and content of every file of a zip file: all of it or nothing, and nothing on a disk.

    Args:
        archive: Content of a zip file.
        limits: How much it may ask for; all of it is held in memory.

    Raises:
        DataError: ``archive.unsafe`` with the first reason and how many there are, or if a member turns out damaged.
    """
    _require_safe(archive, limits)
    try:
        with _open(archive) as opened:
            return [(member.filename, opened.read(member)) for member in opened.infolist() if not member.is_dir()]
    except _UNREADABLE as error:
        raise DataError(f"archive.unsafe: a member is damaged ({error}); nothing was unpacked") from error


def _open(archive: Path | bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive)


def _require_safe(archive: Path | bytes, limits: Limits) -> None:
    wrong = unsafe_members(archive, limits)
    if wrong:
        name, reason = wrong[0]
        more = f" (and {len(wrong) - 1} more faults)" if len(wrong) > 1 else ""
        where = f"member {name!r}: " if name else ""
        raise DataError(f"archive.unsafe: {where}{reason}{more}; nothing was unpacked")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """One member. `zipfile` gives no byte more than the directory announces, and checks the sum."""
    path = folder / member.filename
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as packed, path.open("xb") as file:
        shutil.copyfileobj(packed, file, _CHUNK_BYTES)
    if path.stat().st_size != member.file_size:
        raise zipfile.BadZipFile("it is shorter than the directory says")


def _require_room(members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"the archive unpacks to {needed} bytes, the disk has {free} left; nothing was unpacked")


def _whole_faults(members: Sequence[zipfile.ZipInfo], n_packed: int, limits: Limits) -> Iterator[tuple[str, str]]:
    if len(members) > limits.members:
        yield "", f"{len(members)} members, at most {limits.members} are unpacked"
    total = sum(member.file_size for member in members)
    if total > limits.total_bytes:
        yield "", f"unpacks to {total} bytes, at most {limits.total_bytes} are unpacked"
    if total > limits.free_bytes and total > limits.ratio * n_packed:
        yield "", f"unpacks to {total / n_packed:.0f} times its size, at most {limits.ratio:g} times: a bomb?"
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            yield member.filename, "shares its bytes with another member: a bomb"
        end = member.header_offset + _LOCAL_HEADER_BYTES + len(member.filename) + member.compress_size


def _name_faults(members: Sequence[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    for member in members:
        reason = _name_fault(member)
        if reason is not None:
            yield member.filename, reason
    names = [member.filename.rstrip("/") for member in members]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name, "is there twice"
        seen.add(name)
    for name, other in collisions(names):
        yield name, f"differs from {other!r} only in case or Unicode form"
    files = {one_name(member.filename) for member in members if not member.is_dir()}
    for name in names:
        if any(one_name(str(parent)) in files for parent in PurePosixPath(name).parents):
            yield name, "lies in a folder that is a file of the archive too"


def _name_fault(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    if not name.strip("/") or member.orig_filename != name:  # zipfile cuts a name at a zero byte
        return "has no name, or one with a zero byte"
    if "\\" in name or not name.isprintable():
        return "has a backslash or a character that does not print in its name"
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "has an absolute path"
    parts = name.rstrip("/").split("/")
    if ".." in parts:
        return "has a path with '..'"
    if "." in parts or "" in parts:
        return "has a path with an empty part"
    if any(len(part.encode()) > _LONGEST_NAME_BYTES for part in parts):
        return f"has a name of more than {_LONGEST_NAME_BYTES} bytes"
    return None


def _member_faults(members: Sequence[zipfile.ZipInfo], limits: Limits) -> Iterator[tuple[str, str]]:
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            yield member.filename, "is a link" if kind == stat.S_IFLNK else "is no plain file"
        if member.flag_bits & _ENCRYPTED:
            yield member.filename, "is encrypted; unpack it yourself if you trust it"
        if member.compress_type not in _METHODS:
            yield member.filename, "is packed by another method than store or deflate"
        if member.file_size > limits.free_bytes and member.file_size > limits.ratio * max(member.compress_size, 1):
            times = member.file_size / max(member.compress_size, 1)
            yield member.filename, f"unpacks to {times:.0f} times its size, at most {limits.ratio:g} times: a bomb?"
