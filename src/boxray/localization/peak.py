"""Where a map is highest."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from boxray.core.arrays import FloatArray

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
    level = values >= _LEVEL * peak
    rows, columns = np.nonzero(level)
    if len(rows) > 1:
        _, plateaus = cv2.connectedComponents(level.astype(np.uint8), connectivity=8)
        rows, columns = np.nonzero(plateaus == plateaus[rows[0], columns[0]])
    nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return int(rows[nearest]), int(columns[nearest])
