"""Stored values of a DICOM object: the numbers in the file before they mean any shade.

The decoding plugin is always named, so that a stream that one codec rejects is never handed to the
next, and Pillow is never reached. Bits that do not belong to the value (overlays, rubbish) are cut off.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

from boxray.core.errors import InputError
from boxray.imaging.dicom_header import PLUGINS, DicomHeader
from boxray.imaging.jpeg import read_jpeg_header

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED: Final = 0xFFFFFFFF
_LONG_VRS: Final = (b"OB", b"OW", b"UN")
"""Before a length of four bytes. Where no representation is written the length stands in their place, and it is even,
which these are not: so a file that is wrong about its own encoding is read as it is."""

_INSTALL: Final = {"pylibjpeg": "pylibjpeg-libjpeg pylibjpeg-openjpeg", "pyjpegls": "pyjpegls"}


def installed_decoders() -> list[tuple[str, bool]]:
    """Every compressed transfer syntax that is read, and whether the plugin named for it is installed."""
    return [
        (UID(uid).name, plugin in get_decoder(UID(uid)).available_plugins)
        for uid, plugin in PLUGINS.items()
        if plugin is not None
    ]


def stored_values(data: bytes, header: DicomHeader) -> NDArray[Any]:
    """Shape ``(H, W)``, integers of at most 16 bits between `lowest` and `highest` of the header's `presented`.

    Colour whose three channels are equal counts as grey; of a palette of greys the shades come back, 0 to 255.

    Raises:
        InputError: ``dicom.pixels_truncated``, ``dicom.decode_failed``, ``dicom.decoder_missing``,
            ``dicom.colour``.

    Source: PS3.5 sections 8.1.1 (bits) and A.4 (encapsulation); PS3.3 C.7.6.3.
    """
    value_at, length = _value_position(data, header)
    plugin = PLUGINS[header.transfer_syntax]
    if plugin is None:
        if length != _UNDEFINED and value_at + length > len(data):
            raise InputError("dicom.pixels_truncated", "the pixel data claim to be longer than the file")
        values = _native(data, header, value_at, length)
    else:
        _require_fragments(data, header, value_at)
        values = _encapsulated(data, header, value_at, plugin)
    if values.ndim == 3:
        return _equal_channels(values)
    if header.photometric == "PALETTE COLOR":
        return _palette_grey(values, header)
    return values


def _value_position(data: bytes, header: DicomHeader) -> tuple[int, int]:
    """Where the value of Pixel Data begins, and how long it says that it is."""
    at, order = header.pixels_at, ">" if header.big_endian else "<"
    group, element = struct.unpack_from(f"{order}HH", data, at)
    if (group, element) != (0x7FE0, 0x0010):
        raise InputError("dicom.missing_required", "the object has no PixelData")
    if data[at + 4 : at + 6] in _LONG_VRS:
        at += 4
    if at + 8 > len(data):
        raise InputError("dicom.pixels_truncated", "the file ends where its pixels should begin")
    (length,) = struct.unpack_from(f"{order}I", data, at + 4)
    return at + 8, int(length)


def _native(data: bytes, header: DicomHeader, value_at: int, length: int) -> NDArray[Any]:
    """Values as they lie in the file, shaped, with the unused bits cut off."""
    n_values = header.rows * header.columns * header.samples
    if header.photometric == "YBR_FULL_422":  # two pixels in four bytes; never seen in a radiograph
        raise InputError("dicom.colour", "the picture is coloured; a radiograph is grey")
    n_bytes = n_values * header.bits_allocated // 8
    if min(length, len(data) - value_at) < n_bytes:
        raise InputError("dicom.pixels_truncated", f"{length} pixel bytes where the header announces {n_bytes}")
    order = ">" if header.big_endian else "<"
    if header.bits_allocated == 8 and header.big_endian and data[header.pixels_at + 4 : header.pixels_at + 6] == b"OW":
        words = np.frombuffer(data, "<u2", (n_bytes + 1) // 2, value_at)
        raw: NDArray[Any] = words.byteswap().view(np.uint8)[:n_bytes]
    else:
        raw = np.frombuffer(data, f"{order}u{header.bits_allocated // 8}", n_values, value_at)
    return _cut_to_value(_shaped(raw, header), header)


def _shaped(raw: NDArray[Any], header: DicomHeader) -> NDArray[Any]:
    if header.samples == 1:
        return raw.reshape(header.rows, header.columns)
    if header.planar:
        return raw.reshape(header.samples, header.rows, header.columns).transpose(1, 2, 0)
    return raw.reshape(header.rows, header.columns, header.samples)


def _cut_to_value(raw: NDArray[Any], header: DicomHeader) -> NDArray[Any]:
    """Unsigned words to values: only the bits from `high_bit` down, the highest of them the sign if signed.

    12 bits stored, high bit 11, signed: 0xF7FF is -1 + overlay bits → 0x7FF → 2047, 0x0800 → -2048.
    """
    unused_below = header.high_bit + 1 - header.bits_stored
    if header.bits_stored == header.bits_allocated:
        native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        return native.view(f"i{header.bits_allocated // 8}") if header.signed else native
    values: NDArray[Any] = (raw.astype(np.uint16) >> unused_below) & np.uint16(2**header.bits_stored - 1)
    if header.signed:  # to the top, where the sign bit lives, and back
        free = 16 - header.bits_stored
        return (values << free).view(np.int16) >> free
    return values


def _encapsulated(data: bytes, header: DicomHeader, value_at: int, plugin: str) -> NDArray[Any]:
    """Values of the one compressed frame, by the one plugin that may decode it."""
    decoder = get_decoder(UID(header.transfer_syntax))
    if plugin not in decoder.available_plugins:
        raise InputError(
            "dicom.decoder_missing",
            f"no decoder for {UID(header.transfer_syntax).name}; pip install {_INSTALL.get(plugin, plugin)}",
        )
    stream = io.BytesIO(data)
    stream.seek(value_at)
    is_rle = plugin == "pydicom"
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "samples_per_pixel": header.samples,
        "number_of_frames": 1,
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_stored,
        "pixel_representation": int(header.signed),
        "photometric_interpretation": header.photometric,
        "planar_configuration": header.planar,
        "pixel_keyword": "PixelData",
        # Run lengths code whole words, their unused bits included; those we cut ourselves.
        **({"correct_unused_bits": False} if is_rle else {}),
    }
    try:
        decoded = decoder.as_array(stream, index=0, decoding_plugin=plugin, **options)[0]
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - codecs raise what they like
        raise InputError("dicom.decode_failed", f"{plugin} rejects the pixels ({type(error).__name__})") from None
    values: NDArray[Any] = decoded
    if is_rle:
        return _cut_to_value(values.view(f"u{values.dtype.itemsize}"), header)
    if values.min() < header.lowest or values.max() > header.highest:  # a codestream deeper than the header says
        return np.asarray(values.clip(header.lowest, header.highest))
    return values


def _require_fragments(data: bytes, header: DicomHeader, value_at: int) -> None:
    """Refuse compressed pixels whose last piece is cut off, or that announce another size than the header.

    Codecs fill what is missing with grey, and allocate what their own header asks for.
    """
    at, first = value_at, True
    n_bytes, start = 0, b""
    while data[at : at + 4] == _ITEM:
        if at + 8 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, at + 4)
        at += 8
        if at + length > len(data):
            raise InputError("dicom.pixels_truncated", "the last fragment of the pixels is cut off")
        if not first:  # the first item is the offset table
            n_bytes += length
            start = start or data[at : at + length]
        first = False
        at += length
    if data[at : at + 4] != _SEQUENCE_END:
        raise InputError("dicom.pixels_truncated", "the end of the compressed pixels is missing")
    if n_bytes == 0:
        raise InputError("dicom.pixels_truncated", "the object holds no compressed pixels")
    announced_wh = _codestream_size(start)
    if announced_wh is not None and announced_wh != (header.columns, header.rows):
        raise InputError("dicom.decode_failed", "the compressed pixels have another size than the header says")


def _codestream_size(start: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG, JPEG-LS or JPEG 2000 stream announces; None for anything else."""
    if start.startswith(b"\xff\x4f\xff\x51") and len(start) >= 24:  # SOC, SIZ: ITU-T T.800 A.5.1
        x_end, y_end, x_start, y_start = struct.unpack_from(">IIII", start, 8)
        return x_end - x_start, y_end - y_start
    if start.startswith(b"\xff\xd8"):
        try:
            return read_jpeg_header(start).size_wh
        except InputError as error:
            raise InputError("dicom.decode_failed", error.reason) from None
    return None


def _equal_channels(values: NDArray[Any]) -> NDArray[Any]:
    """One of three equal channels. JPEG's colour space moves grey by up to 4 of 255."""
    red, green, blue = (values[:, :, channel].astype(np.int32) for channel in range(3))
    if max(np.abs(red - green).max(), np.abs(blue - green).max()) > 4:
        raise InputError("dicom.colour", "the picture is coloured; a radiograph is grey")
    return values[:, :, 1]


def _palette_grey(values: NDArray[Any], header: DicomHeader) -> NDArray[Any]:
    try:
        coloured = apply_color_lut(values, header.ds)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever is wrong with the palette
        raise InputError("dicom.colour", "the picture has a palette that cannot be read") from None
    return _equal_channels(coloured >> 8 if coloured.dtype == np.uint16 else coloured)
