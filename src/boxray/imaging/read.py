"""Bytes to a radiograph: the only way in.

Command line, app, REST, PACS and the building of data sets all come through here, so that they all see
the same pixels and refuse the same files. What comes from outside is decoded in a child process
(`child.py`); `decode` is the same work without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph
from boxray.imaging.child import decoding_child
from boxray.imaging.children import DecodingChildren
from boxray.imaging.dicom import read_dicom
from boxray.imaging.limits import MAX_FILE_BYTES, MIN_SIDE_PX, require_file_size
from boxray.imaging.picture import read_jpeg, read_png
from boxray.imaging.polarity import require_polarity
from boxray.imaging.sniff import Kind, sniff

_REASONS: Final[Mapping[type[OSError], str]] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "the file may not be read by this user",
}
"""What those say most often whom the system refuses a file."""

_READERS = {Kind.DICOM: read_dicom, Kind.PNG: read_png, Kind.JPEG: read_jpeg}


def read_radiograph(
    source: bytes | Path,
    *,
    check_polarity: bool = True,
    min_side_px: int = MIN_SIDE_PX,
    children: DecodingChildren | None = None,
) -> Radiograph:
    """Read a DICOM, PNG or JPEG file that may come from anybody.

    The bytes are decoded in a child process with limits on memory and time; if it dies, that file is
    refused and the next one is served by a fresh child. The first call starts the child and waits for
    it; later calls cost some milliseconds beside the decoding. Calls of several threads queue up.

    Args:
        source: The content of the file, or where it lies. Its name and suffix mean nothing.
        check_polarity: Refuse a picture whose bright and dark seem exchanged.
        min_side_px: Refuse less than this on either side.
        children: Who decodes; None means the program's one child.

    Returns:
        The radiograph in the frame of the file's own pixels, EXIF orientation applied.

    Raises:
        InputError: With a code of `CODES` for everything that is not answered.
        TypeError: If `source` is neither bytes nor a Path.
    """
    data = file_content(source)
    return (children or decoding_child()).decode(data, check_polarity=check_polarity, min_side_px=min_side_px)


def decode(data: bytes, *, check_polarity: bool = True, min_side_px: int = MIN_SIDE_PX) -> Radiograph:
    """`read_radiograph` in this very process: quicker, and unguarded. For bytes that we wrote or trust.

    A hostile file may kill the process. pydicom's log level and Python's warning filters are changed
    while it runs, which matters only to other threads.

    Raises:
        InputError: With a code of `CODES`. Nothing else, but for MemoryError.
    """
    require_file_size(len(data))
    rad = _READERS[sniff(data)](data, min_side_px)
    if check_polarity:
        require_polarity(rad)
    return rad


def file_content(source: bytes | Path) -> bytes:
    """The bytes themselves, or those of a file; its size is looked at before it is read.

    Raises:
        InputError: ``input.too_large``, or ``input.unreadable`` if the file cannot be read from disk.
        TypeError: If `source` is neither bytes nor a Path: a str might be either.
    """
    if isinstance(source, bytes):
        require_file_size(len(source))
        return source
    if not isinstance(source, Path):
        raise TypeError(f"expected bytes or a Path, got {type(source).__name__}")
    try:
        require_file_size(source.stat().st_size)
        with source.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)  # a pipe says that it is empty, and a file may grow
    except OSError as error:  # its text holds the path, so only the kind is told
        reason = _REASONS.get(type(error), f"the file cannot be read ({type(error).__name__})")
        raise InputError("input.unreadable", reason) from None
    require_file_size(len(data))
    return data
