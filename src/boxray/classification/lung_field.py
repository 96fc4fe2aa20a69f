"""From the graph's third output to the lung fields of a radiograph. Needs no torch."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.frames import Letterbox, Size
from boxray.core.lungs import LungField
from boxray.imaging.letterbox import from_letterbox

LUNGS: Final = "lungs"
"""Name of the output."""
RIGHT, LEFT = 0, 1
"""Channels of the output."""
SMALLEST_SHARE: Final = 0.01
"""Of the square; what is smaller is no lung."""


def lung_field(probabilities: FloatArray, letterbox: Letterbox, size_wh: Size, inside_from: float = 0.5) -> LungField:
    """Of each lung the largest connected part, in the radiograph's frame.

    Args:
        probabilities: Shape ``(2, h, w)`` over the square, right lung first, in [0, 1].
        letterbox: Through which the graph's input was made.
        size_wh: Of the radiograph.
        inside_from: Probability from which on a place belongs to a lung.
    """
    kept = (_largest_part(channel, inside_from) for channel in probabilities)
    lungs = [from_letterbox(channel, letterbox, size_wh) >= inside_from for channel in kept]
    return LungField(lungs[RIGHT], lungs[LEFT])


def _largest_part(probabilities: FloatArray, inside_from: float) -> FloatArray:
    """The same without what lies inside but apart; around the part that stays the slope is kept, and so its outline."""
    inside: BoolArray = probabilities >= inside_from
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]  # the first is what lies outside
    if not len(areas) or areas.max() < SMALLEST_SHARE * inside.size:
        return np.zeros_like(probabilities)
    kept: FloatArray = np.where(inside & (parts != 1 + areas.argmax()), 0, probabilities)
    return kept
