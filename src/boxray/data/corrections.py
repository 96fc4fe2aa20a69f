"""Corrections: what a reviewer changed in a built set, one finding of one image at a time.

A correction is a reader's annotation like any other: it says who, when, on which picture, what stood there before and
what he holds instead. Boxes are in pixels of the picture in the built set, the frame of `Manifest.boxes`: the picture
is named by the hash of its pixels, so a box can never land on another one. No patient is named.

What is kept is twofold. A `Correction` is the edit, for people and for the audit. An `Opinion` is what the reviewer
holds of the finding after all his edits, all its boxes or a presence: the build needs no replay of edits. The log of
batches is in `data/correction_log.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.record import Corners

SOURCE: Final = "review"
"""The source that reviewers' boxes come from: the reader `alice` stands in the tables as `review/alice`."""

SAME_PX: Final = 0.5
"""Corners that lie nearer are the same: FiftyOne keeps fractions of a side, other tools round to some digits."""

LONGEST_REASON: Final = 2000
"""Letters: a reason is a sentence or some."""


class Kind(StrEnum):
    """What a reviewer did."""

    ADDED = "box_added"
    CHANGED = "box_changed"
    REMOVED = "box_removed"
    KEPT = "box_kept"
    """Looked at, and right as it is."""
    PRESENCE = "presence_set"
    """Present without a box, absent or unknown; boxes that stood there are gone with it."""
    MARKED = "marked"
    """For a second opinion; says nothing of the finding itself."""


_BOXES: Final = {
    Kind.ADDED: (False, True),
    Kind.CHANGED: (True, True),
    Kind.REMOVED: (True, False),
    Kind.KEPT: (True, False),
    Kind.PRESENCE: (False, False),
    Kind.MARKED: (False, False),
}
"""Kind -> whether there is a box before, and one after. What is kept has one before, and it stays."""


_NEEDED: Final = ("image_id", "sha256", "finding", "kind", "reviewer", "made_at", "base")
"""What a row of a correction must have; the rest depends on its kind."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One edit of one reviewer. Made means valid.

    Raises:
        DataError: If something is missing or contradicts the kind; the message says what was expected.
    """

    image_id: str
    """As in the manifest: source and image."""
    sha256: str
    """Of the pixels of the picture that was looked at, the manifest's `sha256`."""
    finding: str
    """A key of the set's label space."""
    kind: Kind
    reviewer: str
    """A name or a sign, as he gives it: letters, digits, and blanks or - _ . @ within."""
    made_at: datetime
    """With a time zone; kept as UTC. Of the edit, not of the pull: the same edit has the same time in every pull."""
    base: str
    """Fingerprint of the set that was looked at."""
    box_before_xyxy: Corners | None = None
    """In pixels of the picture in the built set. A box of the set's consensus (`Manifest.boxes`), not of one reader."""
    box_after_xyxy: Corners | None = None
    """In the same frame."""
    presence_before: Presence | None = None
    """Where a presence is set: the one that stood there; None where it is not known, which nothing contradicts."""
    presence_after: Presence | None = None
    """Where a presence is set: PRESENT, ABSENT or UNKNOWN. Only a box makes BOXED."""
    reason: str = ""
    second_opinion: bool = False
    """Somebody else should look at it too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _one_of(Kind, self.kind, "kind"))
        object.__setattr__(self, "reviewer", reader_name(self.reviewer))
        for name in ("presence_before", "presence_after"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else _one_of(Presence, value, name))
        for name in ("box_before_xyxy", "box_after_xyxy"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else _corners(value, name))
        _require_words(self)
        _require_sides(self)
        object.__setattr__(self, "made_at", self.made_at.astimezone(UTC))

    @property
    def id(self) -> str:
        """32 hexadecimal digits of all that it says: the same edit has the same id wherever it is read from."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def sides(self) -> tuple[str, str]:
        """What stood there and what stands there now, in words; `…` where it is not said."""
        if self.kind is Kind.PRESENCE:
            return self.presence_before or "…", self.presence_after or "…"
        if self.kind is Kind.MARKED:
            return "…", "for a second opinion"
        after = self.box_before_xyxy if self.kind is Kind.KEPT else self.box_after_xyxy
        return _box_in_words(self.box_before_xyxy), _box_in_words(after)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` is the way back, without loss."""
        return {
            "image_id": self.image_id,
            "sha256": self.sha256,
            "finding": self.finding,
            "kind": self.kind.value,
            "reviewer": self.reviewer,
            "made_at": self.made_at.isoformat(),
            "base": self.base,
            "box_before_xyxy": None if self.box_before_xyxy is None else list(self.box_before_xyxy),
            "box_after_xyxy": None if self.box_after_xyxy is None else list(self.box_after_xyxy),
            "presence_before": None if self.presence_before is None else self.presence_before.value,
            "presence_after": None if self.presence_after is None else self.presence_after.value,
            "reason": self.reason,
            "second_opinion": self.second_opinion,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Correction:
        """A correction from plain data, with or without its `id`.

        Raises:
            DataError: If it is none, or its id is not that of what it says.
        """
        told = _told(content, _NEEDED, {"id", *cls.__dataclass_fields__})
        claimed = told.pop("id", None)
        made = cls(**{**told, "made_at": utc_time(told["made_at"])})
        if claimed not in {None, made.id}:
            raise DataError("a correction's id is not that of what it says: it was changed after it was made")
        return made


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one reviewer holds of one finding in one image, after all his edits.

    Raises:
        DataError: If it has boxes and is not BOXED, or the other way round.
    """

    image_id: str
    sha256: str
    finding: str
    reviewer: str
    presence: Presence
    boxes_xyxy: tuple[Corners, ...] = ()
    """In pixels of the picture in the built set, sorted; none unless `presence` is BOXED."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reviewer", reader_name(self.reviewer))
        object.__setattr__(self, "presence", _one_of(Presence, self.presence, "presence"))
        boxes = tuple(sorted(_corners(box, "boxes_xyxy") for box in self.boxes_xyxy))
        object.__setattr__(self, "boxes_xyxy", boxes)
        if (self.presence is Presence.BOXED) != bool(boxes):
            raise DataError(f"an opinion is 'boxed' if and only if it has boxes, got {self.presence} and {len(boxes)}")

    @property
    def cell(self) -> tuple[str, str, str]:
        """Image, finding and reviewer: of two opinions on the same the later one holds."""
        return self.image_id, self.finding, self.reviewer

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` is the way back, without loss."""
        return {
            "image_id": self.image_id,
            "sha256": self.sha256,
            "finding": self.finding,
            "reviewer": self.reviewer,
            "presence": self.presence.value,
            "boxes_xyxy": [list(box) for box in self.boxes_xyxy],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Opinion:
        """An opinion from plain data.

        Raises:
            DataError: If it is none.
        """
        return cls(**_told(content, ("image_id", "sha256", "finding", "reviewer", "presence"), ("boxes_xyxy",)))


def same_box(one: Corners, other: Corners) -> bool:
    """Whether two boxes of one frame are the same but for the rounding of tools (`SAME_PX`)."""
    return all(abs(a - b) <= SAME_PX for a, b in zip(one, other, strict=True))


def reader_name(name: Any) -> str:
    """A reviewer's name as one word, as readers stand in the tables: blanks become underscores.

    Raises:
        DataError: If there is none, or it holds what would not be read back from a table or a path.
    """
    word = "_".join(str(name).split()) if isinstance(name, str) else ""
    if not re.fullmatch(r"[^\W_][\w.@-]{0,63}", word):
        raise DataError(
            f"a reviewer's name is 1 to 64 letters, digits or - _ . @ and begins with a letter or a digit, got {name!r}"
        )
    return word


def utc_time(text: Any) -> datetime:
    """A time of ISO 8601 as UTC.

    Raises:
        DataError: If it is none, or has no time zone: it would be another time elsewhere.
    """
    try:
        moment = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise DataError(f"'made_at' must be a time such as 2026-11-21T16:45:00+00:00, got {text!r}") from error
    if moment.utcoffset() is None:
        raise DataError(f"'made_at' needs a time zone, got {text!r}; write +00:00 behind a time of UTC")
    return moment.astimezone(UTC)


def _box_in_words(corners: Corners | None) -> str:
    return "no box" if corners is None else "[{:.0f} {:.0f} {:.0f} {:.0f}]".format(*corners)


def _require_words(made: Correction) -> None:
    for name in ("image_id", "finding", "base", "reason"):
        if not isinstance(getattr(made, name), str):
            raise DataError(f"{name!r} must be text, got {type(getattr(made, name)).__name__}")
        if any(0xD800 <= ord(letter) < 0xE000 for letter in getattr(made, name)):
            raise DataError(f"{name!r} holds half a character (a lone surrogate), which no file can keep")
    if not (made.image_id and made.finding):
        raise DataError("a correction names an image and a finding; one of them is empty")
    if not (isinstance(made.sha256, str) and re.fullmatch(r"[0-9a-f]{64}", made.sha256)):
        raise DataError("'sha256' must be the 64 hexadecimal digits of the picture, as in the manifest")
    if len(made.reason) > LONGEST_REASON:
        raise DataError(f"a reason has at most {LONGEST_REASON} letters, got {len(made.reason)}")
    if not isinstance(made.second_opinion, bool):
        raise DataError(f"'second_opinion' must be true or false, got {made.second_opinion!r}")
    if not isinstance(made.made_at, datetime) or made.made_at.utcoffset() is None:
        raise DataError("'made_at' must be a time with a time zone")
    try:
        made.made_at.astimezone(UTC)
    except OverflowError as error:
        raise DataError("'made_at' lies outside of the years 1 to 9999") from error


def _require_sides(made: Correction) -> None:
    """Before and after are those of the kind."""
    wanted = _BOXES[made.kind]
    given = made.box_before_xyxy is not None, made.box_after_xyxy is not None
    if given != wanted:
        words = [("no box", "a box")[side] for side in (*wanted, *given)]
        raise DataError(
            f"{made.kind.value!r} has {words[0]} before and {words[1]} after, got {words[2]} and {words[3]}"
        )
    if made.kind is Kind.PRESENCE:
        if made.presence_after in {None, Presence.BOXED}:
            raise DataError(f"'presence_set' sets present, absent or unknown, got {made.presence_after}; draw a box")
    elif made.presence_before is not None or made.presence_after is not None:
        raise DataError(f"{made.kind.value!r} sets no presence: that is an edit of its own ('presence_set')")
    if made.kind is Kind.MARKED and not made.second_opinion:
        raise DataError("'marked' asks for a second opinion: set 'second_opinion'")


def _corners(value: Any, name: str) -> Corners:
    try:
        x1, y1, x2, y2 = (float(number) for number in value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name!r} must be four numbers x1, y1, x2, y2, got {value!r}") from error
    if not (-inf < x1 < x2 < inf and -inf < y1 < y2 < inf):  # NaN fails too
        raise DataError(f"{name!r} needs finite x1 < x2 and y1 < y2, got {(x1, y1, x2, y2)}")
    return x1, y1, x2, y2


def _one_of(words: type[Any], value: Any, name: str) -> Any:
    try:
        return words(value)
    except ValueError as error:
        known = ", ".join(word.value for word in words)
        raise DataError(f"{name!r} must be one of {known}; got {value!r}") from error


def _told(content: Mapping[str, Any], needed: Collection[str], allowed: Collection[str]) -> dict[str, Any]:
    """The parts of a row.

    Raises:
        DataError: If a part is unknown or missing.
    """
    if not isinstance(content, Mapping):
        raise DataError(f"expected a row with names, got {type(content).__name__}")
    surplus = sorted(content.keys() - {*needed, *allowed})
    missing = sorted(set(needed) - content.keys())
    if surplus or missing:
        said = [f"{', '.join(names)} {word}" for names, word in ((missing, "missing"), (surplus, "unknown")) if names]
        raise DataError(f"a row of corrections: {'; '.join(said)}")
    return dict(content)


def now() -> datetime:
    """The time, in UTC and whole seconds: finer is nothing that a reviewer did."""
    moment = datetime.now(UTC)
    return moment - timedelta(microseconds=moment.microsecond)
