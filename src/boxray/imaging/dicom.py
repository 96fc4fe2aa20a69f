"""A DICOM object to a radiograph: header, stored values, presentation.

Three steps in three files, because each can refuse for reasons of its own, and because a pixel is
touched only after everything that can be known without it is known to be right.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from boxray.core.radiograph import Radiograph
from boxray.imaging.dicom_header import read_header, spacing_mm, view
from boxray.imaging.dicom_pixels import stored_values
from boxray.imaging.limits import MIN_SIDE_PX
from boxray.imaging.presentation import present


def read_dicom(data: bytes, min_side_px: int = MIN_SIDE_PX) -> Radiograph:
    """A DICOM file with one grey frontal radiograph, shown as its own attributes ask.

    Raises:
        InputError: With the codes of `read_header`, `stored_values` and `present`.
    """
    with _quiet_pydicom():
        header = read_header(data, min_side_px)
        pixels, padded, notes = present(stored_values(data, header), header.presented)
        return Radiograph(pixels, spacing_mm(header.ds), view(header.ds), padded, notes)


@contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Where pydicom is lenient it warns and logs, and quotes values, a patient's among them."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(level)
