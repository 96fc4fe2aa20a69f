"""CHECK: every fault of a YOLO or COCO data set, told at once. Nothing is changed, nothing is run.

A fault in one file never hides those of the next. What is wrong with a row is in `yolo.py` and `coco.py`;
here is what concerns the set as a whole: its files, its pictures, its splits and its patients.
"""

from __future__ import annotations

import csv
import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from boxray.core.errors import DataError, InputError
from boxray.data.archive import extract, unsafe_members
from boxray.data.check.coco import check_coco, coco_files
from boxray.data.check.report import DATA_FAULTS, REMARKS, CheckReport, Fault, Part
from boxray.data.check.tree import Tree, shown, split_of_folder, walk
from boxray.data.check.yolo import check_yolo, is_yolo, label_files
from boxray.data.manifest import ABOUT
from boxray.data.names import collisions
from boxray.data.sources.files import PICTURES
from boxray.data.sources.metadata import read_metadata
from boxray.data.split import Split
from boxray.imaging.dicom_header import read_header
from boxray.imaging.jpeg import read_jpeg_header
from boxray.imaging.limits import MIN_SIDE_IN_DATA_PX, require_pixel_count, require_readable_size
from boxray.imaging.png import read_png_header
from boxray.imaging.read import file_content, read_radiograph
from boxray.imaging.sniff import Kind, sniff

__all__ = ["DATA_FAULTS", "REMARKS", "CheckReport", "Fault", "Progress", "check"]

Progress = Callable[[int, int], None]
"""Called with the number of files that are done, and of all."""

_PLACES = frozenset({"images", "labels", "annotations"})
"""Folders that are the inside of a data set, and not a folder that holds one."""
_BUILT_TABLE = "images.parquet"
_BESIDE_PICTURES = frozenset({".npy"})
"""Copies of the pixels that ultralytics writes beside its pictures."""


def check(
    folder: Path,
    *,
    pixels: bool = False,
    follow_links: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> CheckReport:
    """Look through a data set for everything that would be lost, misread or dangerous in training.

    Args:
        folder: Of YOLO files (`images/` and `labels/` at any depth, lists and `data.yaml` optional) or of COCO files
            (`annotations.json` or `annotations/*.json` beside pictures); or a zip file of one. A folder that holds
            nothing but one other folder is looked through.
        pixels: Decode every picture, in a child process. Otherwise only headers, lengths and checksums are read.
        follow_links: Take links for what they lead to. Otherwise each is a fault; right for what comes from outside.
        progress: Called after each file.

    Returns:
        All faults, sorted. An archive that is not safe to unpack gives only its own faults.

    Raises:
        DataError: If there is no such folder, or neither YOLO nor COCO files in it.
    """
    if folder.is_file():
        return _check_archive(folder, pixels=pixels, progress=progress)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder.name!r}; give the folder or the zip file of a data set")
    root = _set_in(folder)
    tree, found = walk(root, follow_links=follow_links)
    pictures, labels, jsons = pictures_of(tree), label_files(tree), coco_files(tree)
    yolo = bool(labels) or is_yolo(tree)
    if not yolo and not jsons and not found:
        raise DataError(
            "no data set here: expected images/ with labels/ or with data.yaml (YOLO), or annotations.json or "
            "annotations/*.json with pictures (COCO)"
        )
    total, done = len(pictures) + len(labels) + len(jsons), 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    known = _known(tree, pictures)
    found += known.faults
    parts = [check_coco(tree, jsons, pictures, step)] if jsons else []
    if yolo:
        parts.append(check_yolo(tree, pictures, step, aside=known.aside))
    for part in parts:
        found += part.faults
    for name, other in collisions(tree.files):
        found.append(Fault(name, None, "name.collision", f"differs from {other!r} only in case or Unicode form"))
    for picture in pictures:
        found += _picture_faults(tree, picture, pixels=pixels)
        step()
    splits = _splits(pictures, parts)
    found += _image_overlaps(tree, splits)
    found += _patient_overlaps(known.patients, splits)
    above = root.relative_to(folder).as_posix()
    return CheckReport.of(
        [replace(fault, file=shown(fault.file if above == "." else f"{above}/{fault.file}")) for fault in found],
        n_pictures=len(pictures),
        n_label_files=len(labels) + len(jsons),
        n_boxes=sum(part.n_boxes for part in parts),
    )


def pictures_of(tree: Tree) -> list[str]:
    """All files below folders called `images`; where there is none, all with the suffix of a picture."""
    below = [name for name in tree.files if "images" in PurePosixPath(name).parts[:-1]]
    if below:
        return [name for name in below if PurePosixPath(name).suffix.lower() not in _BESIDE_PICTURES]
    return [name for name in tree.files if PurePosixPath(name).suffix.lower() in PICTURES]


def _check_archive(archive: Path, *, pixels: bool, progress: Progress) -> CheckReport:
    unsafe = [Fault(shown(name or archive.name), None, "archive.unsafe", why) for name, why in unsafe_members(archive)]
    if not unsafe:
        with tempfile.TemporaryDirectory(prefix="boxray-check-") as scratch:
            try:
                extract(archive, Path(scratch) / "set")
            except DataError as error:
                unsafe = [
                    Fault(shown(archive.name), None, "archive.unsafe", str(error).removeprefix("archive.unsafe: "))
                ]
            else:
                return check(Path(scratch) / "set", pixels=pixels, progress=progress)
    return CheckReport.of(unsafe, n_pictures=0, n_label_files=0, n_boxes=0)


def _set_in(folder: Path) -> Path:
    """The folder itself, or the one that it holds and nothing else, as archives often do."""
    while True:
        try:
            entries = [entry for entry in folder.iterdir() if entry.name[0] != "." and entry.name != "__MACOSX"]
        except OSError:  # walking it will tell
            return folder
        if len(entries) != 1 or entries[0].is_symlink() or not entries[0].is_dir() or entries[0].name in _PLACES:
            return folder
        folder = entries[0]


# --- pictures -----------------------------------------------------------------------------------------------------


def _picture_faults(tree: Tree, name: str, *, pixels: bool) -> Iterator[Fault]:
    try:
        if pixels:
            read_radiograph(tree.path(name), min_side_px=MIN_SIDE_IN_DATA_PX)
        else:
            _require_whole(file_content(tree.path(name)))
    except InputError as error:
        yield Fault(name, None, error.code.name, error.reason)
        return
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in PICTURES:
        yield Fault(name, None, "picture.suffix", f"expected {', '.join(sorted(PICTURES))}, got {suffix!r}")


def _require_whole(data: bytes) -> None:
    """Refuse what is no picture, too large or too small, or cut off. No pixel is made.

    Raises:
        InputError: With the codes of `sniff`, of the header's reader and of `boxray.imaging.limits`.
    """
    kind = sniff(data)
    if kind is Kind.DICOM:
        read_header(data, MIN_SIDE_IN_DATA_PX)
        return
    if kind is Kind.PNG:
        png = read_png_header(data)
        size_wh, samples = png.size_wh, png.samples
    else:
        jpeg = read_jpeg_header(data)
        size_wh, samples = jpeg.size_wh, jpeg.components
        if not jpeg.complete:
            raise InputError("image.truncated", "the JPEG has no end: a part of the picture is missing")
    require_pixel_count(size_wh[0] * size_wh[1] * samples)
    require_readable_size(size_wh, MIN_SIDE_IN_DATA_PX)


# --- splits -------------------------------------------------------------------------------------------------------


def _splits(pictures: Sequence[str], parts: Sequence[Part]) -> dict[str, set[str]]:
    """The splits of each picture that is in one: what files state, else what its folder is called."""
    splits: dict[str, set[str]] = {}
    for picture in pictures:
        stated = set().union(*(part.splits.get(picture, set()) for part in parts))
        by_folder = split_of_folder(picture)
        if stated or by_folder:
            splits[picture] = stated or {str(by_folder)}
    return splits


def _image_overlaps(tree: Tree, splits: Mapping[str, set[str]]) -> Iterator[Fault]:
    """Pictures in two splits, under one name or with the same bytes under several."""
    for picture, names in splits.items():
        if len(names) > 1:
            yield Fault(picture, None, "split.image_overlap", f"it is in {' and in '.join(sorted(names))}")
    if len(set().union(*splits.values())) < 2:
        return
    by_size: dict[int, list[str]] = defaultdict(list)
    for picture in splits:
        by_size[_size(tree.path(picture))].append(picture)
    for size, alike in by_size.items():
        if size < 0 or len(alike) < 2:  # what cannot be read has its fault already
            continue
        first: dict[bytes, str] = {}
        for picture in alike:
            other = first.setdefault(_digest(tree.path(picture)), picture)
            if splits[other] != splits[picture]:
                where = " and ".join(sorted(splits[other]))
                yield Fault(picture, None, "split.image_overlap", f"the same bytes as {other!r}, which is in {where}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest(path: Path) -> bytes:
    """SHA-256 of a file; of one that cannot be read, of its path, so that it is like no other."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return str(path).encode(errors="surrogateescape")


def _patient_overlaps(patients: Mapping[str, str], splits: Mapping[str, set[str]]) -> Iterator[Fault]:
    """One fault per patient in two splits, at a picture; the patient is not named."""
    first: dict[str, str] = {}
    told: set[str] = set()
    for picture in sorted(patients.keys() & splits.keys()):
        patient = patients[picture]
        other = first.setdefault(patient, picture)
        if splits[other] != splits[picture] and patient not in told:
            told.add(patient)
            where = " and ".join(sorted(splits[other]))
            yield Fault(
                picture, None, "split.patient_overlap", f"of the same patient as {other!r}, which is in {where}"
            )


@dataclass(frozen=True, slots=True)
class _Known:
    """What tables say of the pictures."""

    patients: Mapping[str, str]
    """Of the pictures whose patient is known."""
    aside: frozenset[str]
    """Pictures of a built set that are in no split on purpose."""
    faults: tuple[Fault, ...] = ()


def _known(tree: Tree, pictures: Sequence[str]) -> _Known:
    """From the tables of a built set, else from `metadata.csv`, else nothing."""
    name = _BUILT_TABLE if {ABOUT, _BUILT_TABLE} <= set(tree.files) else "metadata.csv"
    try:
        if name == _BUILT_TABLE:
            table = pd.read_parquet(tree.path(name), columns=["picture", "patient", "split"])
            aside = table["picture"][table["split"] == Split.ASIDE.value]
            return _Known(dict(zip(table["picture"], table["patient"], strict=True)), frozenset(aside))
        about = read_metadata(tree.root) if name in tree.files else None
    except (DataError, csv.Error, OSError, ValueError, KeyError) as error:
        said = str(error).removeprefix(f"{name}: ") if isinstance(error, DataError) else type(error).__name__
        return _Known({}, frozenset(), (Fault(name, None, "data.table_invalid", f"it cannot be read: {said}"),))
    if about is None:
        return _Known({}, frozenset())
    by_picture = {picture: about.of(PurePosixPath(picture).stem).patient for picture in pictures}
    return _Known({picture: patient for picture, patient in by_picture.items() if patient}, frozenset())
