"""What a picture on disk is and how large, without making a pixel: some tables speak of its own pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom

from boxray.core.errors import InputError
from boxray.imaging.dicom_header import whole_number
from boxray.imaging.jpeg import read_jpeg_header
from boxray.imaging.png import read_png_header
from boxray.imaging.read import file_content
from boxray.imaging.sniff import DICOM_PREFIX, Kind, sniff

_TURNED_BY_90 = 5
"""EXIF orientations from here on exchange width and height; the decoder turns the picture upright."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """A readable picture's header."""

    kind: Kind
    size_wh: tuple[int, int]
    """Upright, as the decoder gives it."""


def read_picture_header(path: Path) -> PictureHeader | None:
    """Kind and size by the file's content; its suffix means nothing.

    Returns:
        None where the decoder will refuse the file: a picture that is never built needs no frame.
    """
    try:
        with path.open("rb") as file:
            kind = sniff(file.read(DICOM_PREFIX.stop))
        if kind is Kind.DICOM:
            return PictureHeader(kind, _dicom_size(path))
        data = file_content(path)
        header = read_png_header(data) if kind is Kind.PNG else read_jpeg_header(data)
    except (InputError, OSError):
        return None
    width, height = header.size_wh
    return PictureHeader(kind, (height, width) if header.orientation >= _TURNED_BY_90 else (width, height))


def size_of_picture(path: Path) -> tuple[int, int] | None:
    """Width and height, upright; None where the decoder will refuse the file."""
    header = read_picture_header(path)
    return header.size_wh if header else None


def _dicom_size(path: Path) -> tuple[int, int]:
    """Columns and rows. Only the bytes before the pixels are read: an archive of these is hundreds of gigabytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pydicom's, which quote values
            ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - an untrusted parser may raise anything
        raise InputError("dicom.malformed", f"the header cannot be parsed ({type(error).__name__})") from None
    return whole_number(ds, "Columns"), whole_number(ds, "Rows")
