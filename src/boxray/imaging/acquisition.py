"""As another machine might have taken the film: with less detail, or with more noise. For training."""

from __future__ import annotations

import cv2
import numpy as np

from boxray.core.arrays import ByteArray


def coarsened(film: ByteArray, detail: float) -> ByteArray:
    """A film that was shrunk and enlarged again.

    Args:
        film: Shape ``(H, W)``; not changed.
        detail: In (0, 1], the share of either side's pixels that was left; 1 gives the film back.
    """
    height, width = film.shape
    left_wh = max(1, round(width * detail)), max(1, round(height * detail))
    if left_wh == (width, height):
        return film
    return np.asarray(cv2.resize(cv2.resize(film, left_wh, interpolation=cv2.INTER_AREA), (width, height)))


def grained(film: ByteArray, deviation: float, rng: np.random.Generator) -> ByteArray:
    """A film with normal noise on each pixel.

    Args:
        film: Shape ``(H, W)``; not changed.
        deviation: As a share of the scale of grey; 0 gives the film back.
        rng: Makes the noise.
    """
    if deviation == 0:
        return film
    noise = rng.normal(0, 255 * deviation, film.shape)
    return (film + noise).round().clip(0, 255).astype(np.uint8)
