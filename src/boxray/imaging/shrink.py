"""Large radiographs made as large as the pictures that models were trained on."""

from __future__ import annotations

from typing import Any, Final

import cv2
from numpy.typing import NDArray

LONG_SIDE_PX: Final = 1024
"""Twice what a detector of 512 px sees, and an eighth of a full radiograph's disk."""


def shrink(pixels: NDArray[Any], long_side_px: int = LONG_SIDE_PX) -> NDArray[Any]:
    """The picture with its longer side at `long_side_px`, by averaging; smaller ones stay as they are.

    Building a data set and reading a radiograph both come through here before the letterbox: bilinear
    resizing from 3,000 px to 512 px would skip four pixels of five, and the models never saw that.

    Args:
        pixels: Shape ``(H, W)``, any type that OpenCV resizes.
        long_side_px: Limit of the longer side.
    """
    height, width = pixels.shape
    ratio = long_side_px / max(height, width)
    if ratio >= 1:
        return pixels
    size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
    shrunk: NDArray[Any] = cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)
    return shrunk
