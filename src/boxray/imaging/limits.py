"""How much a file may ask for.

The sizes are checked against the header, before any pixel is made: a picture of some kilobytes can
announce gigabytes, and the decoder would believe it.
"""

from __future__ import annotations

from typing import Final

from boxray.core.errors import InputError

MAX_FILE_BYTES: Final = 128 * 2**20
"""Largest file that is read. The largest plain radiograph, 16 bit and 64 MP, fits."""

MAX_PIXELS: Final = 64_000_000
"""Rows x columns x samples x frames. Detectors end at about 20 MP; digitised film reaches 40."""

MIN_SIDE_PX: Final = 256
"""The smallest radiographs that the detector was trained on have this side."""

MIN_SIDE_IN_DATA_PX: Final = 128
"""Below what a reader accepts: published data sets hold reduced copies, and the boxes on them are true."""

MAX_ASPECT: Final = 4.0
"""Longer side over shorter side. A strip is no radiograph of a chest."""


def require_file_size(n_bytes: int) -> None:
    """Refuse a file above `MAX_FILE_BYTES`.

    Raises:
        InputError: ``input.too_large``.
    """
    if n_bytes > MAX_FILE_BYTES:
        raise InputError("input.too_large", f"{n_bytes} bytes, at most {MAX_FILE_BYTES} are read")


def require_pixel_count(n_pixels: int) -> None:
    """Refuse more than `MAX_PIXELS`: rows x columns x samples x frames, as the header announces them.

    Raises:
        InputError: ``image.too_many_pixels``.
    """
    if n_pixels > MAX_PIXELS:
        raise InputError(
            "image.too_many_pixels", f"the header announces {n_pixels} pixels, at most {MAX_PIXELS} are read"
        )


def require_readable_size(size_wh: tuple[int, int], min_side_px: int = MIN_SIDE_PX) -> None:
    """Refuse what has too few pixels, or is too narrow, to be a chest radiograph.

    Raises:
        InputError: ``image.too_small`` below `min_side_px` on a side or above `MAX_ASPECT`.
    """
    width, height = size_wh
    if min(size_wh) < min_side_px:
        raise InputError("image.too_small", f"{width} x {height} pixels, at least {min_side_px} a side")
    if max(size_wh) > MAX_ASPECT * min(size_wh):
        raise InputError(
            "image.too_small", f"{width} x {height} pixels: one side is over {MAX_ASPECT:g} times the other"
        )
