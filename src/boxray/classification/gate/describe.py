"""A picture as 832 numbers that say what lies where, and nothing of how bright, how sharp or how large it is."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from boxray.core.arrays import ByteArray, FloatArray

LENGTH: Final = 832
"""256 shades of 16 x 16 places, and 576 edge strengths: 8 x 8 places, 9 directions."""

_ENOUGH_PX: Final = 512
_COARSE_PX: Final = 128
_SQUARE_PX: Final = 64
_SHADES_PX: Final = 16
_FLAT: Final = 20
"""Of 256: a border row or column that spans fewer shades is collimation or a plain frame, not chest."""
_FEWEST_PX: Final = 32
_EDGES_COUNT: Final = 3.0
"""Brings the edges, which lie in [0, 0.2], near the spread of the shades."""

# Window, block, stride of blocks, cell; 9 directions without sign. Blocks do not overlap: 576 numbers, not 1,764.
_EDGES: Final = cv2.HOGDescriptor((_SQUARE_PX, _SQUARE_PX), (16, 16), (16, 16), (8, 8), 9)


def describe(pixels: FloatArray) -> FloatArray:
    """Shades and directions of edges, coarsely, of a picture made square.

    Plain borders are cut, the histogram is equalized; so brightness, contrast and a frame do not matter, and the aspect
    does not either. Histograms of oriented gradients: Dalal and Triggs, CVPR 2005.

    Args:
        pixels: Shape ``(H, W)``, float32 in [0, 1], any size.

    Returns:
        Shape ``(832,)``, float32; all 0 for a picture without any contrast.
    """
    step = max(1, min(pixels.shape) // _ENOUGH_PX)  # averaging all pixels of a large film costs more than all the rest
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    coarse = cv2.resize(pixels, (_COARSE_PX, _COARSE_PX), interpolation=cv2.INTER_AREA)
    dark, bright = np.percentile(coarse, (0.5, 99.5))
    if bright - dark < 1e-4:
        return np.zeros(LENGTH, dtype=np.float32)
    grey = np.round(255 * ((coarse - dark) / (bright - dark)).clip(0, 1)).astype(np.uint8)
    inner = cv2.resize(_without_flat_borders(grey), (_SQUARE_PX, _SQUARE_PX), interpolation=cv2.INTER_AREA)
    square = cv2.equalizeHist(inner)
    shades = cv2.resize(square, (_SHADES_PX, _SHADES_PX), interpolation=cv2.INTER_AREA).astype(np.float32) / 128 - 1
    edges = np.asarray(_EDGES.compute(square)).ravel()
    described: FloatArray = np.concatenate([shades.ravel(), _EDGES_COUNT * edges])
    return described


def _without_flat_borders(grey: ByteArray) -> ByteArray:
    for axis in (1, 0):
        kept: Any = np.flatnonzero(np.ptp(grey, axis=axis) > _FLAT)
        if kept.size >= _FEWEST_PX:
            grey = np.take(grey, np.arange(kept[0], kept[-1] + 1), axis=1 - axis)
    return grey
