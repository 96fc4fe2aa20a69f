"""What can be taken away of a reading, for the app and REST alike: pictures, JSON, a table, objects for an archive.

Each carries the models' identity and the disclaimer. Files are English in every language: they travel further than the
page, and programs read them.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset

from boxray.core.errors import Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, Reading
from boxray.imaging.draw import Film, encode_png
from boxray.localization.overlay import map_panel, overlay_on_film, with_footer
from boxray.localization.page import Row, rows_of
from boxray.serve.dicom import presentation_state, structured_report

PNG: Final = "image/png"
JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8"
DICOM: Final = "application/dicom"


@dataclass(frozen=True, slots=True)
class Download:
    """A file for somebody to keep; its name is ours and tells nothing of the patient."""

    name: str
    media_type: str
    data: bytes


def overlay_file(
    film: Film, reading: Reading, label_space: LabelSpace, finding: str | None = None, *, full: float | None = None
) -> Download:
    """Film, boxes and one finding's map side by side.

    Args:
        film: Of what was read.
        reading: A result.
        label_space: Names and colours of the findings.
        finding: Whose map; None: the leading one's.
        full: Raw value of the map's full colour; None: the reading's strongest.
    """
    drawn = overlay_on_film(film, reading, label_space, finding, reference=full)
    return Download("boxray-overlay.png", PNG, encode_png(drawn))


def map_file(
    film: Film, reading: Reading, label_space: LabelSpace, finding: str, *, full: float | None = None
) -> Download:
    """The film under one finding's map; the arguments are those of `overlay_file`.

    Raises:
        ValueError: If the reading has no map of the finding.
    """
    panel = map_panel(film, reading, label_space, finding, reference=full)
    return Download(f"boxray-map-{finding}.png", PNG, encode_png(with_footer([panel], reading, label_space)))


def reading_file(reading: Reading, annotations: Sequence[Mapping[str, Any]] | None = None) -> Download:
    """The reading in its JSON form, result or not.

    Args:
        reading: As it is.
        annotations: What a reader said of its boxes, as `boxray.core.edits` writes it; None: nobody was asked.
    """
    said = reading.to_json() | ({} if annotations is None else {"annotations": list(annotations)})
    return Download("boxray-reading.json", JSON, (json.dumps(said, indent=1) + "\n").encode())


def report_file(header: Dataset, reading: Reading, label_space: LabelSpace) -> Download:
    """`structured_report` as a file, with what that raises."""
    return Download("boxray-sr.dcm", DICOM, structured_report(header, reading, label_space))


def presentation_file(header: Dataset, reading: Reading, label_space: LabelSpace) -> Download:
    """`presentation_state` as a file, with what that raises."""
    return Download("boxray-gsps.dcm", DICOM, presentation_state(header, reading, label_space))


COLUMNS: Final = (
    *("file", "status", "code", "reason", "finding", "detector_says", "boxes", "best_box_score", "box_threshold"),
    *("classifier_score", "classifier_threshold", "agreement", "iou", "pointing_hit", "energy_inside"),
    *("detector", "detector_sha256", "classifier", "classifier_sha256", "disclaimer"),
)
"""Of the table. An empty cell: nobody says anything."""


def table_file(readings: Iterable[Reading], label_space: LabelSpace) -> Download:
    """All readings of a batch as a table: a row per radiograph and finding, one where there is no result.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, COLUMNS, restval="")
    table.writeheader()
    for reading in readings:
        for row in _rows(reading, label_space):
            table.writerow({name: guarded(value) for name, value in row.items()})
    return Download(
        "boxray-readings.csv", CSV, file.getvalue().encode("utf-8-sig")
    )  # the mark tells Excel the encoding


def guarded(value: Any) -> Any:
    """A text that begins like a formula gets an apostrophe before it; all else stays as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return value


def _rows(reading: Reading, label_space: LabelSpace) -> Iterator[dict[str, Any]]:
    whole: dict[str, Any] = {"file": reading.file, "status": reading.status.value, "disclaimer": DISCLAIMER}
    for role, model in reading.models.items():
        whole |= {role: f"{model.name} {model.version}", f"{role}_sha256": model.sha256}
    if reading.status is not Outcome.RESULT:
        yield whole | {"code": reading.code, "reason": reading.reason}
        return
    for row in rows_of(reading, label_space):
        yield whole | _cells(row)


def _cells(row: Row) -> dict[str, Any]:
    agreement = row.agreement
    cells = {
        "finding": row.finding.key,
        "detector_says": row.state,
        "boxes": "" if row.state == "not assessed" else row.n_boxes,
        "best_box_score": _number(row.best),
        "box_threshold": _number(row.threshold),
        "classifier_score": _number(row.score),
        "classifier_threshold": _number(row.score_threshold),
    }
    if agreement is None:
        return cells
    hit = agreement.pointing_hit
    return cells | {
        "agreement": agreement.case.value,
        "iou": _number(agreement.iou),
        "pointing_hit": "" if hit is None else str(bool(hit)).lower(),
        "energy_inside": _number(agreement.energy_inside),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
