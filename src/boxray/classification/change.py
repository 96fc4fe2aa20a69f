"""Random changes of a square that leave a radiograph a radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from boxray.classification.recipe import ClassificationRecipe
from boxray.core.arrays import ByteArray, FloatArray
from boxray.imaging.acquisition import coarsened, grained


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a square: moved, coarsened, grained, brightened; mirrored only where sides do not count."""

    degrees: float
    scale: float
    shift_xy: tuple[float, float]
    gain: float
    detail: float = 1.0
    """In (0, 1]: the square is shrunk to this share of its side and enlarged again."""
    grain: float = 0.0
    """Deviation of the noise that is added, as a share of the scale of grey."""
    grain_seed: int = 0
    mirrored: bool = False

    def apply(self, square: ByteArray) -> ByteArray:
        """Same shape, same type; what comes in from outside is black."""
        side = square.shape[0]
        # OpenCV counts from the middle of the first pixel, boxes from its corner.
        matrix = self._turned(side, middle_px=side / 2 - 0.5)
        moved = cv2.warpAffine(square, matrix, (side, side), flags=cv2.INTER_LINEAR)
        shown = grained(coarsened(np.asarray(moved), self.detail), self.grain, np.random.default_rng(self.grain_seed))
        changed: ByteArray = cv2.convertScaleAbs(shown, alpha=self.gain)
        return changed[:, ::-1] if self.mirrored else changed

    def moves(self, side_px: int) -> FloatArray:
        """Where places of the square come to lie: an affine map of shape ``(2, 3)``, in pixels of it."""
        matrix = self._turned(side_px, middle_px=side_px / 2)
        if self.mirrored:
            matrix[0] = np.array([0, 0, side_px]) - matrix[0]
        return matrix

    def _turned(self, side_px: int, middle_px: float) -> FloatArray:
        matrix: FloatArray = cv2.getRotationMatrix2D((middle_px, middle_px), self.degrees, self.scale)
        matrix[:, 2] += np.array(self.shift_xy) * side_px
        return matrix


def draw_change(rng: Generator, recipe: ClassificationRecipe) -> Change:
    """Decides, without seeing a pixel."""
    shift = rng.uniform(-recipe.translate, recipe.translate, size=2)
    return Change(
        degrees=rng.uniform(-recipe.degrees, recipe.degrees),
        scale=1 + rng.uniform(-recipe.scale, recipe.scale),
        shift_xy=(float(shift[0]), float(shift[1])),
        gain=1 + rng.uniform(-recipe.brightness, recipe.brightness),
        detail=1 - rng.uniform(0, recipe.coarsen) if recipe.coarsen else 1.0,
        grain=rng.uniform(0, recipe.grain) if recipe.grain else 0.0,
        grain_seed=int(rng.integers(2**31)) if recipe.grain else 0,
        mirrored=recipe.flip and bool(rng.random() < 0.5),
    )
