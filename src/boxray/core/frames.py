"""Frames, and the invertible map between two of them.

Nearly every annotation of a public data set lives in another frame than the file beside it: the tables
speak of 1024 x 1024, the file has 640 x 640. The way back from a letterbox or a CAM grid is `invert`
of the very map that led there, never a second formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from boxray.core.arrays import FloatArray

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ScaleShift:
    """``x -> x * scale_x + shift_x``, and the same for y. Units are pixels of the target frame."""

    scale_x: float
    scale_y: float
    shift_x: float = 0.0
    shift_y: float = 0.0

    def __post_init__(self) -> None:
        values = (self.scale_x, self.scale_y, self.shift_x, self.shift_y)
        if not (np.isfinite(values).all() and self.scale_x > 0 and self.scale_y > 0):
            raise ValueError(f"a map needs finite shifts and scales above 0, got {values}")

    @classmethod
    def between(cls, source_wh: Size, target_wh: Size) -> ScaleShift:
        """Stretch one whole frame onto another; x and y scale separately."""
        if min(*source_wh, *target_wh) <= 0:
            raise ValueError(f"frames need sides above 0, got {source_wh} and {target_wh}")
        return cls(target_wh[0] / source_wh[0], target_wh[1] / source_wh[1])

    def invert(self) -> ScaleShift:
        """The way back."""
        return ScaleShift(
            1 / self.scale_x, 1 / self.scale_y, -self.shift_x / self.scale_x, -self.shift_y / self.scale_y
        )

    def then(self, onward: ScaleShift) -> ScaleShift:
        """This map, and `onward` from where it leads, as one."""
        return ScaleShift(
            self.scale_x * onward.scale_x,
            self.scale_y * onward.scale_y,
            self.shift_x * onward.scale_x + onward.shift_x,
            self.shift_y * onward.scale_y + onward.shift_y,
        )

    def apply(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Boxes of the source frame in the target frame. Shape ``(N, 4)`` on both sides."""
        scale = np.array([self.scale_x, self.scale_y] * 2)
        shift = np.array([self.shift_x, self.shift_y] * 2)
        return np.asarray(boxes_xyxy * scale + shift)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """An image brought into a square without changing its aspect: scaled, then centred on a grey ground.

    One for training, every engine and every test. `inner_wh` is what the image measures inside the
    square (whole pixels), `left` and `top` where it begins.
    """

    side_px: int
    inner_wh: Size
    left: int
    top: int
    to_square: ScaleShift

    @classmethod
    def fit(cls, size_wh: Size, side_px: int) -> Letterbox:
        """Fit an image of `size_wh` into a square of `side_px`; the longer side fills it.

        Raises:
            ValueError: If a side is not above 0.
        """
        width, height = size_wh
        if min(width, height, side_px) <= 0:
            raise ValueError(f"a letterbox needs sides above 0, got {size_wh} and a square of {side_px}")
        ratio = min(side_px / width, side_px / height)
        inner = max(1, round(width * ratio)), max(1, round(height * ratio))
        left, top = (side_px - inner[0]) // 2, (side_px - inner[1]) // 2
        # Scales are those of the rounded size, so that the image's edges land on whole pixels.
        to_square = ScaleShift(inner[0] / width, inner[1] / height, left, top)
        return cls(side_px, inner, left, top, to_square)


class Cells(NamedTuple):
    """Where the cells of a coarse map look on the square that they were made of, along either axis; pixels of it."""

    first_px: float
    """Middle of what cell 0 looks at."""
    step_px: float
    """From one cell to the next."""
