"""PadChest-GR: reports in sentences, each grounded by boxes.

`grounded_reports_20240819.json` has one study per entry and in each sentence `boxes` of the first reader and
`extra_boxes` of the second, as corners in fractions of the picture. Every label of a sentence is boxed by every box of
it. Who read a study and boxed nothing is not published: the second reader counts where a study has `extra_boxes`.
A sentence that is not abnormal states no finding; should it have a box, that gets the raw label ``(not abnormal)``, and
one without labels ``(no label)``. `master_table.csv` gives patient, part, sex and age, several rows per study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.data.record import RawBox, Record
from boxray.data.sources.files import Download, read_json, read_table
from boxray.data.sources.values import age_of, corners_of, sex_of

NORMAL: Final = "(nothing abnormal)"
"""The raw label of a study without an abnormal sentence."""
NOT_ABNORMAL: Final = "(not abnormal)"
NO_LABEL: Final = "(no label)"

_READERS: Final = {"boxes": "first", "extra_boxes": "second"}


def read_study(study: Mapping[str, Any]) -> tuple[tuple[RawBox, ...], tuple[str, ...]]:
    """Boxes of both readers in fractions, and the labels of the abnormal sentences.

    Raises:
        KeyError: If the study has no findings.
        TypeError: If something in it is not of the published kind.
        ValueError: If a box is no four finite numbers.
    """
    boxes: list[RawBox] = []
    abnormal = False
    labels: set[str] = set()
    for sentence in study["findings"]:
        named = sorted({str(label).strip() for label in sentence.get("labels") or ()}) or [NO_LABEL]
        if sentence.get("abnormal"):
            abnormal = True
            labels.update(named)
        else:
            named = [NOT_ABNORMAL]
        for key, reader in _READERS.items():
            corners = [corners_of(box) for box in sentence.get(key) or ()]
            boxes += [RawBox(label, box, reader) for label in named for box in corners]
    return tuple(boxes), tuple(sorted(labels)) if abnormal else (NORMAL,)


def records(download: Download) -> Iterator[Record]:
    """One record per study.

    Raises:
        DataError: If a table is not what it should be, or a study has no row in `master_table.csv`.
    """
    table = download.table("grounded_reports_20240819.json")
    columns = ["ImageID", "PatientID"], ["split", "PatientSex_DICOM", "PatientAge"]
    rows = read_table(download.table("master_table.csv"), *columns).drop_duplicates("ImageID")
    about = {row.ImageID: row for row in rows.itertuples(index=False)}
    pictures = download.pictures_in("images", "Padchest_GR_files")
    try:
        found = [(str(study["ImageID"]), read_study(study)) for study in read_json(table)]
        studies = dict(found)
        if len(studies) != len(found):
            raise ValueError("two studies have the same image")  # noqa: TRY301 - one message for all faults
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{table.name}: not the grounded reports of PadChest-GR: {error!r}") from error
    for image, (boxes, labels) in sorted(studies.items(), key=lambda item: item[0]):
        if image not in about:
            raise DataError(f"padchest_gr: image {image!r} has no row in master_table.csv, so its patient is not known")
        row = about[image]
        yield Record(
            image=Path(image).stem,
            patient=row.PatientID,
            file=pictures.get(Path(image).stem),
            frame_wh=None,
            boxes=boxes,
            labels=labels,
            readers=tuple(reader for reader in _READERS.values() if reader == "first" or _drew(boxes, reader)),
            split=row.split or None,
            sex=sex_of(row.PatientSex_DICOM),
            age_years=age_of(row.PatientAge),
        )


def _drew(boxes: tuple[RawBox, ...], reader: str) -> bool:
    return any(box.reader == reader for box in boxes)
