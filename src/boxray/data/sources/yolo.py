"""Any data set of YOLO text files: `images/`, `labels/` with the same stems, optionally `data.yaml` with names.

A row is ``class cx cy w h`` in fractions of the picture. An empty label file is a picture without boxes; a missing
one is an error of the data set and is reported, because absence of a file is no statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from boxray.core.boxes import yolo_to_xyxy
from boxray.core.errors import DataError
from boxray.data.card import load_label_space
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import pictures_by_stem, read_table, require

MISSING_LABELS = "label file missing"
"""The raw label of a picture without a label file; a card may say what it means."""


def read_names(root: Path) -> tuple[str, ...]:
    """Class names of `data.yaml`, or those of the label space chest8 where there is none.

    Raises:
        DataError: If the file holds a `download:` key, which ultralytics would execute.
    """
    path = root / "data.yaml"
    if not path.is_file():
        return load_label_space("chest8").keys
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "download" in content:
        raise DataError("data.yaml has a 'download:' key, which is code that others would run; remove it")
    names = content["names"]
    return tuple(names[index] for index in sorted(names)) if isinstance(names, dict) else tuple(names)


def read_rows(path: Path, names: tuple[str, ...]) -> tuple[RawBox, ...]:
    """The boxes of one label file, in fractions of the picture.

    Raises:
        DataError: With file, line and what is wrong: not five finite numbers, an unknown class.
    """
    boxes = []
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            index, *numbers = text.split()
            row = np.array([numbers], dtype=np.float64)
            if row.shape != (1, 4) or not np.isfinite(row).all():
                raise ValueError("expected class cx cy w h")  # noqa: TRY301 - one message for all faults of a row
            label = names[int(index)] if int(index) >= 0 else names[len(names)]
        except (ValueError, IndexError) as error:
            raise DataError(f"{path.name}:{line}: expected 'class cx cy w h', got {text!r}") from error
        x1, y1, x2, y2 = yolo_to_xyxy(row, (1, 1))[0].tolist()
        boxes.append(RawBox(label, (x1, y1, x2, y2)))
    return tuple(boxes)


def read_patients(root: Path) -> dict[str, str]:
    """Patient by image stem from `metadata.csv` (columns `filename` and `patientid`), where it exists."""
    path = root / "metadata.csv"
    if not path.is_file():
        return {}
    # index_col=False: a table whose rows end with an extra comma must not shift its columns.
    table = read_table(path, index_col=False)
    return {Path(name).stem: patient for name, patient in zip(table["filename"], table["patientid"], strict=True)}


def records(root: Path) -> Iterator[Record]:
    """One record per picture."""
    names = read_names(root)
    patients = read_patients(root)
    labels = require(root, "labels")
    for stem, picture in pictures_by_stem(require(root, "images")).items():
        path = labels / f"{stem}.txt"
        yield Record(
            image=stem,
            patient=patients.get(stem, stem),
            file=picture,
            frame_wh=None,
            boxes=read_rows(path, names) if path.is_file() else (),
            labels=() if path.is_file() else (MISSING_LABELS,),
        )
