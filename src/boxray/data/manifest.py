"""The manifest: the built set as two Parquet tables, images and boxes.

Images, one row each: `image_id`, `source`, `image`, `split`, `patient` (opaque), `picture` (relative to the manifest),
`width`, `height`, `sha256` (of the radiograph's pixels), `view`, `sex`, `age_years`, `aside` (the quality fault for
which it is in no part, or nothing), `copies` (ids of the copies that it stands for, as words of a shell), `readers`
(all who read it or one of its copies, with blanks between), and per finding `presence_<key>`, `rule_<key>` and
`ruled_by_<key>`: the source whose reading or card decided. It is not `source` where a copy from elsewhere knew more.

Boxes, the consensus of the readers, one row each: `image_id`, `finding`, `x1`, `y1`, `x2`, `y2` in pixels of the
picture, `votes` (readers who drew it), `n_readers` (readers of the image), `readers`, `raw_label`. Every reader's own
box stands in a third table, `reader_boxes`, in the same frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray, IntArray
from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence
from boxray.core.plain import json_text
from boxray.core.radiograph import Radiograph
from boxray.data.split import Split, require_disjoint, require_no_shared_picture
from boxray.imaging.limits import MIN_SIDE_IN_DATA_PX
from boxray.imaging.read import decode

IMAGE_COLUMNS = [
    "image_id",
    "source",
    "image",
    "split",
    "patient",
    "picture",
    "width",
    "height",
    "sha256",
    "view",
    "sex",
    "age_years",
    "aside",
    "copies",
    "readers",
]
"""Before those of the findings."""
RULED_BY = "ruled_by_"
"""Begins the columns that name, for each finding, the source that decided."""
CORNERS = ["x1", "y1", "x2", "y2"]
BOX_COLUMNS = ["image_id", "finding", *CORNERS, "votes", "n_readers", "readers", "raw_label"]
READER_BOX_COLUMNS = ["image_id", "finding", *CORNERS, "reader", "raw_label"]
TABLES = ("images", "boxes", "reader_boxes")
ABOUT = "manifest.json"
"""Written last: a folder without it holds no built set, whatever else lies in it."""


def forget(folder: Path) -> None:
    """Say that the folder holds no whole set, before anything in it is changed."""
    (folder / ABOUT).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A built set on disk, or the part of it that a job asks for."""

    folder: Path
    label_space: LabelSpace
    images: pd.DataFrame
    boxes: pd.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read a built set and check that no patient and no picture is in two splits.

        Raises:
            DataError: If there is none, or a patient or a picture is in two splits.
        """
        about = folder / ABOUT
        if not about.is_file():
            raise DataError(f"there is no built data set in {folder}: {_why_not(folder)}")
        try:
            content = json.loads(about.read_text(encoding="utf-8"))
            label_space = LabelSpace.from_mapping(content["label_space"])
            images, boxes = (_read_table(folder / f"{name}.parquet", content["files"][name]) for name in TABLES[:2])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the built data set is damaged ({type(error).__name__}); build it again") from error
        manifest = cls(folder, label_space, images, boxes)
        manifest.require_splits_apart()
        return manifest

    def require_splits_apart(self) -> None:
        """No patient and no picture is in two splits.

        Raises:
            DataError: If one is.
        """
        require_disjoint(self.images)
        require_no_shared_picture(self.images)

    def save(self, about: dict[str, Any], reader_boxes: pd.DataFrame | None = None) -> None:
        """Write the tables, and last the file that says that they are whole.

        Args:
            about: What else is to be known of the set.
            reader_boxes: Every reader's own boxes; None where the consensus is all there is.
        """
        forget(self.folder)
        files = {}
        own = pd.DataFrame(columns=READER_BOX_COLUMNS) if reader_boxes is None else reader_boxes
        for name, table in zip(TABLES, (self.images, self.boxes, own), strict=True):
            path = self.folder / f"{name}.parquet"
            table.to_parquet(path, index=False)
            files[name] = _file_hash(path)
        content = {
            "label_space": self.label_space.to_mapping(),
            "fingerprint": self.fingerprint,
            "files": files,
            **about,
        }
        (self.folder / ABOUT).write_text(json_text(content), encoding="utf-8")

    def audit(self) -> dict[str, Any]:
        """What the build counted in the whole set, all splits; empty where a set was saved without it."""
        content = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
        audit: dict[str, Any] = content.get("audit", {})
        return audit

    def reader_boxes(self) -> pd.DataFrame:
        """Every reader's own boxes, with the columns of `READER_BOX_COLUMNS`, those of all splits."""
        return pd.read_parquet(self.folder / "reader_boxes.parquet")

    def radiograph(self, picture: str) -> Radiograph:
        """The radiograph of a picture of this set. It may be smaller than what a reader accepts from outside.

        Raises:
            InputError: If the picture is damaged; the build has written a whole one.
        """
        data = (self.folder / picture).read_bytes()
        return decode(data, check_polarity=False, min_side_px=MIN_SIDE_IN_DATA_PX)

    def part(self, split: Split) -> Manifest:
        """The images of one split and their boxes."""
        return self.only(self.images["split"] == split.value)

    def validation(self, purpose: str) -> Manifest:
        """The validation part, on which everything that is not learned is chosen.

        Args:
            purpose: For the error: what it is wanted for, such as ``to calibrate on``.

        Raises:
            DataError: If it is empty.
        """
        part = self.part(Split.VAL)
        if not len(part.images):
            raise DataError(f"the data set has no validation part {purpose}")
        return part

    def only(self, mask: pd.Series) -> Manifest:
        """The images that a mask names, and their boxes."""
        images = self.images[mask].reset_index(drop=True)
        boxes = self.boxes[self.boxes["image_id"].isin(images["image_id"])].reset_index(drop=True)
        return Manifest(self.folder, self.label_space, images, boxes)

    def spread(self, images: int, seed: int = 0) -> Manifest:
        """Some images, as many of each source as of the others while they last; the same for the same seed.

        Args:
            images: How many; all where there are fewer.
            seed: Of the choice within a source.
        """
        shuffled = self.images.sample(frac=1, random_state=seed)
        turn = shuffled.groupby("source").cumcount().sort_values(kind="stable")
        return self.only(self.images.index.isin(turn.index[:images]))

    def presence(self, finding: str) -> np.ndarray[Any, np.dtype[np.object_]]:
        """Shape ``(N,)``: one `Presence` per image, in the order of `images`."""
        return np.array([Presence(value) for value in self.images[f"presence_{finding}"]], dtype=object)

    def ruled_by(self, finding: str) -> pd.Series:
        """Shape ``(N,)``: the source whose reading or card decided on a finding: there stands an assumption's reason.

        A set that was built before this was kept gives the source of each picture.
        """
        name = f"{RULED_BY}{finding}"
        return self.images[name if name in self.images.columns else "source"].astype(str)

    def boxes_of(self, finding: str) -> dict[str, FloatArray]:
        """Boxes by image id, each of shape ``(N, 4)``, in pixels of the picture; images without are not in it."""
        rows = self.boxes[self.boxes["finding"] == finding]
        return {image: part[CORNERS].to_numpy(dtype=np.float64) for image, part in rows.groupby("image_id")}

    def boxes_by_image(self) -> Iterator[tuple[FloatArray, IntArray]]:
        """Of every image in order: its boxes ``(n, 4)`` in pixels of the picture, their places in the label space."""
        rows_of = dict(iter(self.boxes.groupby("image_id")))
        none = self.boxes.iloc[:0]
        for image_id in self.images["image_id"]:
            rows = rows_of.get(image_id, none)
            places = np.array([self.label_space.index(finding) for finding in rows["finding"]], dtype=int)
            yield rows[CORNERS].to_numpy(dtype=np.float64), places

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the tables say; the same data built elsewhere has the same one.

        Where pictures lie and whose card decided is no part of it: neither changes what can be learned.
        """
        digest = hashlib.sha256()
        beside = [name for name in self.images.columns if name == "picture" or name.startswith(RULED_BY)]
        for table in (self.images.drop(columns=beside), self.boxes):
            for name, column in table.items():
                digest.update(f"{name} {len(column)}\n".encode())
                digest.update(_content(column))
        return digest.hexdigest()


def _why_not(folder: Path) -> str:
    """Why a folder without a manifest holds no set, and what to do."""
    if folder.is_dir():
        return f"the folder has no {ABOUT}, which a build writes last; make one with: boxray data build --out FOLDER"
    if folder.exists():
        return "it is a file; name the folder that boxray data build --out has made"
    return f"there is no such folder; make it with: boxray data build --out {folder}"


def _content(column: pd.Series) -> bytes:
    """What a column says, the same on every machine and under every version of the libraries."""
    if pd.api.types.is_float_dtype(column.dtype):
        return np.asarray(column, dtype="<f8").tobytes()
    values = column.astype(object).where(column.notna(), None).tolist()
    return json.dumps(values, ensure_ascii=False).encode()


def _read_table(path: Path, sha256: str) -> pd.DataFrame:
    if _file_hash(path) != sha256:
        raise ValueError(f"{path.name} is not the one that was written")
    return pd.read_parquet(path)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
