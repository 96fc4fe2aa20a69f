"""What the bytes are.

A suffix is what somebody called a file; the first bytes are what it is. Only three kinds go on from
here, so that no parser of any other format ever sees a byte that came from outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from boxray.core.errors import InputError


class Kind(StrEnum):
    """The three kinds of file that are read."""

    DICOM = "DICOM"
    PNG = "PNG"
    JPEG = "JPEG"


_OF_THE_SYSTEM: Final = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""Files and folders that systems put beside what somebody keeps. `serve/viewer/room.js` leaves out the same."""

DICOM_PREFIX: Final = slice(128, 132)
"""Behind 128 bytes of preamble, whose content is never looked at (PS3.10 section 7.1)."""

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE: Final = b"\xff\xd8\xff"


def is_of_the_system(parts: Iterable[str]) -> bool:
    """Whether nobody put a file there on purpose: hidden, or a system's own. Of a folder or archive such is not read.

    Args:
        parts: Of the file's path below the folder or in the archive.
    """
    return any(part.startswith(".") or part in _OF_THE_SYSTEM for part in parts)


def sniff(data: bytes) -> Kind:
    """The kind of file, by its first bytes. DICOM is asked first: its preamble may look like anything.

    Raises:
        InputError: ``input.not_supported`` for everything else, nothing and text included.
    """
    if data[DICOM_PREFIX] == b"DICM":
        return Kind.DICOM
    if data.startswith(PNG_SIGNATURE):
        return Kind.PNG
    if data.startswith(JPEG_SIGNATURE):
        return Kind.JPEG
    what = "the file is empty" if not data else "the first bytes are none of DICOM (PS3.10), PNG or JPEG"
    raise InputError("input.not_supported", f"{what}; send the radiograph as DICOM, PNG or JPEG")
