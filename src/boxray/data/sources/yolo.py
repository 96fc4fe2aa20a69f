"""Any data set of YOLO text files: `images/`, `labels/` with the same stems, optionally `data.yaml` with names.

Both folders may have folders of their own, such as `train/`; the published splits are not taken over. A row is
``class cx cy w h`` in fractions of the picture. An empty label file is a picture without boxes; a missing one is an
error of the data set and is reported, because absence of a file is no statement. `metadata.csv` may say more of each
picture: see `metadata.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from boxray.core.boxes import yolo_to_xyxy
from boxray.core.errors import DataError
from boxray.data.card import load_label_space
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, files_by_stem, read_text
from boxray.data.sources.metadata import read_metadata
from boxray.data.yaml_file import read_yaml

MISSING_LABELS = "label file missing"
"""The raw label of a picture without a label file; a card may say what it means."""

NO_LABELS = frozenset({"classes"})
"""Stems of text files that tools write beside the labels: the class names of labelImg."""


def read_names(root: Path) -> tuple[str, ...]:
    """Class names of `data.yaml`, or those of the label space chest8 where there is none.

    Raises:
        DataError: If the file has no names, or a `download:` key, which ultralytics would execute.
    """
    path = root / "data.yaml"
    if not path.is_file():
        return load_label_space("chest8").keys
    content = read_yaml(path)
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(content, dict) and "download" in content:
        raise DataError("data.yaml has a 'download:' key, which is code that others would run; remove it")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or set(names) != set(range(len(names))):
        raise DataError(f"data.yaml: expected 'names' as a list, or numbered from 0, got {names!r}")
    return tuple(str(names[index]) for index in range(len(names)))


def read_rows(path: Path, names: tuple[str, ...]) -> tuple[RawBox, ...]:
    """The boxes of one label file, in fractions of the picture.

    Raises:
        DataError: With file, line and what is wrong: not five finite numbers, an unknown class, a centre or side
            that is no fraction (pixels, or corners, were written). A box may reach over the edge of the picture.
    """
    boxes = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            index, *numbers = text.split()
            row = np.array([numbers], dtype=np.float64)
            if row.shape != (1, 4) or not ((row >= 0) & (row <= 1)).all():  # NaN fails too
                raise ValueError("expected four fractions")  # noqa: TRY301 - one message for all faults of a row
            label = names[int(index)] if int(index) >= 0 else names[len(names)]
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{path.name}:{line}: expected 'class cx cy w h' with a class below {len(names)} and fractions of the "
                f"picture, got {text[:80]!r}"
            ) from error
        x1, y1, x2, y2 = yolo_to_xyxy(row, (1, 1))[0].tolist()
        boxes.append(RawBox(label, (x1, y1, x2, y2)))
    return tuple(boxes)


def records(download: Download) -> Iterator[Record]:
    """One record per picture or label file."""
    names = read_names(download.root)
    metadata = read_metadata(download.root)
    pictures = download.pictures_in("images")
    labels = files_by_stem(download.table("labels"), frozenset({".txt"}), "label files")
    for stem in sorted(pictures.keys() | labels.keys() - NO_LABELS):
        path = labels.get(stem)
        about = metadata.of(stem)
        yield Record(
            image=stem,
            patient=about.patient or stem,
            file=pictures.get(stem),
            frame_wh=None,
            boxes=() if path is None else read_rows(path, names),
            labels=(MISSING_LABELS, *(about.labels or ())) if path is None else about.labels,
            view=about.view,
            sex=about.sex,
            age_years=about.age_years,
        )
