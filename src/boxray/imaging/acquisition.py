"""As another machine might have taken the film: of fewer pixels, or with more noise. For training."""

from __future__ import annotations

import cv2
import numpy as np

from boxray.core.arrays import ByteArray


def retaken(film: ByteArray, detail: float, grain: float, rng: np.random.Generator) -> ByteArray:
    """A film as a machine of fewer and grainier pixels shows it, enlarged to the size that it has.

    Noise belongs to the pixels of that machine: enlarged, its grains are as large as they are.

    Args:
        film: Shape ``(H, W)``; not changed.
        detail: In (0, 1], the share of either side's pixels that the machine has; 1 leaves them.
        grain: Deviation of normal noise on each of its pixels, as a share of the scale of grey; 0 adds none.
        rng: Makes the noise.

    Returns:
        The same shape; the film itself where all of its detail is left and no noise is added.
    """
    height, width = film.shape
    left_wh = max(1, round(width * detail)), max(1, round(height * detail))
    if left_wh == (width, height):
        return _grained(film, grain, rng)
    shrunk = cv2.resize(film, left_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(_grained(np.asarray(shrunk), grain, rng), (width, height)))


def _grained(film: ByteArray, deviation: float, rng: np.random.Generator) -> ByteArray:
    if deviation == 0:
        return film
    noise = rng.standard_normal(film.shape, dtype=np.float32) * np.float32(255 * deviation)
    return (film + noise).round().clip(0, 255).astype(np.uint8)
