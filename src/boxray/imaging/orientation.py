"""Which way up a picture is, by its EXIF data.

A camera or a scanner may store a picture turned and say so in a tag. Some viewers obey, some do not;
here the tag is obeyed once, when the pixels are made, and nothing later needs to know of it.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TAG: Final = 0x0112
_BYTE_ORDERS: Final = {b"II*\x00": "<", b"MM\x00*": ">"}

UPRIGHT: Final = 1


def exif_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, of EXIF data that begins at its TIFF header; 1 where it says nothing usable.

    Source: CIPA DC-008 (EXIF 2.32) section 4.6.4, tag 274; TIFF 6.0 section 2.
    """
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return UPRIGHT
    (n_entries,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * n_entries, len(tiff) - 11), 12):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if (tag, kind, count) == (_TAG, 3, 1):
            return int(value) if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT


def turn_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels ``(H, W)`` as stored to pixels as meant; 5 to 8 exchange height and width. A view, no copy.

    Args:
        pixels: Shape ``(H, W)``.
        orientation: 1 to 8: where the first row and the first column of `pixels` belong.
    """
    match orientation:
        case 2:  # first column is the right side
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:  # first row is the bottom
            return pixels[::-1]
        case 5:  # first row is the left side
            return pixels.T
        case 6:  # first row is the right side: turn clockwise
            return np.rot90(pixels, -1)
        case 7:
            return pixels[::-1, ::-1].T
        case 8:
            return np.rot90(pixels)
        case _:
            return pixels
