"""The radiograph: what every other room works on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import inf

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """One decoded frontal image, bright meaning dense, as a viewer would show it.

    Two are equal only if they are one and the same; to compare pictures, compare `sha256`.

    Raises:
        InputError: ``image.values_invalid`` unless `pixels` is a finite float32 array of shape
            ``(H, W)`` with values in [0, 1], and the spacing, where there is one, above 0.
    """

    pixels: FloatArray
    """Shape ``(H, W)``, float32 in [0, 1]; 0 is air, 1 is the densest shade of the presentation."""

    spacing_mm: tuple[float, float] | None = None
    """Distance of pixel centres (x, y) in millimetres, or None where the file gives no valid one."""

    view: str | None = None
    """``PA``, ``AP`` … as the file says it, or None. Never guessed."""

    padded: BoolArray | None = None
    """Shape ``(H, W)``: pixels that hold no image (PS3.3 C.7.5.1.1.2), shown as 0. None: there are none."""

    notes: tuple[str, ...] = field(default=())
    """How the pixels were made, one fact each: which window, which bit depth, what was left out."""

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.ndim != 2 or pixels.dtype != np.float32 or pixels.size == 0:
            raise InputError(
                "image.values_invalid", f"expected float32 pixels (H, W), got {pixels.dtype} {pixels.shape}"
            )
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= 0 and high <= 1):  # NaN fails too
            raise InputError("image.values_invalid", f"expected values in [0, 1], got {low} to {high}")
        if self.padded is not None and self.padded.shape != pixels.shape:
            raise InputError("image.values_invalid", f"padding {self.padded.shape} on pixels {pixels.shape}")
        if self.spacing_mm is not None and not all(0 < distance < inf for distance in self.spacing_mm):
            raise InputError("image.values_invalid", f"expected a spacing above 0 or None, got {self.spacing_mm}")

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def sha256(self) -> str:
        """Of the pixels, rounded to 16 bit: the same picture in another container has the same one."""
        grey = np.round(self.pixels * 65535).astype("<u2")
        return hashlib.sha256(repr(self.size_wh).encode() + grey.tobytes()).hexdigest()
