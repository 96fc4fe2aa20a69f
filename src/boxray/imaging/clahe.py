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

from boxray.core.arrays import BoolArray, ByteArray


def equalise_shades(shades: ByteArray, clip: float, tiles: int, padded: BoolArray | None = None) -> ByteArray:
    """Equalise the histogram of each tile, with bounded slope, and blend between tiles.

    Computed on 256 shades, because the clip limit is a multiple of a histogram's mean height and
    means something else with 65,536.

    Args:
        shades: Shape ``(H, W)``; it is not changed.
        clip: Highest bin of a tile's histogram as a multiple of the mean bin. Above 0; 1 changes little.
        tiles: Tiles along each side, at least 1.
        padded: Where the picture shows nothing, at the size of the radiograph that `shades` was resized from, or at
            its own. None, or True everywhere: there is no padding.

    Returns:
        Same shape; padding is 0, as in the radiograph.

    Raises:
        ValueError: If `clip` is not above 0 or `tiles` is below 1.

    Source: Zuiderveld, 1994, Graphics Gems IV, 474-485.
    """
    if not clip > 0 or tiles < 1:
        raise ValueError(f"clip must be above 0 and tiles at least 1, got {clip} and {tiles}")
    equaliser = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles))
    if padded is None or not padded.any() or padded.all():
        return np.asarray(equaliser.apply(shades))
    padded = cv2.resize(padded.astype(np.uint8), shades.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    rows, columns = _spanned(~padded)
    equalised = np.zeros_like(shades)
    equalised[rows, columns] = equaliser.apply(_filled(shades[rows, columns], padded[rows, columns]))
    equalised[padded] = 0
    return equalised


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
