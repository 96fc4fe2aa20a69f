"""Checking a COCO data set: one JSON or several, beside pictures. JSON has no lines, so faults name ids."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from boxray.data.check.report import Fault, Part, Wrong
from boxray.data.check.rows import Quad, box_fault, corners_suspicion, read_lines
from boxray.data.check.tree import Tree, split_of_folder, split_word
from boxray.data.names import collisions

LARGEST_JSON_BYTES: Final = 2**29
"""The training part of COCO itself has 450 MB."""

_LVIS_LISTS: Final = ("neg_category_ids", "not_exhaustive_category_ids")


def coco_files(tree: Tree) -> list[str]:
    """`annotations.json`, the JSON files of folders called `annotations`, and Roboflow's `_annotations.coco.json`."""
    names = [PurePosixPath(name) for name in tree.files if name.lower().endswith(".json")]
    return [
        str(name)
        for name in names
        if str(name) == "annotations.json"
        or "annotations" in name.parts[:-1]
        or name.name.endswith("_annotations.coco.json")
    ]


def check_coco(tree: Tree, names: Sequence[str], pictures: Sequence[str], step: Callable[[], None]) -> Part:
    """Every fault of the JSON files, and the pictures that none of them names.

    Args:
        tree: The files.
        names: Those of them that are COCO.
        pictures: Those of them that are pictures.
        step: Called after each JSON file.
    """
    part = Part(n_label_files=len(names))
    by_stem: dict[str, list[str]] = defaultdict(list)
    for picture in pictures:
        by_stem[PurePosixPath(picture).stem].append(picture)
    named: set[str] = set()
    for name in names:
        content = _read(tree, name, part)
        if content is not None:
            named |= _CocoFile(tree, name, by_stem, part).check(content)
        step()
    for picture in pictures:
        if picture not in named:
            part.faults.append(Fault(picture, None, "picture.unlisted", "no COCO file of the data set names it"))
    return part


def _read(tree: Tree, name: str, part: Part) -> dict[str, Any] | None:
    """The three lists of the content; one that is missing is a fault and not in the answer."""
    text = read_lines(tree, name, LARGEST_JSON_BYTES)
    if isinstance(text, Wrong):
        code = "data.json_invalid" if text.code == "text" else text.code
        part.faults.append(Fault(name, None, code, text.reason))
        return None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        part.faults.append(Fault(name, error.lineno, "data.json_invalid", f"not JSON: {error.msg}"))
        return None
    except (ValueError, RecursionError) as error:
        part.faults.append(Fault(name, None, "data.json_invalid", f"not JSON to be read ({type(error).__name__})"))
        return None
    keys = ("images", "annotations", "categories")
    lists = {key: content[key] for key in keys if isinstance(content, dict) and isinstance(content.get(key), list)}
    for key in keys:
        if key not in lists:
            part.faults.append(Fault(name, None, "data.json_invalid", f"expected a list under {key!r}"))
    return lists


@dataclass(frozen=True, slots=True)
class _CocoFile:
    tree: Tree
    name: str
    by_stem: Mapping[str, Sequence[str]]
    part: Part

    def check(self, content: Mapping[str, list[Any]]) -> set[str]:
        """Note every fault; the pictures that the file names."""
        categories = self._categories(content.get("categories", ()))
        images, named = self._images(content.get("images", ()), categories)
        whole = content.keys() >= {"categories", "images"}  # without them every box would be a fault
        boxed = self._annotations(content.get("annotations", ()) if whole else (), images, categories)
        for image_id, category in sorted(boxed, key=str):
            if category in images[image_id][1]:
                self._say(
                    "label.contradiction",
                    f"image {image_id!r}: category {category!r} is boxed and stands in neg_category_ids",
                )
        return named

    def _say(self, code: str, reason: str) -> None:
        self.part.faults.append(Fault(self.name, None, code, reason))

    def _categories(self, rows: Sequence[Any]) -> set[int | str]:
        names: dict[int | str, str] = {}
        for place, row in enumerate(rows):
            if not isinstance(row, dict) or not _is_id(row.get("id")) or not isinstance(row.get("name"), str):
                self._say("data.json_invalid", f"categories[{place}]: expected an id and a name")
            elif row["id"] in names:
                self._say("data.json_invalid", f"categories[{place}]: id {row['id']!r} is there twice")
            else:
                if row["name"] in names.values():
                    self._say("data.json_invalid", f"categories[{place}]: name {row['name'][:80]!r} is there twice")
                names[row["id"]] = row["name"]
        return set(names)

    def _images(
        self, rows: Sequence[Any], categories: set[int | str]
    ) -> tuple[dict[int | str, tuple[tuple[float, float] | None, set[int | str]]], set[str]]:
        """By id: the size, None where it is wrong, and the categories called absent; and the pictures named."""
        images: dict[int | str, tuple[tuple[float, float] | None, set[int | str]]] = {}
        named: set[str] = set()
        written: list[str] = []
        for place, row in enumerate(rows):
            if not isinstance(row, dict) or not _is_id(row.get("id")) or not isinstance(row.get("file_name"), str):
                self._say("data.json_invalid", f"images[{place}]: expected an id and a file_name")
                continue
            if row["id"] in images:
                self._say("data.json_invalid", f"images[{place}]: id {row['id']!r} is there twice")
                continue
            sides = _number(row.get("width")), _number(row.get("height"))
            size_wh = sides if min(sides) > 0 else None  # NaN fails too
            if size_wh is None:
                self._say("data.json_invalid", f"image {row['id']!r}: expected a width and a height above 0")
            images[row["id"]] = size_wh, self._called_absent(row, categories)
            picture = self._picture(row["id"], row["file_name"])
            if picture in named:
                self._say("name.collision", f"image {row['id']!r}: its picture is that of another image too")
            if picture is not None:
                named.add(picture)
                split = split_word(PurePosixPath(self.name).stem) or split_of_folder(self.name)
                if split is not None:
                    self.part.splits[picture].add(split)
            written.append(row["file_name"])
        for one, other in collisions(written):
            self._say("name.collision", f"file_name {one[-80:]!r} differs from {other[-80:]!r} only in case or Unicode")
        return images, named

    def _called_absent(self, row: Mapping[str, Any], categories: set[int | str]) -> set[int | str]:
        for key in _LVIS_LISTS:
            ids = row.get(key, [])
            if not isinstance(ids, list) or not all(_is_id(one) and one in categories for one in ids):
                self._say("label.invalid_row", f"image {row['id']!r}: {key} is no list of known categories")
        absent = row.get(_LVIS_LISTS[0])
        return {one for one in absent if _is_id(one)} if isinstance(absent, list) else set()

    def _picture(self, image_id: int | str, file_name: str) -> str | None:
        """The picture of an image: by its path where one ends so, else by its stem, as the importer looks for it."""
        if self.tree.inside(file_name) is None:
            self._say("data.path_outside", f"image {image_id!r}: its file_name leads out of the data set")
            return None
        found = self.by_stem.get(PurePosixPath(file_name.replace("\\", "/")).stem, ())
        if not found:
            self._say("picture.missing", f"image {image_id!r}: no picture of that name is here")
            return None
        split = split_word(PurePosixPath(self.name).stem)
        best = [picture for picture in found if f"/{picture}".endswith(f"/{file_name}")] or list(found)
        return next((picture for picture in best if split is not None and split_of_folder(picture) == split), best[0])

    def _annotations(
        self,
        rows: Sequence[Any],
        images: Mapping[int | str, tuple[tuple[float, float] | None, set[int | str]]],
        categories: set[int | str],
    ) -> set[tuple[int | str, int | str]]:
        """Pairs of image and category with a box."""
        boxed: set[tuple[int | str, int | str]] = set()
        seen: dict[tuple[Any, ...], str] = {}
        ids: set[int | str] = set()
        quads: list[Quad] = []
        for place, row in enumerate(rows):
            self.part.n_boxes += 1
            which = f"annotations[{place}]"
            if not isinstance(row, dict):
                self._say("label.invalid_row", f"{which}: expected keys and values")
                continue
            if _is_id(row.get("id")):
                which = f"annotation {row['id']!r}"
                if row["id"] in ids:
                    self._say("label.invalid_row", f"{which}: its id is there twice")
                ids.add(row["id"])
            wrong = _row_fault(row, images, categories)
            if wrong is not None:
                self._say("label.invalid_row", f"{which}: {wrong}")
                continue
            boxed.add((row["image_id"], row["category_id"]))
            x, y, width, height = bbox = tuple(float(value) for value in row["bbox"])
            earlier = seen.setdefault((row["image_id"], row["category_id"], bbox), which)
            if earlier != which:
                self._say("label.duplicate_row", f"{which}: the same box of the same category as {earlier}")
            size_wh = images[row["image_id"]][0]
            if size_wh is None:
                continue
            quad = x / size_wh[0], y / size_wh[1], width / size_wh[0], height / size_wh[1]
            quads.append(quad)
            bad = _box_fault(bbox, quad)
            if bad is not None:
                self._say(bad.code, f"{which}: {bad.reason}")
        suspicion = corners_suspicion(quads, "corner and size")
        if suspicion is not None:
            self._say("label.format_suspect", suspicion)
        return boxed


def _row_fault(row: Mapping[str, Any], images: Mapping[Any, Any], categories: set[int | str]) -> str | None:
    for key, known in (("image_id", images), ("category_id", categories)):
        value = row.get(key)
        if not _is_id(value) or value not in known:
            return f"expected the {key} of one that is listed, got {str(value)[:40]!r}"
    bbox = row.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        return "expected a bbox of four numbers, x y width height"
    if not all(math.isfinite(_number(value)) for value in bbox):
        return f"expected four finite numbers, got {str(bbox)[:80]}"
    if min(bbox[2:]) < 0:
        return f"expected a width and a height, got {str(bbox)[:80]}"
    return None


def _box_fault(bbox: Sequence[float], quad: Quad) -> Wrong | None:
    if 0 < max(bbox) <= 1 and max(quad) < 0.5:  # in a picture of 2 px a box of 1 px would be no surprise
        return Wrong("label.format_suspect", f"fractions? Expected pixels of the picture, got {list(bbox)}")
    return box_fault(quad, "corner and size")


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _number(value: Any) -> float:
    """NaN for what is no number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
