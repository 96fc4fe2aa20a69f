"""What a reader says of the boxes of a reading: kept beside the model's boxes, never in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from boxray.core.boxes import Box
from boxray.core.findings import LabelSpace
from boxray.core.reading import Detection, Reading

MOST_EDITS: Final = 1000
"""Of one radiograph: no reader draws more, a program might."""

_LONGEST_NAME: Final = 80


class Action(StrEnum):
    """What was done. `ACCEPTED`, `REJECTED` and `CHANGED` are about a box of the model, `DRAWN` about none."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CHANGED = "changed"
    DRAWN = "drawn"


@dataclass(frozen=True, slots=True)
class Edit:
    """One reader's word on one box, in the radiograph's frame.

    Raises:
        ValueError: If the action is about a box of the model and there is none, or the other way round; if the time
            has no zone; if the reader has no name.
    """

    action: Action
    finding: str
    """The reader's; another than the model's where the box was relabelled."""
    box: Box
    """The reader's. Of an accepted or rejected box: the model's."""
    reader: str
    at: datetime
    of: Detection | None = None
    """The model's box that it is about, as the model gave it."""

    def __post_init__(self) -> None:
        if (self.of is None) != (self.action is Action.DRAWN):
            raise ValueError(f"an edit that is {self.action} is about {self.of}; only a drawn one is about no box")
        if self.at.tzinfo is None:
            raise ValueError("the time of an edit needs its zone")
        if not self.reader.strip() or len(self.reader) > _LONGEST_NAME or not self.reader.isprintable():
            raise ValueError(f"a reader's name has 1 to {_LONGEST_NAME} printable characters")

    def to_json(self) -> dict[str, Any]:
        """The published form; `reading.schema.json` describes it under `annotation`."""
        return {
            "action": self.action.value,
            "finding": self.finding,
            "box_xyxy": _corners(self.box),
            "reader": self.reader,
            "at": self.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "of": None
            if self.of is None
            else {
                "finding": self.of.finding,
                "score": round(float(self.of.score), 4),
                "box_xyxy": _corners(self.of.box),
            },
        }


def edits_from_json(raw: Any, reading: Reading, label_space: LabelSpace) -> tuple[Edit, ...]:
    """What the viewer sends: a list of objects with `action`, `finding`, `box_xyxy`, `reader`, `at` and `of`.

    Args:
        raw: Parsed JSON from outside. `of` is the place of the model's box in the reading's detections, from 0, or
            null. The box is cut at the radiograph's edges.
        reading: A result, whose boxes the edits are about.
        label_space: Findings that a reader may give.

    Returns:
        In the order given. An empty list is no edit.

    Raises:
        ValueError: What was got and what was expected.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) > MOST_EDITS:
        raise ValueError(f"annotations must be a list of at most {MOST_EDITS} objects")
    return tuple(_edit(item, reading, label_space) for item in raw)


def _edit(item: Any, reading: Reading, label_space: LabelSpace) -> Edit:
    if not isinstance(item, Mapping) or set(item) != {"action", "finding", "box_xyxy", "reader", "at", "of"}:
        raise ValueError("an annotation has the members action, finding, box_xyxy, reader, at, of and no other")
    finding, of, reader, at = item["finding"], item["of"], item["reader"], item["at"]
    if not isinstance(finding, str) or finding not in label_space:
        raise ValueError(f"a finding is one of {', '.join(label_space.keys)}")
    if not isinstance(reader, str) or not isinstance(at, str):
        raise ValueError("reader and at are texts")  # noqa: TRY004 - wrong content of a request
    if of is not None and (isinstance(of, bool) or not isinstance(of, int) or not 0 <= of < len(reading.detections)):
        raise ValueError(f"of is the place of a box, from 0 to {len(reading.detections) - 1}, or null")
    return Edit(
        Action(item["action"]),
        finding,
        _box(item["box_xyxy"], reading.size_wh),
        reader.strip(),
        _time(at),
        None if of is None else reading.detections[of],
    )


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    try:
        return at.astimezone(UTC) if at.tzinfo else at
    except OverflowError as error:
        raise ValueError("the time of an edit lies beyond all years") from error


def _box(raw: Any, size_wh: tuple[int, int] | None) -> Box:
    numbers = isinstance(raw, Sequence) and not isinstance(raw, str) and len(raw) == 4
    if not numbers or any(isinstance(edge, bool) or not isinstance(edge, int | float) for edge in raw):
        raise ValueError("box_xyxy has four numbers")
    if size_wh is None:
        raise ValueError("only a result has boxes to be annotated")
    width, height = size_wh
    # Cut before it becomes a float: JSON knows whole numbers that none can hold.
    x1, y1, x2, y2 = (float(min(max(edge, 0), most)) for edge, most in zip(raw, (*size_wh,) * 2, strict=True))
    if not (x1 < x2 <= width and y1 < y2 <= height):
        raise ValueError("a box has an area on the radiograph")
    return Box(x1, y1, x2, y2)


def _corners(box: Box) -> list[float]:
    return [round(float(value), 1) for value in box.xyxy]
