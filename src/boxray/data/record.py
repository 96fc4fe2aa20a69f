"""One image of a source as its own tables describe it: raw labels, raw frame, nothing mapped yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RawBox:
    """A reader's box as published.

    Raises:
        TypeError: If the label is no text: JSON may hold anything in its place.
    """

    label: str
    """The source's own word."""
    xyxy: Corners
    """In the record's frame; not yet clipped, not yet checked."""
    reader: str = "published"

    def __post_init__(self) -> None:
        if not isinstance(self.label, str):
            raise TypeError(f"a raw label is text, got {self.label!r}")


@dataclass(frozen=True, slots=True)
class Record:
    """One image that the tables name, whether or not its file is on disk."""

    image: str
    """The source's id of the image: the stem of its file."""
    patient: str
    """The source's id of the patient; where none is published, the image's own."""
    file: Path | None
    """The picture on disk, or None where this download does not hold it."""
    frame_wh: tuple[int, int] | None
    """The grid of the boxes; None means fractions of the picture (0 to 1)."""
    boxes: tuple[RawBox, ...] = ()
    labels: tuple[str, ...] | None = ()
    """Raw image-level labels; empty where the source looked and gives none, None where it says nothing by labels."""
    view: str | None = None
    """``PA``, ``AP`` or ``L`` (lateral) where the tables say so; lateral films are left out, and booked."""
    readers: tuple[str, ...] = ("published",)
    """Who read the image, those who found nothing included."""
    split: str | None = None
    """The part of the published split it belongs to, in the source's own word; None where none is published."""
    sex: str | None = None
    """``F`` or ``M``, where published."""
    age_years: int | None = None
