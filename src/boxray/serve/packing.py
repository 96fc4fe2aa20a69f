"""Pixels and maps as bytes for the browser: without loss, small, and quickly made.

The browser undoes it in a few lines (`viewer/pixels.js`). What is drawn there is drawn from these values.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.reading import SaliencyMap

_LEVEL: Final = 1
"""Of zlib: the fastest, as somebody waits for it."""

_FILM: Final = struct.Struct("<4I")
"""Width, height, how many values occur, how many pixels are far from their neighbour."""
_PART: Final = struct.Struct("<2I")
"""Bytes of the head (JSON), bytes of the body; both follow."""
_FARTHEST: Final = 127
"""The widest step that one byte tells."""

HIGHEST: Final = 65535
"""The 16-bit value of 1."""


def packed_pixels(pixels: FloatArray) -> bytes:
    """A radiograph of shape ``(H, W)``, float in [0, 1], at 16 bits: every value of a 16-bit file has its own.

    A film of 12 bits has at most 4,096 values. Each pixel is told by its value's rank among those that occur, as the
    step from its left neighbour's (the first of a row from 0, all modulo 65536): one byte, the step + 128, from 1 on.
    A byte 0 stands for a wider step; then the rank itself comes from the list of the far. That is smaller than bytes
    that are deflated, and made in half the time.

    Returns:
        Little-endian: width, height, number of values, number of far pixels (4 bytes each); the values, rising, and the
        far pixels' ranks, row by row (2 bytes each); the steps.
    """
    grey = np.round(pixels * HIGHEST).astype(np.uint16)
    occurs = cv2.calcHist([grey], [0], None, [HIGHEST + 1], [0, HIGHEST + 1])[:, 0] > 0
    rank = (np.cumsum(occurs) - 1).astype(np.uint16)[grey]
    # Unsigned: it wraps round, and so does the way back. -127 becomes 0, +127 becomes 254, what is wider more.
    moved = np.diff(rank, axis=1, prepend=np.uint16(0)) + np.uint16(_FARTHEST)
    is_far = moved > 2 * _FARTHEST
    steps = (moved + np.uint16(1)).astype(np.uint8)
    steps[is_far] = 0
    values, far = np.flatnonzero(occurs).astype("<u2"), rank[is_far].astype("<u2")
    height, width = grey.shape
    head = _FILM.pack(width, height, values.size, far.size)
    return b"".join((head, values.tobytes(), far.tobytes(), steps.tobytes()))


def unpacked_pixels(data: bytes) -> FloatArray:
    """The way back, float32 of shape ``(H, W)``; what the browser does, for tests."""
    width, height, n_values, n_far = _FILM.unpack_from(data)
    words = np.frombuffer(data, "<u2", n_values + n_far, _FILM.size)
    values, far = words[:n_values], iter(words[n_values:].tolist())
    steps = np.frombuffer(data, np.uint8, width * height, _FILM.size + words.nbytes).reshape(height, width).tolist()
    grey = np.empty((height, width), dtype=np.uint16)
    for row, told in zip(grey, steps, strict=True):
        rank = 0
        for x, step in enumerate(told):
            rank = (rank + step - _FARTHEST - 1) % (HIGHEST + 1) if step else next(far)
            row[x] = values[rank]
    return (grey / np.float32(HIGHEST)).astype(np.float32)


def part(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One of several parts of an answer, each of use before the next is there: lengths of both, JSON, bytes."""
    said = json.dumps(head).encode()
    return _PART.pack(len(said), len(body)) + said + body


def packed_maps(maps: tuple[SaliencyMap, ...], full: float) -> bytes:
    """Maps of one shape as 16-bit shares of `full`, one after the other, little-endian, deflated.

    Args:
        maps: Raw values, >= 0, none above `full`.
        full: The raw value of full colour; at 0 everything is 0.
    """
    shares = [np.round(each.values / full * HIGHEST) if full > 0 else np.zeros_like(each.values) for each in maps]
    return zlib.compress(b"".join(each.astype("<u2").tobytes() for each in shares), _LEVEL)
