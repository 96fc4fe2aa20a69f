"""The lung fields of one radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boxray.core.arrays import BoolArray
from boxray.core.boxes import Box


@dataclass(frozen=True, slots=True, eq=False)
class LungField:
    """Where both lungs lie, on the radiograph's own grid. Two are equal only if they are one and the same.

    Raises:
        ValueError: If the two are no matrices of one shape.
    """

    right: BoolArray
    """Shape ``(H, W)``: the patient's right lung, on the left of the picture. All False: it was not found."""
    left: BoolArray
    """The same for the left lung."""

    def __post_init__(self) -> None:
        if self.right.ndim != 2 or self.right.shape != self.left.shape:
            raise ValueError(f"both lungs need one shape (H, W), got {self.right.shape} and {self.left.shape}")

    @property
    def both(self) -> BoolArray:
        """Shape ``(H, W)``: in one lung or the other."""
        return self.right | self.left

    @property
    def right_box(self) -> Box | None:
        """The smallest box round the right lung; None where it was not found."""
        return box_round(self.right)

    @property
    def left_box(self) -> Box | None:
        """The same for the left lung."""
        return box_round(self.left)


def box_round(mask: BoolArray) -> Box | None:
    """The smallest box round a mask of shape ``(H, W)``, its edges on the outer edges of pixels; None round nothing."""
    (columns,), (rows,) = np.nonzero(mask.any(axis=0)), np.nonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
