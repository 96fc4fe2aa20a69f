"""PNG and JPEG files to radiographs, through OpenCV and never through Pillow.

A picture has no tags that say what its values mean, so only what is beyond doubt is taken: grey of 8
or 16 bits, bright meaning dense. Colour, transparency and half a file are refused.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph
from boxray.imaging.jpeg import SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE, read_jpeg_header
from boxray.imaging.limits import MIN_SIDE_PX, require_pixel_count, require_readable_size
from boxray.imaging.orientation import turn_upright
from boxray.imaging.png import read_png_header

_DEPTHS: Final = (8, 10, 12, 14, 16)
"""What detectors and their exports use. The smallest that holds the largest value is taken."""

_GREY_TOLERANCE_JPEG: Final = 4
"""Of 255. Grey that went through JPEG's colour space comes back with channels this far apart."""


def read_png(data: bytes, min_side_px: int = MIN_SIDE_PX) -> Radiograph:
    """A still, complete, grey PNG file of 1 to 16 bits.

    A 16-bit file rarely uses all 16 bits. Its range is what an sBIT chunk declares, else the smallest
    of 8, 10, 12, 14 and 16 bits that holds the largest value; a note says which was taken.

    Raises:
        InputError: With the codes of `read_png_header`, ``image.too_many_pixels``, ``image.too_small``,
            ``image.colour`` if coloured or not opaque, ``image.decode_failed``, ``quality.blank``.
    """
    header = read_png_header(data)
    width, height = header.size_wh
    require_pixel_count(width * height * header.samples)
    require_readable_size(header.size_wh, min_side_px)
    stored = _decode(data, header.size_wh)
    if header.one_colour_transparent and (stored.ndim == 2 or stored.shape[2] != 4):
        raise InputError("image.colour", "the picture declares a transparent colour; save it without")
    grey = turn_upright(_grey(stored, tolerance=0), header.orientation)
    if grey.dtype == np.uint16:
        highest, note = _range_16_bit(int(grey.max()), header.significant_bits)
    else:
        highest, note = 255, "PNG of up to 8 bits: 0 to 255 span the shades"
    return _radiograph(grey, highest, (note, *_turned(header.orientation)))


def read_jpeg(data: bytes, min_side_px: int = MIN_SIDE_PX) -> Radiograph:
    """A complete, grey JPEG file of 8 bits, baseline or progressive.

    Raises:
        InputError: With the codes of `read_jpeg_header`, ``image.too_many_pixels``,
            ``image.too_small``, ``image.truncated`` if the end marker is missing, ``image.colour`` if
            coloured, ``input.not_supported`` for JPEG's other processes, ``quality.blank``.
    """
    header = read_jpeg_header(data)
    width, height = header.size_wh
    require_pixel_count(width * height * header.components)
    if header.frame not in (SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE) or header.precision != 8:
        raise InputError("input.not_supported", "a lossless or 12-bit JPEG outside DICOM; send it as PNG or DICOM")
    if header.components not in (1, 3):
        raise InputError("image.colour", f"a JPEG of {header.components} components such as CMYK; save it grey")
    if not header.complete:
        raise InputError("image.truncated", "the JPEG has no end: a part of the picture is missing")
    require_readable_size(header.size_wh, min_side_px)
    stored = _decode(data, header.size_wh)
    grey = turn_upright(_grey(stored, _GREY_TOLERANCE_JPEG), header.orientation)
    return _radiograph(grey, 255, ("JPEG of 8 bits: 0 to 255 span the shades", *_turned(header.orientation)))


def _decode(data: bytes, size_wh: tuple[int, int]) -> NDArray[Any]:
    """Pixels as they are stored, not turned by EXIF: ``(H, W)`` or ``(H, W, C)``, uint8 or uint16."""
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise InputError("image.decode_failed", "OpenCV rejects the picture") from error
    if stored is None or stored.dtype not in (np.uint8, np.uint16):
        raise InputError("image.decode_failed", "OpenCV rejects the picture")
    pixels: NDArray[Any] = stored[:, :, 0] if stored.ndim == 3 and stored.shape[2] == 1 else stored
    if pixels.shape[1::-1] != size_wh:
        raise InputError("image.decode_failed", "the decoded picture has another size than its header says")
    return pixels


def _grey(stored: NDArray[Any], tolerance: int) -> NDArray[Any]:
    """Shape ``(H, W)``: the one channel, or one of three whose values are equal."""
    if stored.ndim == 2:
        return stored
    if stored.shape[2] == 4 and stored[:, :, 3].min() < np.iinfo(stored.dtype).max:
        raise InputError("image.colour", "the picture is transparent in places; save it without transparency")
    for other in (0, 2):
        if int(cv2.absdiff(stored[:, :, other], stored[:, :, 1]).max()) > tolerance:
            raise InputError("image.colour", "the picture is coloured; a radiograph is grey")
    green: NDArray[Any] = stored[:, :, 1]
    return green


def _range_16_bit(largest: int, declared_bits: int | None) -> tuple[int, str]:
    """The value that means white in a 16-bit file, and a note that says why.

    sBIT promises samples scaled up to 16 bits (PNG specification 11.3.2.7), but many writers leave
    them as they were: a largest value within the declared bits tells the two apart.
    """
    if declared_bits is not None:
        highest = 2**declared_bits - 1
        if largest <= highest:
            return highest, f"16-bit PNG: {declared_bits} bits by its sBIT chunk"
        return 65535, f"16-bit PNG: all 16 bits, scaled up from {declared_bits} (sBIT chunk)"
    bits = next(depth for depth in _DEPTHS if largest < 2**depth)
    return 2**bits - 1, f"16-bit PNG: {bits} bits, the fewest that hold its largest value"


def _turned(orientation: int) -> tuple[str, ...]:
    return () if orientation == 1 else (f"turned upright by EXIF orientation {orientation}",)


def _radiograph(grey: NDArray[Any], highest: int, notes: tuple[str, ...]) -> Radiograph:
    if grey.min() == grey.max():
        raise InputError("quality.blank", "all pixels are equal: there is nothing to read")
    pixels = np.divide(grey, highest, dtype=np.float32)
    return Radiograph(np.ascontiguousarray(pixels), notes=notes)
