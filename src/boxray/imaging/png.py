"""What a PNG file announces, and whether all of it is there.

OpenCV decodes what it can and says nothing of the rest, so size, completeness and transparency are
read from the chunks first. No pixel is made here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from boxray.core.errors import InputError
from boxray.imaging.orientation import UPRIGHT, exif_orientation
from boxray.imaging.sniff import PNG_SIGNATURE

_SAMPLES: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""Colour type to samples a pixel once the palette is applied (PNG specification, Table 11.1)."""

_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the chunks of a complete, still PNG file say."""

    size_wh: tuple[int, int]
    depth: int
    """Bits a sample: 1, 2, 4, 8 or 16."""
    samples: int
    """Samples a pixel after the palette is applied: 1 grey, 2 grey and alpha, 3 colour, 4 both."""
    significant_bits: int | None
    """Of the sBIT chunk: how many bits the source had, or None."""
    one_colour_transparent: bool
    """A tRNS chunk is there."""
    orientation: int
    """Of the eXIf chunk, 1 to 8."""


def read_png_header(data: bytes) -> PngHeader:
    """Walk the chunks to IEND, checking each one's CRC. Bytes behind IEND are ignored.

    Raises:
        InputError: ``image.truncated`` if a chunk is cut off, damaged or missing,
            ``image.decode_failed`` if the header is impossible, ``input.not_supported`` if animated.
    """
    chunks: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        chunks.setdefault(name, body)
    if b"acTL" in chunks:
        raise InputError("input.not_supported", "an animated PNG; send a still picture")
    if b"IDAT" not in chunks:
        raise InputError("image.truncated", "the PNG has no pixel data")
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise InputError("image.decode_failed", "the PNG has no valid header")
    width, height, depth, colour_type = struct.unpack(">IIBB", header[:10])
    if depth not in _DEPTHS.get(colour_type, ()) or not (width and height):
        raise InputError("image.decode_failed", "the PNG header announces an impossible picture")
    significant = chunks.get(b"sBIT")
    return PngHeader(
        size_wh=(width, height),
        depth=depth,
        samples=_SAMPLES[colour_type],
        significant_bits=significant[0] if significant and 1 <= significant[0] <= depth else None,
        one_colour_transparent=b"tRNS" in chunks,
        orientation=exif_orientation(chunks[b"eXIf"]) if b"eXIf" in chunks else UPRIGHT,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk before IEND; of pixel data only the name."""
    view, at = memoryview(data), len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, end = bytes(view[at + 4 : at + 8]), at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise InputError("image.truncated", "the checksum of a PNG chunk is wrong: the file is damaged")
        if name == b"IEND":
            return
        yield name, b"" if name == b"IDAT" else bytes(view[at + 8 : end - 4])
        at = end
    raise InputError("image.truncated", "the PNG ends before its last chunk")
