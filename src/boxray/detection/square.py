"""What the detector sees of a picture: one way for training and for reading, CLAHE included."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from boxray.core.arrays import BoolArray
from boxray.core.frames import Letterbox, Size
from boxray.imaging.clahe import equalise_shades
from boxray.imaging.letterbox import letterbox_pixels


def film_pixels(
    picture: NDArray[Any], inner_wh: Size, clahe: tuple[float, int] | None, padded: BoolArray | None = None
) -> NDArray[Any]:
    """The picture at the size that it has in the detector's square, equalized if asked for.

    CLAHE comes after resizing, so that its tiles hold the same anatomy at any resolution of the file.

    Args:
        picture: Shape ``(H, W)``, uint8, or float32 in [0, 1].
        inner_wh: Of `Letterbox.inner_wh`.
        clahe: Clip and tiles of `boxray.imaging.clahe`; None leaves the shades as they are.
        padded: As CLAHE takes it.

    Returns:
        Shape ``inner_wh[::-1]``, the dtype of `picture`.
    """
    if clahe is None:
        return _resized(picture, inner_wh)
    # Rounded before it is resized, so that a file and the built set's copy of it give the same pixels.
    shades = picture if picture.dtype == np.uint8 else np.round(picture * 255).astype(np.uint8)
    equalised = equalise_shades(_resized(shades, inner_wh), *clahe, padded)
    return equalised if picture.dtype == np.uint8 else np.asarray(equalised.astype(picture.dtype) / 255)


def _resized(picture: NDArray[Any], size_wh: Size) -> NDArray[Any]:
    if picture.shape[::-1] == size_wh:
        return picture
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_LINEAR))


def detector_square(
    picture: NDArray[Any], letterbox: Letterbox, clahe: tuple[float, int] | None, padded: BoolArray | None = None
) -> NDArray[Any]:
    """The square of a whole picture for reading: `film_pixels` with grey around.

    Args:
        picture: Shape ``(H, W)`` in the frame that `letterbox` was fitted to, uint8, or float32 in [0, 1].
        letterbox: Of `Letterbox.fit`.
        clahe: As for `film_pixels`.
        padded: As for `film_pixels`.

    Returns:
        Shape ``(side, side)``, the dtype of `picture`.
    """
    if clahe is None:
        return letterbox_pixels(picture, letterbox)
    inner = film_pixels(picture, letterbox.inner_wh, clahe, padded)
    return letterbox_pixels(inner, Letterbox.fit(letterbox.inner_wh, letterbox.side_px))
