"""Local contrast: contrast-limited adaptive histogram equalisation.

Radiographs of different machines differ in contrast more than in content; this evens it out before a
classifier looks. Padding is no picture and must not take part: a tile that is half padding would
stretch the other half.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from boxray.core.arrays import BoolArray, ByteArray, FloatArray
from boxray.core.radiograph import Radiograph


def clahe(rad: Radiograph, clip: float = 2.0, tiles: int = 8) -> FloatArray:
    """Equalise the histogram of each tile, with bounded slope, and blend between tiles.

    Computed on 256 shades, because the clip limit is a multiple of a histogram's mean height and
    means something else with 65,536.

    Args:
        rad: Any radiograph; it is not changed.
        clip: Highest bin of a tile's histogram as a multiple of the mean bin. Above 0; 1 changes little.
        tiles: Tiles along each side, at least 1.

    Returns:
        Shape ``(H, W)`` float32 in [0, 1], the radiograph's frame; padding is 0, as in the radiograph.

    Raises:
        ValueError: If `clip` is not above 0 or `tiles` is below 1.

    Source: Zuiderveld, 1994, Graphics Gems IV, 474-485.
    """
    shades = np.round(rad.pixels * 255).astype(np.uint8)
    if rad.padded is None or not rad.padded.any() or rad.padded.all():
        return np.asarray(equalise_shades(shades, clip, tiles) / np.float32(255))
    rows, columns = _spanned(~rad.padded)
    inner = equalise_shades(_filled(shades[rows, columns], rad.padded[rows, columns]), clip, tiles)
    equalised = np.zeros(rad.pixels.shape, np.float32)
    equalised[rows, columns] = inner / np.float32(255)
    equalised[rad.padded] = 0
    return equalised


def equalise_shades(shades: ByteArray, clip: float, tiles: int) -> ByteArray:
    """The one place where CLAHE is computed: `clahe` without its care for padding, on 256 shades.

    Args:
        shades: Shape ``(H, W)``, a picture without padding.
        clip: As for `clahe`.
        tiles: As for `clahe`.

    Raises:
        ValueError: If `clip` is not above 0 or `tiles` is below 1.
    """
    if not clip > 0 or tiles < 1:
        raise ValueError(f"clip must be above 0 and tiles at least 1, got {clip} and {tiles}")
    return np.asarray(cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles)).apply(shades))


def _spanned(shown: BoolArray) -> tuple[slice, slice]:
    """The rows and columns of the smallest upright rectangle that holds everything shown."""
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _filled(shades: NDArray[Any], padded: BoolArray) -> NDArray[Any]:
    """Padding inside the rectangle takes the nearest shown pixel's shade: no tile sees a foreign one."""
    if not padded.any():
        return np.ascontiguousarray(shades)
    _, nearest = cv2.distanceTransformWithLabels(
        padded.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(nearest.max()) + 1, np.uint8)
    of_label[nearest[~padded]] = shades[~padded]
    return np.asarray(of_label[nearest])
