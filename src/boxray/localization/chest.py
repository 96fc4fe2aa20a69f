"""What the lung fields are used for: energy of a map inside them, the heart's width, boxes beside the chest."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from boxray.core.boxes import Box
from boxray.core.lungs import LungField
from boxray.core.reading import Chest, SaliencyMap

HEART: Final = "the heart"
"""What a label space writes under `box` for a finding whose box encloses the whole heart."""
LEAST_INSIDE: Final = 0.1
"""Share of a box from which on it counts as inside the chest; readers' boxes reach over its edge, too."""


def energy_in_lungs(saliency: SaliencyMap, lungs: LungField) -> float | None:
    """Share of a map's sum that lies in the lungs, in [0, 1].

    Args:
        saliency: In the frame of `lungs`.
        lungs: The radiograph's.

    Returns:
        0 for a map that is zero everywhere; None if a lung was not found, as nobody knows then what it held.

    Raises:
        ValueError: If the frames differ.

    Source: after the energy-based pointing game, Wang et al., 2020, Score-CAM, with lungs in the box's place.
    """
    values = saliency.values
    if values.shape != lungs.right.shape:
        raise ValueError(f"the map has shape {values.shape}, the lungs {lungs.right.shape}: give both in one frame")
    if not (lungs.right.any() and lungs.left.any()):
        return None
    # OpenCV averages under a mask without the copy that indexing makes; a full film has nine million pixels.
    inside = lungs.both
    energy = cv2.mean(values, inside.view(np.uint8))[0] * np.count_nonzero(inside)
    total = cv2.mean(values)[0] * values.size
    return float(min(1.0, energy / total)) if total > 0 else 0.0


def cardiothoracic_ratio(heart: Box | None, lungs: LungField) -> tuple[float | None, str | None]:
    """Width of the heart over width of the chest.

    The chest is taken from the outer edge of one lung to that of the other at their widest, which is the inner
    width of the ribs where the lungs reach them, and less where fluid or a shadow hides a lung's edge.

    Args:
        heart: Box of the whole heart; None where there is none.
        lungs: In the same frame.

    Returns:
        The ratio, and None; or None, and why there is none. Above 0.5 on an upright PA film is called enlarged;
        AP films and shallow breath widen it.

    Source: Danzer, 1919, Am J Med Sci 157, 513-521.
    """
    chest, reason = _chest(lungs)
    if chest is None:
        return None, reason
    if heart is None:
        return None, "no box of the heart"
    return (heart.x2 - heart.x1) / (chest.x2 - chest.x1), None


def outside_lungs(box: Box, lungs: LungField) -> bool:
    """Whether a box lies beside the chest: less than a tenth of it in the smallest box round both lungs.

    That box holds the heart and the angles where fluid gathers, which the fields themselves leave out. Where a lung was
    not found, nothing can be said, and the answer is no. A box without area is judged by its place.
    """
    chest, _ = _chest(lungs)
    if chest is None:
        return False
    width = _shared((box.x1, box.x2), (chest.x1, chest.x2))
    height = _shared((box.y1, box.y2), (chest.y1, chest.y2))
    return width * height < LEAST_INSIDE


def chest_of(lungs: LungField, heart: Box | None) -> Chest:
    """What a reading states of the lung fields."""
    ratio, reason = cardiothoracic_ratio(heart, lungs)
    return Chest(lungs.right_box, lungs.left_box, ratio, reason)


def _chest(lungs: LungField) -> tuple[Box | None, str | None]:
    """The smallest box round both lungs; or None, and which was not found."""
    right, left = lungs.right_box, lungs.left_box
    if right is None or left is None:
        missing = [name for name, box in (("right", right), ("left", left)) if box is None]
        return None, f"not found: {' and '.join(missing)} lung"
    x1, y1 = min(right.x1, left.x1), min(right.y1, left.y1)
    return Box(x1, y1, max(right.x2, left.x2), max(right.y2, left.y2)), None


def _shared(side: tuple[float, float], other: tuple[float, float]) -> float:
    """Share of a side that lies on another; of one without length, whether it does."""
    low, high = max(side[0], other[0]), min(side[1], other[1])
    if side[1] == side[0]:
        return float(low <= high)
    return max(0.0, high - low) / (side[1] - side[0])
