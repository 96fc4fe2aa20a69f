"""From a radiograph to what the classifier sees: shrink, CLAHE, letterbox. One way for training and reading."""

from __future__ import annotations

import cv2
import numpy as np

from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.frames import Letterbox
from boxray.core.radiograph import Radiograph
from boxray.imaging.clahe import equalise_shades
from boxray.runs.recipe import Clahe


def equalized_square(rad: Radiograph, letterbox: Letterbox, clahe: Clahe | None) -> ByteArray:
    """Grey square of shape ``(S, S)``, uint8: the radiograph at its place, black around it.

    CLAHE comes after shrinking, so that its tiles hold the same anatomy at any resolution of the file; None leaves
    the shades as they are.
    """
    width, height = letterbox.inner_wh
    shrinks = width < rad.pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    inner = cv2.resize(np.round(rad.pixels * 255).astype(np.uint8), (width, height), interpolation=method)
    if clahe is not None:
        inner = equalise_shades(inner, clahe.clip, clahe.tiles, rad.padded)
    square = np.zeros((letterbox.side_px, letterbox.side_px), dtype=np.uint8)
    square[letterbox.top : letterbox.top + height, letterbox.left : letterbox.left + width] = inner
    return square


def network_input(squares: ByteArray) -> FloatArray:
    """Grey squares ``(B, S, S)`` to the network's input ``(B, 3, S, S)``: three equal channels in [-1, 1]."""
    scaled = squares.astype(np.float32) / 127.5 - 1
    return np.repeat(scaled[:, None], 3, axis=1)
