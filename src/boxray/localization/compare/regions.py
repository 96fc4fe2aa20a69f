"""From a map to boxes: where it reaches a share of its maximum, every connected region gets one."""

from __future__ import annotations

import cv2
import numpy as np

from boxray.core.arrays import FloatArray
from boxray.localization.peak import highest_pixel


def region_boxes(values: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
    """Boxes round the connected regions in which a map reaches a share of its maximum.

    Pixels that touch at a corner are connected. A region counts by its highest pixel, as a detector's box by its score.
    (Zhou et al. take the largest region; tried on validation films, that was the same or worse for the map.)

    Args:
        values: Shape ``(H, W)``, >= 0, in the radiograph's frame.
        share: Of the maximum, in (0, 1].

    Returns:
        Boxes of shape ``(N, 4)``, tight round each region's pixels, and the highest value in each, ``(N,)``, falling;
        of regions equally high the one with the first pixel comes first. A map without a value above zero has none.

    Raises:
        ValueError: If `share` is not in (0, 1].

    Source: Zhou et al., CVPR 2016 (CAM), section 3.2 on localization.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of the maximum lies above 0 and not above 1, got {share}")
    peak = float(values.max(initial=0))
    if peak <= 0:
        return np.empty((0, 4)), np.empty(0)
    region = (values >= share * peak).astype(np.uint8)
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
    highest = np.zeros(n_labels)
    np.maximum.at(highest, labels[region > 0], values[region > 0])
    left, top, width, height = stats[1:, :4].T.astype(np.float64)
    order = np.argsort(-highest[1:], kind="stable")
    return np.column_stack([left, top, left + width, top + height])[order], highest[1:][order]


def highest_point(values: FloatArray) -> tuple[float, float] | None:
    """Centre (x, y) of `highest_pixel`; None where the map is zero everywhere."""
    highest = highest_pixel(values)
    if highest is None:
        return None
    row, column = highest
    return column + 0.5, row + 0.5
