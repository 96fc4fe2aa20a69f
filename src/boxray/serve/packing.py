"""Pixels and maps as bytes for the browser: without loss, small, and quickly made.

The browser undoes it in a few lines (`viewer/pixels.js`). What is drawn there is drawn from these values.
"""

import zlib

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.reading import SaliencyMap

_LEVEL = 1
"""Of zlib: neighbours' differences are small already, and a higher level costs ten times the time for a tenth less."""

_LENGTH_BYTES = 4

HIGHEST = 65535
"""The 16-bit value of 1."""


def packed_pixels(pixels: FloatArray) -> bytes:
    """A radiograph of shape ``(H, W)``, float in [0, 1], at 16 bits: every value of a 16-bit file has its own.

    Each row is told as differences from its left neighbour (modulo 65536, the first from 0). Their high bytes are nearly
    all alike and are deflated (zlib); their low bytes are noise, which no packing makes smaller, and stand as they are
    behind them: 4 bytes little-endian that say how long the high ones are, these, the low ones.
    """
    grey = np.round(pixels * HIGHEST).astype(np.uint16)
    steps = np.diff(grey, axis=1, prepend=np.uint16(0))  # unsigned: wraps round, and so does the way back
    high = zlib.compress((steps >> 8).astype(np.uint8).tobytes(), _LEVEL)
    return len(high).to_bytes(_LENGTH_BYTES, "little") + high + steps.astype(np.uint8).tobytes()


def unpacked_pixels(data: bytes, size_wh: tuple[int, int]) -> FloatArray:
    """The way back, float32 of shape ``(H, W)``; what the browser does, for tests."""
    width, height = size_wh
    low_from = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    high = np.frombuffer(zlib.decompress(data[_LENGTH_BYTES:low_from]), np.uint8).reshape(height, width)
    low = np.frombuffer(data[low_from:], np.uint8).reshape(height, width)
    grey = np.cumsum((high.astype(np.uint16) << 8) | low, axis=1, dtype=np.uint16)
    return (grey / np.float32(HIGHEST)).astype(np.float32)


def packed_maps(maps: tuple[SaliencyMap, ...], full: float) -> bytes:
    """Maps of one shape as 16-bit shares of `full`, one after the other, little-endian, deflated.

    Args:
        maps: Raw values, >= 0, none above `full`.
        full: The raw value of full colour; at 0 everything is 0.
    """
    shares = [np.round(each.values / full * HIGHEST) if full > 0 else np.zeros_like(each.values) for each in maps]
    return zlib.compress(b"".join(each.astype("<u2").tobytes() for each in shares), _LEVEL)
