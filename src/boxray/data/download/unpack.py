"""Archives of pictures, unpacked as what they are: files from outside, of which nothing is believed."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from boxray.core.errors import DataError

LARGEST_PICTURE_BYTES: Final = 64 * 2**20
"""A PNG of 1024 x 1024 px has about 0.4 MB; no header of an archive is that long either."""

MOST_MEMBERS: Final = 200_000
"""All of ChestX-ray14 are 112,120."""


def unpack(archive: Path, folder: Path, *, most_bytes: int | None = None) -> int:
    """The pictures of a `tar.gz`, by their last name, into a new folder. Reads to the last byte, so that damage shows.

    Args:
        archive: Of one source.
        folder: Made here; what an earlier run left in it is removed. On an error the caller removes it.
        most_bytes: The archive may unpack to; None means four times its size and 64 MiB: a PNG cannot be packed much.

    Returns:
        How many pictures.

    Raises:
        DataError: If the archive is cut off, damaged or empty, too large unpacked, or holds anything but plain `.png`
            files and their folders: a link, a device, an absolute path, a `..`, the same name twice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    most_bytes = 4 * archive.stat().st_size + LARGEST_PICTURE_BYTES if most_bytes is None else most_bytes
    seen: set[str] = set()
    try:
        with _BoundedGzip(archive, most_bytes) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as members:
                for number, member in enumerate(members):
                    if number == MOST_MEMBERS:
                        raise DataError(f"the archive has more than {MOST_MEMBERS} members; no source has so many")
                    name = _picture_name(member)
                    if name is None:
                        continue
                    if name.casefold() in seen:
                        raise DataError(f"the archive has two pictures called {name!r}")
                    seen.add(name.casefold())
                    content = members.extractfile(member)
                    assert content is not None, "a regular member has content"
                    (folder / name).write_bytes(content.read())
            stream.require_end()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the archive is cut off or damaged ({error})") from error
    if not seen:
        raise DataError("the archive holds no picture")
    return len(seen)


def _picture_name(member: tarfile.TarInfo) -> str | None:
    """The last name of a picture, or None for a folder.

    Raises:
        DataError: If the member is neither.
    """
    path, said = PurePosixPath(member.name), f"the archive's member {member.name!r}"
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise DataError(f"{said} leads out of its folder")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        raise DataError(f"{said} is a link or a device; only plain files are unpacked")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.png", path.name):
        raise DataError(f"{said} is no .png file; nothing else is unpacked")
    if member.size > LARGEST_PICTURE_BYTES:
        raise DataError(f"{said} announces {member.size} bytes; no picture has so many")
    return path.name


class _BoundedGzip(gzip.GzipFile):
    """A gzip stream that gives no more than is allowed, and remembers how it ended."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path, "rb")
        self._most_bytes = most_bytes
        self._last = b""

    def read(self, size: int | None = -1) -> bytes:
        """Read on.

        Raises:
            DataError: If a header asks for more than the largest picture, or too much has come.
        """
        if size is None or not 0 <= size <= LARGEST_PICTURE_BYTES:
            raise DataError("a header in the archive asks for more memory than the largest picture")
        self._last = super().read(size)
        if self.tell() > self._most_bytes:
            raise DataError(f"the archive unpacks to more than {self._most_bytes} bytes; no pictures pack so well")
        return self._last

    def require_end(self) -> None:
        """Read what follows the archive's end, so that gzip checks its sum.

        Raises:
            DataError: If the members ended at something other than the end: tarfile stops there without a word.
        """
        while not self._last.strip(b"\0"):
            if not self.read(2**20):
                return
        raise DataError("the archive is damaged: bytes that are no member follow the last one")
