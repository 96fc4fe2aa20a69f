"""Checking a YOLO data set: label files, lists and `data.yaml`. Nothing is stopped by the first fault."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace
from boxray.data.card import load_label_space
from boxray.data.check.report import Fault, Part, Wrong
from boxray.data.check.rows import Quad, box_fault, corners_suspicion, read_lines, read_row
from boxray.data.check.tree import Tree
from boxray.data.manifest import ABOUT
from boxray.data.names import one_name
from boxray.data.sources.yolo import NO_LABELS
from boxray.data.yaml_file import read_yaml

LARGEST_LABEL_BYTES: Final = 2**20
"""Of one picture: some twenty thousand boxes."""

LARGEST_LIST_BYTES: Final = 2**28
"""Of a list of pictures: some millions of lines."""

SPLITS: Final = ("train", "val", "test")

_YAML: Final = (".yaml", ".yml")


def label_of(picture: str) -> str:
    """Where the rows of a picture lie: the last folder `images` of its path becomes `labels`."""
    parts = list(PurePosixPath(picture).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return posixpath.join(*parts[:-1], f"{PurePosixPath(picture).stem}.txt")


def label_files(tree: Tree) -> list[str]:
    """The text files below folders called `labels`, without the list of classes that labelImg writes."""
    return [
        name
        for name in tree.files
        if "labels" in PurePosixPath(name).parts[:-1]
        and name.lower().endswith(".txt")
        and PurePosixPath(name).stem not in NO_LABELS
    ]


def is_yolo(tree: Tree) -> bool:
    """Whether a set without a single label file is one of YOLO all the same: a data file or a list says so."""
    lists = {f"{split}.txt" for split in SPLITS}
    stated = any("/" not in name and (name in lists or name.lower().endswith(_YAML)) for name in tree.files)
    return stated and any("images" in PurePosixPath(name).parts[:-1] for name in tree.files)


def check_yolo(
    tree: Tree, pictures: Sequence[str], step: Callable[[], None], *, aside: frozenset[str] = frozenset()
) -> Part:
    """Every fault of the label files, lists and data files.

    Args:
        tree: The files.
        pictures: Those of them that are pictures.
        step: Called after each label file.
        aside: Pictures that are in no split on purpose.
    """
    part = Part()
    data_files = list(_data_files(tree, part))
    n_classes, whence = _classes(tree, data_files, part)
    labels = label_files(tree)
    part.n_label_files = len(labels)
    quads: list[Quad] = []
    for name in labels:
        part.faults += _label_file_faults(tree, name, (n_classes, whence), quads)
        step()
    part.n_boxes = len(quads)
    suspicion = corners_suspicion(quads, "centre and size")
    if suspicion is not None:
        folder = labels[0][: labels[0].index("labels") + len("labels")]
        part.faults.append(Fault(folder, None, "label.format_suspect", suspicion))
    part.faults += _pair_faults(pictures, labels)
    _take_splits(tree, pictures, data_files, part)
    if part.splits:
        for picture in pictures:
            if picture not in part.splits and picture not in aside:
                reason = "the lists and folders that the data set names for its splits leave it out"
                part.faults.append(Fault(picture, None, "picture.unlisted", reason))
    return part


def _label_file_faults(tree: Tree, name: str, classes: tuple[int, str], quads: list[Quad]) -> Iterator[Fault]:
    text = read_lines(tree, name, LARGEST_LABEL_BYTES)
    if isinstance(text, Wrong):
        code = "label.invalid_row" if text.code == "text" else text.code
        yield Fault(name, None, code, text.reason)
        return
    lines = text.splitlines()
    first: dict[tuple[int, Quad], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = read_row(line, *classes)
        if isinstance(row, Wrong):
            quads.append((math.nan,) * 4)
            yield Fault(name, number, *row)
            continue
        quads.append(row[1])
        wrong = box_fault(row[1])
        if wrong is not None:
            yield Fault(name, number, *wrong)
        earlier = first.setdefault(row, number)
        if earlier != number:
            yield Fault(name, number, "label.duplicate_row", f"the same box of the same class as in line {earlier}")
    if text and not text.endswith(("\n", "\r")):
        yield Fault(name, len(lines), "label.half_written", "the last row has no end of line: is it still written?")


# --- pictures and their label files -------------------------------------------------------------------------------


def _pair_faults(pictures: Sequence[str], labels: Sequence[str]) -> Iterator[Fault]:
    here = set(labels)
    alike = {one_name(label): label for label in labels}
    owners: dict[str, str] = {}
    for picture in pictures:
        label = label_of(picture)
        owner = owners.setdefault(label, picture)
        if owner != picture:
            yield Fault(picture, None, "name.collision", f"shares its label file with {owner!r}")
        if label not in here:
            other = alike.get(one_name(label))
            hint = f"; {other!r} differs only in case or Unicode form" if other else ""
            yield Fault(
                picture, None, "label.missing", f"there is no {label!r}: write one, empty if nothing is there{hint}"
            )
    for label in labels:
        if label not in owners:
            yield Fault(label, None, "picture.missing", "rows without a picture of the same name below images/")


# --- data files and lists -----------------------------------------------------------------------------------------


def _data_files(tree: Tree, part: Part) -> Iterator[tuple[str, dict[Any, Any]]]:
    """The YAML files of the root that are mappings, `data.yaml` first; the faults of all are noted."""
    names = [name for name in tree.files if "/" not in name and name.lower().endswith(_YAML)]
    for name in sorted(names, key=lambda name: (name != "data.yaml", name)):
        try:
            content = read_yaml(tree.path(name))
        except (DataError, OSError, ValueError, RecursionError) as error:
            part.faults.append(_yaml_fault(name, error))
            continue
        if isinstance(content, dict):
            part.faults += _code_faults(tree, name, content)
            yield name, content
        else:
            part.faults.append(Fault(name, None, "data.yaml_invalid", "expected keys and values"))


def _yaml_fault(name: str, error: Exception) -> Fault:
    """The reader's message begins with the name of the file and mostly with the line."""
    if not isinstance(error, DataError):
        return Fault(name, None, "data.yaml_invalid", f"not plain YAML ({type(error).__name__})")
    said = " ".join(str(error).split())
    match = re.fullmatch(rf"{re.escape(name)}(?::([0-9]+))?: (.*)", said)
    line, reason = (match[1], match[2]) if match else (None, said)
    return Fault(name, int(line) if line else None, "data.yaml_invalid", reason)


def _code_faults(tree: Tree, name: str, content: Mapping[Any, Any]) -> Iterator[Fault]:
    if "download" in content:
        reason = "a 'download:' key is code that ultralytics runs where a folder is missing; remove it"
        yield Fault(name, _line_of(tree, name, "download"), "data.yaml_code", reason)
    if content.get("path") is not None and _root_of(tree, content) is None:
        reason = "'path:' is no folder of this data set: it is sought elsewhere on the disk; remove it"
        yield Fault(name, _line_of(tree, name, "path"), "data.yaml_code", reason)


def _root_of(tree: Tree, content: Mapping[Any, Any]) -> str | None:
    """The folder that the paths of a data file start from, relative to the root; None where it is not in it."""
    path = content.get("path")
    place = tree.inside(str(path) if path is not None else ".")
    return place if place is not None and tree.path(place).is_dir() else None


def _line_of(tree: Tree, name: str, key: str) -> int | None:
    text = read_lines(tree, name, LARGEST_LABEL_BYTES)
    lines = [] if isinstance(text, Wrong) else text.splitlines()
    pattern = re.compile(rf"\s*\{{?\s*['\"]?{key}['\"]?\s*:")
    return next((number for number, line in enumerate(lines, start=1) if pattern.match(line)), None)


def _classes(tree: Tree, data_files: Sequence[tuple[str, dict[Any, Any]]], part: Part) -> tuple[int, str]:
    """How many classes there are, and what says so."""
    for name, content in data_files:
        if "names" not in content and "nc" not in content:
            continue
        names, nc = content.get("names"), content.get("nc")
        if names is None and isinstance(nc, int) and nc > 0:
            return nc, name
        if isinstance(names, list):
            names = dict(enumerate(names))
        if not isinstance(names, dict) or not names or set(names) != set(range(len(names))):
            reason = f"expected 'names' as a list, or numbered from 0, got {str(names)[:80]!r}"
            part.faults.append(Fault(name, _line_of(tree, name, "names"), "data.yaml_invalid", reason))
            continue
        if nc is not None and nc != len(names):
            reason = f"'nc' is {str(nc)[:20]!r}, but there are {len(names)} names"
            part.faults.append(Fault(name, _line_of(tree, name, "nc"), "data.yaml_invalid", reason))
        return len(names), name
    built = _classes_of_built_set(tree, part)
    if built is not None:
        return built, ABOUT
    return len(load_label_space("chest8")), "the label space chest8 (there is no data.yaml with names)"


def _classes_of_built_set(tree: Tree, part: Part) -> int | None:
    if ABOUT not in tree.files:
        return None
    try:
        content = json.loads(tree.path(ABOUT).read_text(encoding="utf-8"))
        return len(LabelSpace.from_mapping(content["label_space"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"not the file that boxray data build writes ({type(error).__name__})"
        part.faults.append(Fault(ABOUT, None, "data.json_invalid", reason))
        return None


def _take_splits(
    tree: Tree, pictures: Sequence[str], data_files: Sequence[tuple[str, dict[Any, Any]]], part: Part
) -> None:
    """Which split each picture is in, as data files and lists say."""
    lists = {f"{split}.txt": split for split in SPLITS if f"{split}.txt" in tree.files}
    folders: dict[str, str] = {}
    for name, content in data_files:
        for split in SPLITS:
            for place, wrong in _places(tree, content, split):
                if wrong is not None:
                    part.faults.append(Fault(name, _line_of(tree, name, split), *wrong))
                elif place in tree.files:
                    lists[place] = split
                else:
                    folders[place] = split
    here = set(pictures)
    for place, split in folders.items():
        for picture in pictures:
            if place == "." or picture.startswith(f"{place}/"):
                part.splits[picture].add(split)
    for name, split in lists.items():
        part.faults += _list_faults(tree, name, split, here, part.splits)


def _places(tree: Tree, content: Mapping[Any, Any], split: str) -> Iterator[tuple[str, Wrong | None]]:
    """The lists and folders that a data file names for a split, relative to the root."""
    value = content.get(split)
    base = _root_of(tree, content) or ""
    for written in value if isinstance(value, list) else [value]:
        if written is None or written == "":
            continue
        place = tree.inside(str(written), base)
        if place is None:
            yield "", Wrong("data.path_outside", f"{split!r} leads out of the data set; write it relative to this file")
        elif place in tree.files or tree.path(place).is_dir():
            yield place, None
        else:
            yield "", Wrong("picture.missing", f"{split!r} names a list or folder that is not here")


def _list_faults(tree: Tree, name: str, split: str, pictures: set[str], splits: dict[str, set[str]]) -> Iterator[Fault]:
    text = read_lines(tree, name, LARGEST_LIST_BYTES)
    if isinstance(text, Wrong):
        yield Fault(name, None, "data.unreadable", text.reason)
        return
    first: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip()
        if not written:
            continue
        place = tree.inside(written, posixpath.dirname(name))
        if place not in pictures and place is not None:
            place = tree.inside(written)  # some lists begin at the root, wherever they lie
        if place is None:
            yield Fault(name, number, "data.path_outside", "the path leads out of the data set")
        elif place not in pictures:
            yield Fault(name, number, "picture.missing", "no such picture below images/")
        elif first.setdefault(place, number) != number:
            yield Fault(name, number, "list.duplicate_line", f"the same picture as in line {first[place]}")
        else:
            splits[place].add(split)
