"""The manifest: the built set as two Parquet tables, images and boxes.

Images, one row each: `image_id`, `source`, `image`, `split`, `patient` (opaque), `picture` (relative to the manifest),
`width`, `height`, `sha256` (of the radiograph's pixels), `view`, `copies` (ids of identical pictures that it stands
for, as words of a shell), and per finding `presence_<key>` and `rule_<key>`. Boxes: `image_id`, `finding`, `x1`, `y1`,
`x2`, `y2` in pixels of the picture, `reader`, `raw_label`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray
from boxray.core.errors import DataError
from boxray.core.findings import LabelSpace, Presence
from boxray.data.split import Split, require_disjoint, require_no_shared_picture

BOX_COLUMNS = ["image_id", "finding", "x1", "y1", "x2", "y2", "reader", "raw_label"]
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
            raise DataError("there is no built data set in this folder; make one with: boxray data build --out FOLDER")
        try:
            label_space = LabelSpace.from_mapping(json.loads(about.read_text(encoding="utf-8"))["label_space"])
            images = pd.read_parquet(folder / "images.parquet")
            boxes = pd.read_parquet(folder / "boxes.parquet")
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
        require_disjoint(zip(self.images["patient"], self.images["split"], strict=True))
        require_no_shared_picture(zip(self.images["sha256"], self.images["split"], self.images["source"], strict=True))

    def save(self, about: dict[str, Any]) -> None:
        """Write both tables, and last the file that says that they are whole."""
        forget(self.folder)
        self.images.to_parquet(self.folder / "images.parquet", index=False)
        self.boxes.to_parquet(self.folder / "boxes.parquet", index=False)
        content = {"label_space": self.label_space.to_mapping(), "fingerprint": self.fingerprint, **about}
        (self.folder / ABOUT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def part(self, split: Split) -> Manifest:
        """The images of one split and their boxes."""
        return self.only(self.images["split"] == split.value)

    def only(self, mask: pd.Series) -> Manifest:
        """The images that a mask names, and their boxes."""
        images = self.images[mask].reset_index(drop=True)
        boxes = self.boxes[self.boxes["image_id"].isin(images["image_id"])].reset_index(drop=True)
        return Manifest(self.folder, self.label_space, images, boxes)

    def presence(self, finding: str) -> np.ndarray[Any, np.dtype[np.object_]]:
        """Shape ``(N,)``: one `Presence` per image, in the order of `images`."""
        return np.array([Presence(value) for value in self.images[f"presence_{finding}"]], dtype=object)

    def boxes_of(self, finding: str) -> dict[str, FloatArray]:
        """Boxes by image id, each of shape ``(N, 4)``, in pixels of the picture; images without are not in it."""
        rows = self.boxes[self.boxes["finding"] == finding]
        corners = ["x1", "y1", "x2", "y2"]
        return {image: part[corners].to_numpy(dtype=np.float64) for image, part in rows.groupby("image_id")}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the tables say; the same data built elsewhere has the same one."""
        digest = hashlib.sha256()
        for table in (self.images.drop(columns=["picture"]), self.boxes):
            digest.update(table.to_csv(index=False).encode())
        return digest.hexdigest()
