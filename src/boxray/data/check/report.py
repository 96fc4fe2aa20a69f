"""What a check of a data set says: faults with file, line, code and reason, never a patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from boxray.core.errors import CODES

DATA_FAULTS: Final = MappingProxyType(
    {
        "label.invalid_row": "a row is not one known class and four finite numbers in range, on a known picture",
        "label.degenerate": "a box has no area, reaches over the edge of its picture, or has a torn number",
        "label.format_suspect": "the numbers look like pixels, corners or fractions where others are expected",
        "label.missing": "a picture has no label file; a file that is not there says nothing, an empty one says none",
        "label.duplicate_row": "the same box of the same class stands there twice",
        "label.half_written": "the last row has no end of line: somebody may still be writing",
        "label.contradiction": "a class is boxed in a picture that says it is absent",
        "picture.missing": "a label, a list or a table names a picture that is not here",
        "picture.unlisted": "a picture that no list or table names",
        "picture.suffix": "importers know pictures by their suffix and pass this one over",
        "split.patient_overlap": "a patient has pictures in two splits",
        "split.image_overlap": "the same picture is in two splits",
        "data.yaml_invalid": "a data file is no plain YAML, or names its classes in no usable way",
        "data.yaml_code": "a data file has a key that other programs run as code or follow out of the folder",
        "data.json_invalid": "a COCO file is no JSON, or lacks what every COCO file has",
        "data.table_invalid": "the table of patients cannot be read",
        "data.path_outside": "a path leads out of the data set",
        "data.link": "a link stands in the data set",
        "data.unreadable": "a file or folder cannot be read, or is too large, or is no file at all",
        "name.collision": "two names are one for another file system, or for the labels",
        "list.duplicate_line": "a list names the same picture twice",
        "archive.unsafe": "an archive would write outside its folder, fill the disk, or cannot be trusted otherwise",
    }
)
"""Every code of a fault of the data. A picture that does not open has its code of `boxray.core.errors.CODES`."""

REMARKS: Final = frozenset({"label.half_written"})
"""Codes that are told but leave a set clean: many programs write the last row so on purpose."""


class Wrong(NamedTuple):
    """What is wrong with a value, before it is known where the value stands."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where."""

    file: str
    """Relative to the folder that was checked, with ``/``; characters that do not print are escaped."""
    line: int | None
    """Counted from 1; None where the fault is the file's, or the file has no lines of its own (JSON)."""
    code: str
    reason: str
    """What was got and what was expected."""

    def __post_init__(self) -> None:
        if self.code not in DATA_FAULTS and self.code not in CODES:
            raise KeyError(f"{self.code!r} is not a code of a data fault")

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.code}: {self.reason}"


@dataclass(slots=True)
class Part:
    """What the check of one layout found."""

    faults: list[Fault] = field(default_factory=list)
    splits: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The splits of each picture, as lists, data files and COCO files state them."""
    n_label_files: int = 0
    n_boxes: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that a check found. Both lists are sorted by file, line and code."""

    faults: tuple[Fault, ...]
    remarks: tuple[Fault, ...]
    """Those of `REMARKS`: told, but a set with nothing else is clean."""
    n_pictures: int
    n_label_files: int
    """Text files of YOLO rows and JSON files of COCO."""
    n_boxes: int
    """Rows and annotations, the wrong ones too."""

    @classmethod
    def of(cls, found: list[Fault], *, n_pictures: int, n_label_files: int, n_boxes: int) -> CheckReport:
        """Sort what was found into faults and remarks."""
        ordered = sorted(found, key=lambda fault: (fault.file, fault.line or 0, fault.code, fault.reason))
        return cls(
            faults=tuple(fault for fault in ordered if fault.code not in REMARKS),
            remarks=tuple(fault for fault in ordered if fault.code in REMARKS),
            n_pictures=n_pictures,
            n_label_files=n_label_files,
            n_boxes=n_boxes,
        )

    @property
    def clean(self) -> bool:
        """No fault; remarks may be there."""
        return not self.faults

    @property
    def counts(self) -> dict[str, int]:
        """Faults and remarks per code, by the code's name."""
        return dict(sorted(Counter(fault.code for fault in (*self.faults, *self.remarks)).items()))

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "clean": self.clean,
            "pictures": self.n_pictures,
            "label_files": self.n_label_files,
            "boxes": self.n_boxes,
            "counts": self.counts,
            "faults": [asdict(fault) for fault in self.faults],
            "remarks": [asdict(fault) for fault in self.remarks],
        }
