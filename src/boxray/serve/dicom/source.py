"""What a DICOM object about a radiograph takes from it: the header, and UIDs that a second run finds again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from pydicom import Dataset, dcmread

from boxray import __version__
from boxray.core.errors import InputError, MissingExtra, Outcome
from boxray.core.reading import Reading
from boxray.imaging.sniff import Kind, sniff

MAKER: Final = "boxray"
SERIES_NUMBER: Final = 9900
"""Of the report; the presentation state has the next one. Far above those of a modality."""

_REQUIRED: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Rows", "Columns")
_MAY_BE_EMPTY: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName", "StudyID"),
)
"""Must be there and may be empty (type 2 in PS3.3 C.7.1.1 and C.7.2.1)."""

_LONGEST: Final = 1_000_000
_SEXES: Final = {None, "", "M", "F", "O"}
"""Of the standard; `written` puts others back."""


def can_write() -> bool:
    """Whether the extra ``[pacs]`` is installed."""
    return find_spec("highdicom") is not None


def require_writer() -> None:
    """Nothing where the extra is installed.

    Raises:
        MissingExtra: If it is not.
    """
    if not can_write():
        raise MissingExtra("writing DICOM objects", "pacs")


def header_of(data: bytes) -> Dataset | None:
    """`required_header`, or None of a file to which no object can refer."""
    try:
        return required_header(data)
    except InputError:
        return None


def required_header(data: bytes) -> Dataset:
    """The header of a DICOM file to which an object can refer.

    Pixels are left out, and with them private attributes and those of more than 1 MB: no object repeats them.

    Args:
        data: What was uploaded and read: `boxray.imaging.read` has judged it before.

    Raises:
        InputError: ``input.not_supported`` if it is no DICOM file, ``dicom.missing_required`` if its header lacks what
            an object refers by, ``dicom.malformed`` if it cannot be understood.
    """
    if sniff(data) is not Kind.DICOM:
        raise InputError("input.not_supported", "it is no DICOM file, and an object refers to one")
    try:
        header = dcmread(BytesIO(data), stop_before_pixels=True, force=True)
        for tag in list(header.keys()):
            if tag.is_private or getattr(header.get_item(tag), "length", 0) > _LONGEST:
                del header[tag]
        missing = [name for name in _REQUIRED if not header.get(name)]
    except Exception as error:  # noqa: BLE001 - pydicom raises what it likes, and its message may quote the patient
        what = type(error).__name__
        raise InputError("dicom.malformed", f"its header cannot be understood ({what})") from None
    if missing:
        names = ", ".join(missing)
        raise InputError("dicom.missing_required", f"its header has no {names}, by which an object refers to it")
    return header


def reference(header: Dataset, reading: Reading) -> Dataset:
    """The header, with empty values where an attribute that must be there is not.

    Raises:
        ValueError: If the reading gives no result, or no detector took part: then there is nothing to write.
        InputError: ``dicom.malformed`` if the reading is not of this image.
    """
    if reading.status is not Outcome.RESULT:
        raise ValueError(f"only a result is written as a DICOM object, got {reading.status}")
    if "detector" not in reading.models:
        raise ValueError("a DICOM object tells boxes, and no detector took part in this reading")
    size_wh = (int(header.Columns), int(header.Rows))
    if size_wh != reading.size_wh:
        raise InputError("dicom.malformed", f"the header says {size_wh}, what was read is {reading.size_wh}")
    image = Dataset()
    image.update(header)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in image:
            setattr(image, keyword, None)
    if image.PatientSex not in _SEXES:
        del image.PatientSex  # a value put in its place would change the header too
        image.PatientSex = None
    return image


@contextmanager
def writing() -> Iterator[None]:
    """A header that cannot be repeated is a fault of the file, and told as such; highdicom logs no UID meanwhile.

    Raises:
        InputError: ``dicom.malformed``.
    """
    logging.getLogger("highdicom").setLevel(logging.WARNING)
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        what = type(error).__name__  # its message may quote the patient
        raise InputError("dicom.malformed", f"the header cannot be repeated in another object ({what})") from error


def written(made: Any, header: Dataset) -> bytes:
    """The object as a file, the patient's sex as the header has it: hospitals write more letters than there are."""
    if header.get("PatientSex"):
        made.PatientSex = header.PatientSex
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def uid_of(*parts: str) -> str:
    """A UID that the same parts give again (PS3.5 B.2: the decimal form of a UUID)."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{UUID(bytes=digest[:16], version=5).int}"


def instance_uid(kind: str, header: Dataset, reading: Reading) -> str:
    """Of the object: the same for the same image and the same reading of it, whatever its file is called."""
    said = {name: value for name, value in reading.to_json().items() if name != "file"}
    return uid_of(kind, __version__, str(header.SOPInstanceUID), json.dumps(said, sort_keys=True))


def series_uid(kind: str, header: Dataset, reading: Reading) -> str:
    """Of its series: one per study and pair of models."""
    return uid_of(kind, str(header.StudyInstanceUID), *(model.sha256 for model in reading.models.values()))
