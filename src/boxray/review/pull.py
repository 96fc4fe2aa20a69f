"""Pull: edits → what each reviewer holds → one batch of the log of corrections.

An edit is weighed against what its reviewer sees: his own opinion of the finding where he has one in force, else the
set's boxes and presence. What does not fit there any more is refused, row by row and with its reason. What is so
already adds nothing, so that the same edits may be pulled again and again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from boxray.core.boxes import box_iou
from boxray.core.findings import Presence
from boxray.data.consensus import FUSE_IOU
from boxray.data.correction_log import Batch, CorrectionLog, TakenError, append
from boxray.data.corrections import Correction, Kind, Opinion, same_box
from boxray.data.gather import SMALLEST_SIDE_PX
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.record import Corners
from boxray.review.edits import Edits, Unread

SLIP_PX: Final = 1.0
"""By so much a box may reach over the edge of the picture: it is clipped there. More is another frame."""

_TRIES: Final = 5
"""Of writers who meet at the same moment."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An edit that goes into the log, beside what its reviewer held of the finding before and after it."""

    correction: Correction
    before: Opinion
    after: Opinion


@dataclass(frozen=True, slots=True)
class Refused:
    """An edit that does not fit the set."""

    correction: Correction
    reason: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Reviewers who hold different things of one finding in one image. All are kept; the build makes the consensus."""

    image_id: str
    finding: str
    reviewers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull has done, or would do."""

    taken: tuple[Taken, ...]
    known: tuple[Correction, ...]
    """So already: they add nothing."""
    refused: tuple[Refused, ...]
    unread: tuple[Unread, ...]
    conflicts: tuple[Conflict, ...]
    """Among all opinions in force on the findings of images that this pull touches."""
    batch: Batch | None = None
    """None where there was nothing to write, or nothing was to be written."""

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        """What the reviewers hold at the end, one for each finding of an image and reviewer."""
        held = {row.after.cell: row.after for row in self.taken if row.correction.kind is not Kind.MARKED}
        return tuple(held.values())


def pull(edits: Edits, manifest: Manifest, folder: Path, made_at: datetime, *, write: bool = True) -> Pulled:
    """Take edits into the log of corrections, as one batch.

    Args:
        edits: From any place.
        manifest: The set that they are weighed against, all splits.
        folder: Of the log.
        made_at: When.
        write: False only says what would be written.

    Raises:
        DataError: If the log is damaged, or others write to it without end.
        ResourceError: If it cannot be written to.
    """
    for left in reversed(range(_TRIES)):
        log = CorrectionLog.read(folder)
        pulled = weigh(edits, manifest, log)
        if not (write and pulled.taken):
            return pulled
        made = tuple(row.correction for row in pulled.taken)
        batch = Batch(log.next_name, made_at, manifest.fingerprint, made, pulled.opinions)
        try:
            append(folder, batch)
        except TakenError:
            if not left:
                raise
        else:
            return replace(pulled, batch=batch)
    raise AssertionError("unreachable: the last try returns or raises")


def weigh(edits: Edits, manifest: Manifest, log: CorrectionLog) -> Pulled:
    """What a pull would write, without writing it.

    Edits are taken in the order of their times; of equal times in the order given.
    """
    desk = _Desk.of(manifest, log, {made.image_id for made in edits.corrections})
    taken: list[Taken] = []
    known: list[Correction] = []
    refused: list[Refused] = []
    seen = {made.id for made in log.corrections}
    for made in sorted(edits.corrections, key=lambda made: made.made_at):
        if made.id in seen:
            known.append(made)
            continue
        seen.add(made.id)
        try:
            before, after = desk.take(made)
        except _StaleError as error:
            refused.append(Refused(made, str(error)))
            continue
        if after is None:
            known.append(made)
        else:
            taken.append(Taken(made, before, after))
    touched = {(row.after.image_id, row.after.finding) for row in taken}
    return Pulled(tuple(taken), tuple(known), tuple(refused), edits.unread, tuple(_conflicts(desk.opinions, touched)))


class _StaleError(Exception):
    """The edit does not fit the set any more; the text says why."""


@dataclass(frozen=True, slots=True)
class _Film:
    sha256: str
    size_wh: tuple[int, int]
    presence: dict[str, Presence]
    """Where there are no boxes."""
    boxes: dict[str, tuple[Corners, ...]]


@dataclass(slots=True)
class _Desk:
    """The films that are spoken of, and what the reviewers hold of them."""

    films: dict[str, _Film]
    copy_of: dict[str, str]
    opinions: dict[tuple[str, str, str], Opinion]
    done: dict[tuple[str, str, str], list[Correction]] = field(default_factory=dict)
    """By image, finding and reviewer, his edits in force, the oldest first."""

    @classmethod
    def of(cls, manifest: Manifest, log: CorrectionLog, image_ids: set[str]) -> _Desk:
        desk = cls(_films(manifest, image_ids), _copies(manifest, image_ids), log.opinions)
        for made in log.corrections:
            desk.done.setdefault((made.image_id, made.finding, made.reviewer), []).append(made)
        return desk

    def take(self, made: Correction) -> tuple[Opinion, Opinion | None]:
        """What the reviewer held before, and what he holds after; None where that is so already.

        Raises:
            _StaleError: If the edit does not fit.
        """
        film = self._film(made)
        cell = made.image_id, made.finding, made.reviewer
        boxes = film.boxes.get(made.finding, ())
        presence = Presence.BOXED if boxes else film.presence[made.finding]
        shown = Opinion(made.image_id, made.sha256, made.finding, made.reviewer, presence, boxes)
        held = self.opinions.get(cell)
        if held is None or held.sha256 != film.sha256:
            held = shown
        done = self.done.setdefault(cell, [])
        after = _Hand(held, shown, done).do(made, film.size_wh)
        repeated = made.kind in {Kind.KEPT, Kind.MARKED} and any(_says_the_same(made, earlier) for earlier in done)
        if repeated or (after == held and made.kind not in {Kind.KEPT, Kind.MARKED}):
            return held, None
        done.append(made)
        if made.kind is not Kind.MARKED:
            self.opinions[cell] = after
        return held, after

    def _film(self, made: Correction) -> _Film:
        if made.image_id in self.copy_of:
            kept = self.copy_of[made.image_id]
            raise _StaleError(f"the image is now a copy of {kept}, which stands for it: correct that one")
        film = self.films.get(made.image_id)
        if film is None:
            raise _StaleError("the image is not in this set")
        if film.sha256 != made.sha256:
            raise _StaleError("the picture has other pixels now than those that were looked at")
        if made.finding not in film.presence:
            raise _StaleError(f"{made.finding!r} is none of the set's findings: {', '.join(film.presence)}")
        return film


@dataclass(frozen=True, slots=True)
class _Hand:
    """One finding of one image in the hands of one reviewer."""

    held: Opinion
    """What he holds."""
    shown: Opinion
    """What the set says; the consensus where several have read."""
    done: Sequence[Correction]

    def do(self, made: Correction, size_wh: tuple[int, int]) -> Opinion:
        """What he holds after an edit."""
        boxes = list(self.held.boxes_xyxy)
        before, after = made.box_before_xyxy, _inside(made.box_after_xyxy, size_wh)
        if made.kind is Kind.MARKED:
            return self.held
        if made.kind is Kind.PRESENCE:
            return self._with_presence(made)
        if made.kind is Kind.ADDED:
            assert after is not None, "an added box has one after"
            return self._with(boxes if _place(after, boxes) is not None else [*boxes, after])
        assert before is not None, "all others have one before"
        if after is not None and _place(after, boxes) is not None and _place(before, boxes) is None:
            return self.held  # this change is made already
        mine = self._mine(before)
        if made.kind is Kind.KEPT:
            return self._with(boxes if mine is not None else [*boxes, before])
        left = [box for place, box in enumerate(boxes) if place != mine]
        if after is None:
            return self._with(left)
        if mine is not None and same_box(boxes[mine], after):
            return self.held
        return self._with([*left, after])

    def _with(self, boxes: Sequence[Corners]) -> Opinion:
        """Without a box nothing is known: that the finding is not there must be said in so many words."""
        if not boxes and not self.held.boxes_xyxy:
            return self.held
        presence = Presence.BOXED if boxes else Presence.UNKNOWN
        return replace(self.held, presence=presence, boxes_xyxy=tuple(boxes))

    def _with_presence(self, made: Correction) -> Opinion:
        assert made.presence_after is not None, "a presence that is set"
        if made.presence_after is self.held.presence:
            return self.held
        stands = {self.held.presence, self.shown.presence}
        if made.presence_before is not None and made.presence_before not in stands:
            raise _StaleError(f"the finding was {made.presence_before.value} and is now {self.held.presence.value}")
        return replace(self.held, presence=made.presence_after, boxes_xyxy=())

    def _mine(self, before: Corners) -> int | None:
        """Which of his boxes is meant; None: one that the set shows, but that he does not hold.

        Raises:
            _StaleError: If there is no such box.
        """
        boxes = self.held.boxes_xyxy
        direct = _place(before, boxes)
        if direct is not None:
            return direct
        followed, known = self._followed(before)
        if followed is not None and (place := _place(followed, boxes)) is not None:
            return place
        if known:
            return None
        if _place(before, self.shown.boxes_xyxy) is None:
            raise _StaleError("the box has been changed or removed since, or never stood there")
        if not boxes:
            return None
        overlaps = box_iou(np.array([before]), np.array(boxes))[0]  # a consensus of several: his part of it
        best = int(overlaps.argmax())
        return best if overlaps[best] >= FUSE_IOU else None

    def _followed(self, before: Corners) -> tuple[Corners | None, bool]:
        """Where his own edits have taken a box that stood there: its corners now, None if it is gone; and whether."""
        at: Corners | None = before
        known = False
        for earlier in self.done:
            started = earlier.box_before_xyxy
            if earlier.kind in {Kind.CHANGED, Kind.REMOVED} and started and at and same_box(started, at):
                at, known = earlier.box_after_xyxy, True
        return at, known


def _place(box: Corners, boxes: Sequence[Corners]) -> int | None:
    return next((place for place, other in enumerate(boxes) if same_box(box, other)), None)


def _inside(box: Corners | None, size_wh: tuple[int, int]) -> Corners | None:
    """The box within the picture.

    Raises:
        _StaleError: If it lies outside by more than a slip, or is a click.
    """
    if box is None:
        return None
    width, height = size_wh
    x1, y1, x2, y2 = box
    if min(x1, y1, width - x2, height - y2) < -SLIP_PX:
        raise _StaleError(f"the box reaches out of the picture of {width} x {height} px: drawn in another frame?")
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) <= SMALLEST_SIDE_PX:
        raise _StaleError(f"a side of the box is {SMALLEST_SIDE_PX:g} px or less: a click?")
    return clipped


def _says_the_same(made: Correction, earlier: Correction) -> bool:
    if made.kind is not earlier.kind or made.reason != earlier.reason:
        return False
    one, other = made.box_before_xyxy, earlier.box_before_xyxy
    return one is None or other is None or same_box(one, other)


def _films(manifest: Manifest, image_ids: set[str]) -> dict[str, _Film]:
    keys = manifest.label_space.keys
    boxes: dict[str, dict[str, list[Corners]]] = {}
    drawn = manifest.boxes[manifest.boxes["image_id"].isin(image_ids)]
    for image_id, finding, *corners in drawn[["image_id", "finding", *CORNERS]].itertuples(index=False, name=None):
        x1, y1, x2, y2 = map(float, corners)
        boxes.setdefault(image_id, {}).setdefault(finding, []).append((x1, y1, x2, y2))
    films = {}
    for row in manifest.images[manifest.images["image_id"].isin(image_ids)].to_dict("records"):
        found = {finding: tuple(rows) for finding, rows in boxes.get(row["image_id"], {}).items()}
        said = {key: Presence(row[f"presence_{key}"]) for key in keys}
        presence: dict[str, Presence] = {
            key: Presence.PRESENT if now is Presence.BOXED else now for key, now in said.items()
        }
        films[row["image_id"]] = _Film(row["sha256"], (int(row["width"]), int(row["height"])), presence, found)
    return films


def _copies(manifest: Manifest, image_ids: set[str]) -> dict[str, str]:
    """Of the images asked for, those that another one stands for."""
    missing = image_ids - set(manifest.images["image_id"])
    if not missing:
        return {}
    several = manifest.images[manifest.images["copies"] != ""]
    pairs = zip(several["image_id"], several["copies"], strict=True)
    return {copy: kept for kept, copies in pairs for copy in shlex.split(copies) if copy in missing}


def _conflicts(opinions: dict[tuple[str, str, str], Opinion], touched: set[tuple[str, str]]) -> list[Conflict]:
    by_finding: dict[tuple[str, str], list[Opinion]] = {}
    for opinion in opinions.values():
        if (opinion.image_id, opinion.finding) in touched:
            by_finding.setdefault((opinion.image_id, opinion.finding), []).append(opinion)
    return [
        Conflict(image_id, finding, tuple(sorted(opinion.reviewer for opinion in held)))
        for (image_id, finding), held in sorted(by_finding.items())
        if any(not _agree(held[0], other) for other in held[1:])
    ]


def _agree(one: Opinion, other: Opinion) -> bool:
    if one.presence is not other.presence or len(one.boxes_xyxy) != len(other.boxes_xyxy):
        return False
    return all(_place(box, other.boxes_xyxy) is not None for box in one.boxes_xyxy)
