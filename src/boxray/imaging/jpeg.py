"""What a JPEG stream announces, and whether its end is there.

libjpeg fills what is missing with grey and goes on, so half a radiograph would come out as a whole
one. Frame size, precision and the end marker are therefore read from the markers first. No pixel is
made here. The same walk guards the JPEG streams inside DICOM files.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from boxray.core.errors import InputError
from boxray.imaging.orientation import UPRIGHT, exif_orientation

SOF_BASELINE: Final = 0xC0
SOF_EXTENDED: Final = 0xC1
SOF_PROGRESSIVE: Final = 0xC2
SOF_JPEG_LS: Final = 0xF7

_FRAMES: Final = frozenset({*range(0xC0, 0xD0), SOF_JPEG_LS} - {0xC4, 0xC8, 0xCC})
"""Start-of-frame markers (ITU-T T.81 Table B.1, T.87); C4, C8 and CC mean tables."""
_STAND_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1

_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The next real marker: not a stuffed zero, a restart or a fill byte."""
_MARKER_IN_LS_SCAN: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]", re.DOTALL)
"""In JPEG-LS a zero *bit* is stuffed (T.87 A.1): below 80 it is data."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the markers of a JPEG stream say."""

    size_wh: tuple[int, int]
    precision: int
    """Bits a sample."""
    components: int
    """1 grey, 3 colour, 4 CMYK."""
    frame: int
    """The start-of-frame marker's second byte: which of JPEG's processes coded the picture."""
    orientation: int
    """Of the EXIF data, 1 to 8."""
    complete: bool
    """A scan was begun and the end marker follows it."""


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Walk the markers from the start of the image to its end. Bytes behind the end are ignored.

    Raises:
        InputError: ``image.truncated`` if the stream ends before it says how large the picture is,
            ``image.decode_failed`` if no marker stands where one must.
    """
    at, frame, orientation = 2, None, UPRIGHT
    scanned = ended = False
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            raise InputError("image.decode_failed", "the JPEG's markers are damaged")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _EOI:
            ended = True
            break
        if marker in _STAND_ALONE:
            at += 2
            continue
        body = _segment(data, at)
        if body is None:
            break
        if marker in _FRAMES and frame is None:
            frame = (marker, body)
        elif marker == _APP1 and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        at += 4 + len(body)
        if marker == _SOS:
            scanned = True
            found = _scan_end(data, at, is_ls=frame is not None and frame[0] == SOF_JPEG_LS)
            if found is None:
                break
            at = found
    if frame is None:
        raise InputError("image.truncated", "the JPEG ends before it says how large the picture is")
    marker, body = frame
    if len(body) < 6:
        raise InputError("image.decode_failed", "the JPEG's frame header is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    return JpegHeader((width, height), precision, components, marker, orientation, scanned and ended)


def _segment(data: bytes, at: int) -> bytes | None:
    """The content of the segment whose marker stands at `at`, or None where it is cut off."""
    if at + 4 > len(data):
        return None
    (length,) = struct.unpack_from(">H", data, at + 2)
    if length < 2:
        raise InputError("image.decode_failed", "a JPEG segment has an impossible length")
    end = at + 2 + int(length)
    return data[at + 4 : end] if end <= len(data) else None


def _scan_end(data: bytes, at: int, *, is_ls: bool) -> int | None:
    """Where the marker behind a scan stands, or None where the file ends in the scan."""
    found = (_MARKER_IN_LS_SCAN if is_ls else _MARKER_IN_SCAN).search(data, at)
    return None if found is None else found.start()
