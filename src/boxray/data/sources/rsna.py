"""RSNA Pneumonia Detection Challenge 2018: lung opacities suspicious for pneumonia, on NIH images written as DICOM.

Boxes are ``x, y, width, height`` in the 1024 x 1024 DICOM; a row without them is an image without a box. The raw label
of a box is ``Lung Opacity``. `stage_2_detailed_class_info.csv` repeats an image once per box, so its rows are
counted once. `patientId` names an image and no patient: who it is, only the NIH name tells. The challenge's own
`pneumonia-challenge-dataset-mappings_2018.json` gives it where it is there, a list of
``{"subset_img_id": "<patientId>", "img_id": "00000001_000.png", …}``; the picture is then also found under that name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_json, read_table
from boxray.data.sources.values import corners_of_xywh

FRAME_WH: Final = (1024, 1024)
BOX_LABEL: Final = "Lung Opacity"
NAMES: Final = "pneumonia-challenge-dataset-mappings_2018.json"
TARGETS: Final = {"0": "Target 0", "1": "Target 1"}
"""Raw image-level labels; `Target` says whether an image has boxes."""


def read_boxes(table: Path) -> dict[str, tuple[RawBox, ...]]:
    """Boxes by image; none where `Target` is 0.

    Raises:
        DataError: If `Target` and the box of a row contradict each other, or a box is no four numbers.
    """
    boxes: dict[str, list[RawBox]] = defaultdict(list)
    rows = read_table(table, ["patientId", "x", "y", "width", "height", "Target"])
    for image, *xywh, target in rows.itertuples(index=False):
        if target == "0" and not any(xywh):
            boxes[image] += []
            continue
        try:
            if target != "1":
                raise ValueError(f"Target {target!r}")  # noqa: TRY301 - one message for all faults of a row
            boxes[image].append(RawBox(BOX_LABEL, corners_of_xywh(xywh)))
        except ValueError as error:
            raise DataError(
                f"{table.name}: image {image!r}: expected a box and Target 1, or neither and Target 0: {error}"
            ) from error
    return {image: tuple(found) for image, found in boxes.items()}


def read_classes(table: Path) -> dict[str, str]:
    """Class by image.

    Raises:
        DataError: If an image is of two.
    """
    rows = read_table(table, ["patientId", "class"]).drop_duplicates()
    twice = rows["patientId"][rows["patientId"].duplicated()]
    if len(twice):
        raise DataError(f"{table.name}: image {twice.iloc[0]!r} is of two classes")
    return dict(zip(rows["patientId"], rows["class"], strict=True))


def read_nih_names(table: Path) -> dict[str, str]:
    """NIH stem by `patientId`.

    Raises:
        DataError: If the file is no such list, or gives an image two names.
    """
    rows: Any = read_json(table)
    try:
        pairs = {(str(row["subset_img_id"]), Path(str(row["img_id"])).stem) for row in rows}
    except (KeyError, TypeError) as error:
        raise DataError(f"{table.name}: expected a list with subset_img_id and img_id: {error!r}") from error
    names = dict(sorted(pairs))
    if len(names) != len(pairs):
        raise DataError(f"{table.name}: an image has two names of NIH")
    return names


def records(download: Download) -> Iterator[Record]:
    """One record per image; its labels are its target and, where that table is there, its class.

    Raises:
        DataError: If a table is not what it should be.
    """
    boxes = read_boxes(download.table("stage_2_train_labels.csv"))
    class_table = download.table_if_there("stage_2_detailed_class_info.csv")
    classes = read_classes(class_table) if class_table else {}
    name_table = download.table_if_there(NAMES)
    nih_names = read_nih_names(name_table) if name_table else {}
    pictures = download.pictures_in("stage_2_train_images", "images")
    for image in sorted(boxes):
        target = TARGETS["1" if boxes[image] else "0"]
        yield Record(
            image=image,
            patient=nih_names[image][:8] if image in nih_names else image,
            file=pictures.get(image, pictures.get(nih_names.get(image, ""))),
            frame_wh=FRAME_WH,
            boxes=boxes[image],
            labels=(target, classes[image]) if image in classes else (target,),
        )
