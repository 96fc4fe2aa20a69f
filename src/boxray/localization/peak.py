"""Where a map is highest."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from boxray.core.arrays import FloatArray, IntArray

_LEVEL: Final = 1 - 1e-6
"""From this share of the maximum on a pixel is as high as the highest: resizing a level map rounds."""


def highest_pixel(values: FloatArray) -> tuple[int, int] | None:
    """Row and column of the pixel in which a map is highest; None where it is zero everywhere.

    Of a plateau, such as the patch of an occlusion map or the edge beyond the outermost cells, the pixel nearest to its
    middle, and not its upper left corner; of several plateaus that of the first pixel.

    Args:
        values: Shape ``(H, W)``, >= 0.
    """
    peak = float(values.max(initial=0))
    if peak <= 0:
        return None
    rows, columns = _first_plateau(*np.nonzero(values >= _LEVEL * peak))
    nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return int(rows[nearest]), int(columns[nearest])


def _first_plateau(rows: IntArray, columns: IntArray) -> tuple[IntArray, IntArray]:
    """Of pixels in reading order those that hang together with the first, corners included."""
    top, left = rows.min(), columns.min()
    level = np.zeros((rows.max() - top + 1, columns.max() - left + 1), dtype=np.uint8)
    level[rows - top, columns - left] = 1
    _, plateaus = cv2.connectedComponents(level, connectivity=8)
    first = plateaus[rows - top, columns - left] == plateaus[rows[0] - top, columns[0] - left]
    return rows[first], columns[first]
