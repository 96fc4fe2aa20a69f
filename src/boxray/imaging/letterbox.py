"""Pixels into the square that a model takes, and maps back out of it.

The numbers of a letterbox are `core.frames.Letterbox`; here it is applied. One function for training,
every engine and every test: a detector that was trained on one way of resizing loses accuracy with
another. It is ultralytics' own way (bilinear, grey 114, centred), so that its training loader and this
function make the same pixels.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from boxray.core.arrays import FloatArray
from boxray.core.frames import Cells, Letterbox, Size

PAD_SHADE: Final = 114
"""Of 255: the grey round the picture. ultralytics' choice, and so what its weights have seen."""


def letterbox_pixels(pixels: NDArray[Any], letterbox: Letterbox) -> NDArray[Any]:
    """Scale a radiograph's pixels and set them into the letterbox's square.

    Args:
        pixels: Shape ``(H, W)``, uint8 or float in [0, 1], in the frame that `letterbox` was fitted to.
        letterbox: Of `Letterbox.fit`.

    Returns:
        Shape ``(side, side)``, the dtype of `pixels`; outside the picture 114, or 114/255 for floats.

    Raises:
        ValueError: If `pixels` is not of the shape that the letterbox was fitted to, or of other values.
    """
    fitted_wh = _fitted_wh(letterbox)
    if pixels.ndim != 2 or pixels.shape[::-1] != fitted_wh:
        raise ValueError(f"the letterbox was fitted to (W, H) {fitted_wh}, got pixels of shape {pixels.shape}")
    if pixels.dtype == np.uint8:
        shade: float = PAD_SHADE
    elif pixels.dtype in (np.float32, np.float64):
        shade = PAD_SHADE / 255
    else:
        raise ValueError(f"pixels must be uint8 or float, got {pixels.dtype}")
    inner = pixels
    if letterbox.inner_wh != fitted_wh:
        inner = cv2.resize(pixels, letterbox.inner_wh, interpolation=cv2.INTER_LINEAR)
    square = np.full((letterbox.side_px, letterbox.side_px), shade, pixels.dtype)
    square[_inside(letterbox)] = inner
    return square


def from_letterbox(values: FloatArray, letterbox: Letterbox, size_wh: Size, cells: Cells | None = None) -> FloatArray:
    """Bring a coarse map of the square back to the radiograph's frame.

    The map is first spread over the square's own pixels, then the padding is cut off, then what is left
    is resized to the radiograph: cutting first would shift it by a part of a coarse cell. Both times
    bilinear, and level beyond the outermost cells.

    Args:
        values: Shape ``(h, w)``.
        letterbox: Through which the model's input was made.
        size_wh: Of the radiograph.
        cells: Where the map's cells look. None: each at the middle of its own tile of the square.

    Returns:
        Shape ``(H, W)`` of the radiograph, float32; never outside the range of `values`.

    Raises:
        ValueError: If `values` is no matrix, or `size_wh` is not what the letterbox was fitted to.
    """
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must have shape (h, w), got {values.shape}")
    if tuple(size_wh) != _fitted_wh(letterbox):
        raise ValueError(f"the letterbox was fitted to (W, H) {_fitted_wh(letterbox)}, got {size_wh}")
    square = values.astype(np.float32)
    for _ in "rows", "columns":
        square = _stretched(square, letterbox.side_px, cells).T
    inner = np.ascontiguousarray(square[_inside(letterbox)])
    return np.asarray(cv2.resize(inner, tuple(size_wh), interpolation=cv2.INTER_LINEAR))


def _stretched(values: FloatArray, side_px: int, cells: Cells | None) -> FloatArray:
    """Rows ``(N, M)`` to ``(S, M)``, a share of either cell between where two look.

    No matrix product: so small a one costs seventy times as much, by the threads that it wakes.
    """
    n_cells = len(values)
    first_px, step_px = cells or Cells(side_px / n_cells / 2, side_px / n_cells)
    at = ((np.arange(side_px) + 0.5 - first_px) / step_px).clip(0, n_cells - 1)
    before = at.astype(int)
    after = np.minimum(before + 1, n_cells - 1)
    share = (at - before).astype(np.float32)[:, None]
    stretched: FloatArray = values[before] + share * (values[after] - values[before])
    return stretched


def _inside(letterbox: Letterbox) -> tuple[slice, slice]:
    width, height = letterbox.inner_wh
    return slice(letterbox.top, letterbox.top + height), slice(letterbox.left, letterbox.left + width)


def _fitted_wh(letterbox: Letterbox) -> Size:
    """The size that the letterbox was fitted to, from its own scales: there is no second truth."""
    width, height = letterbox.inner_wh
    return round(width / letterbox.to_square.scale_x), round(height / letterbox.to_square.scale_y)
