"""`metadata.csv` beside a COCO or YOLO source: of whom each picture is, and what was found in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boxray.core.errors import DataError
from boxray.data.sources.files import read_text, rows_by_line
from boxray.data.sources.values import age_of, sex_of, view_of


@dataclass(frozen=True, slots=True)
class About:
    """What the table says of one picture."""

    patient: str | None = None
    labels: tuple[str, ...] | None = ()
    """The value of `finding`; None where the table has that column and leaves it blank, or has no row."""
    view: str | None = None
    sex: str | None = None
    age_years: int | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """The table, or what stands for it where there is none."""

    rows: Mapping[str, About]
    """By the picture's stem."""
    unlisted: About
    """What is known of a picture without a row."""

    def of(self, stem: str) -> About:
        """What is known of a picture."""
        return self.rows.get(stem, self.unlisted)


def read_metadata(root: Path) -> Metadata:
    """Columns `filename` and `patientid`, and where they exist `finding`, `view`, `sex` and `age`.

    Rows may be longer than the header: in the published table each ends with an extra comma.

    Raises:
        DataError: If the table is there and lacks one of the first two, or says two things of one picture.
    """
    path = root / "metadata.csv"
    if not path.is_file():
        return Metadata({}, About())
    table = csv.DictReader(io.StringIO(read_text(path), newline=""))
    names = set(table.fieldnames or ())
    missing = {"filename", "patientid"} - names
    if missing:
        raise DataError(f"{path.name}: expected the columns {', '.join(sorted(missing))}, got {table.fieldnames}")
    unlisted = About(labels=None if "finding" in names else ())
    rows: dict[str, About] = {}
    for line, row in rows_by_line(table, path.name):
        if not row["filename"]:
            continue
        stem, about = Path(row["filename"]).stem, _about(row, unlisted)
        if rows.setdefault(stem, about) != about:
            raise DataError(f"{path.name}:{line}: {stem!r} stands there twice, and the two rows say different things")
    return Metadata(rows, unlisted)


def _about(row: Mapping[str, str | None], unlisted: About) -> About:
    def text(column: str) -> str:
        return (row.get(column) or "").strip()

    return About(
        patient=text("patientid") or None,
        labels=(text("finding"),) if text("finding") else unlisted.labels,
        view=view_of(text("view")),
        sex=sex_of(text("sex")),
        age_years=age_of(text("age")),
    )
