"""Lungs that somebody drew, found by the names that their images have in their sources."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol
from zipfile import BadZipFile, ZipFile

import cv2
import numpy as np

from boxray.core.arrays import BoolArray, ByteArray
from boxray.core.errors import DataError, MissingExtra
from boxray.data.sources.covid_seg import mask_of, rows_by_image

TORCHXRAYVISION: Final = Path("torchxrayvision")
"""Said in a folder's place: the masks that this package carries."""
XRV_ARCHIVE: Final = Path("data", "semantic_masks_v7labs_lungs.zip")
"""In its folder: V7 Labs, COVID-19 X-ray dataset, 2020, CC BY 4.0; one grey picture for each film of `covid_lungs`."""

STRUCTURES: Final = ("Right Lung", "Left Lung")
"""Names of the masks of `covid_seg`, in the order of the channels."""
LUNG: Final = 255
"""Grey value of both lungs in an archive; 127 is what lies over them from outside, such as a pacemaker."""
SMALLEST_LUNG: Final = 0.01
"""Share of the picture; smaller parts are strokes beside it."""


class DrawnLungs(Protocol):
    """Of an image, the masks of the right and the left lung."""

    def __call__(self, image_id: str, copies: str) -> list[ByteArray] | None:
        """Right and left, 0 and 1 over the whole picture, of whatever size; None where nobody drew both.

        Args:
            image_id: Of the manifest.
            copies: What the manifest names beside it.

        Raises:
            DataError: If a mask is not what it should be.
        """


def drawn_lungs(masks: Path | None) -> DrawnLungs:
    """The masks of a download.

    Args:
        masks: A folder of the layout `covid_seg`, an archive of the form that torchxrayvision carries (``.zip``),
            or ``torchxrayvision`` for the archive of the installed package. None: nobody drew anything.

    Raises:
        DataError: If there is no such download, or it is none of these.
        MissingExtra: If torchxrayvision is asked for and not installed.
    """
    if masks is None:
        return _nobody
    if masks == TORCHXRAYVISION and not masks.exists():
        return ArchiveMasks(_packaged())
    return ArchiveMasks(masks) if masks.suffix == ".zip" else FolderMasks(masks)


def _nobody(image_id: str, copies: str) -> None:  # noqa: ARG001 - as all of them are asked
    return None


def _packaged() -> Path:
    found = find_spec("torchxrayvision")
    if found is None or found.origin is None:
        raise MissingExtra("the masks of torchxrayvision", "xrv")
    return Path(found.origin).parent / XRV_ARCHIVE


class FolderMasks:
    """A download of the layout `covid_seg`: a picture for each structure, and a table that places them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows = rows_by_image(folder / "structure.csv")

    def __call__(self, image_id: str, copies: str) -> list[ByteArray] | None:
        """As `DrawnLungs`."""
        rows = [row for name in _names(image_id, copies) for row in self._rows.get(name, [])]
        found = [mask_of(self._folder, rows, structure) for structure in STRUCTURES]
        both = [mask for mask in found if mask is not None]
        return both if len(both) == len(found) else None


class ArchiveMasks:
    """A zip archive with one picture of both lungs for each film, under the film's own name."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        try:
            with ZipFile(archive) as opened:
                listed = [PurePosixPath(name) for name in opened.namelist() if not name.endswith("/")]
        except (OSError, BadZipFile) as error:
            raise DataError(f"{archive.name} is no archive of masks that can be opened: {error}") from error
        self._members = {name.stem: str(name) for name in listed}

    def __call__(self, image_id: str, copies: str) -> list[ByteArray] | None:
        """As `DrawnLungs`; None, too, where it does not fall into two lungs side by side."""
        members = sorted(self._members[name] for name in _names(image_id, copies) if name in self._members)
        return right_and_left(self._picture(members[0]) == LUNG) if members else None

    def _picture(self, member: str) -> ByteArray:
        try:
            with ZipFile(self._archive) as opened:
                data = opened.read(member)
        except (OSError, BadZipFile) as error:
            raise DataError(f"{member} of {self._archive.name} cannot be read: {error}") from error
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise DataError(f"{member} of {self._archive.name} is no picture that can be decoded")
        return np.asarray(pixels, dtype=np.uint8)


def right_and_left(both: BoolArray) -> list[ByteArray] | None:
    """One mask of both lungs as two, each as 0 and 1; the right lung lies on the picture's left.

    Args:
        both: Shape ``(H, W)``.

    Returns:
        None where there are not two parts of at least `SMALLEST_LUNG`, none beyond the middle of the other: such as
        lungs that touch, or one lung alone.
    """
    _, parts, stats, centres = cv2.connectedComponentsWithStats(both.astype(np.uint8), connectivity=4)
    large = [part for part in range(1, len(stats)) if stats[part, cv2.CC_STAT_AREA] >= SMALLEST_LUNG * both.size]
    if len(large) != len(STRUCTURES):
        return None
    right, left = sorted(large, key=lambda part: float(centres[part, 0]))
    right_ends = stats[right, cv2.CC_STAT_LEFT] + stats[right, cv2.CC_STAT_WIDTH]
    if centres[left, 0] < right_ends or stats[left, cv2.CC_STAT_LEFT] < centres[right, 0]:
        return None
    return [(parts == part).astype(np.uint8) for part in (right, left)]


def _names(image_id: str, copies: str) -> set[str]:
    """What an image and its copies are called in their sources."""
    return {one.partition(":")[2] for one in (image_id, *shlex.split(copies))}
