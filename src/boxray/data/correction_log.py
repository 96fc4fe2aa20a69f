"""The log of corrections: a folder of batches, each written once and never again.

`000001.jsonl`, `000002.jsonl` and so on: a line about the batch, then a line per correction and per opinion. A batch
is written beside its place, brought to the disk and given its name in one step, which fails if the name is taken: it
is there as a whole or not at all, and of two writers at the same moment one is told to look again. To undo a batch is
another batch that reverts it; nothing is deleted, and an undo can be undone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError, ResourceError
from boxray.data.corrections import Correction, Opinion, utc_time

SCHEMA: Final = "boxray.corrections/1"
_NAME: Final = re.compile(r"\d{6}\.jsonl")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one pull, or one undo, has written."""

    name: str
    """Its number, six digits."""
    made_at: datetime
    base: str
    """Fingerprint of the set that it was compared with; empty for an undo."""
    corrections: tuple[Correction, ...] = ()
    opinions: tuple[Opinion, ...] = ()
    reverts: str | None = None
    """The batch that this one undoes."""


@dataclass(frozen=True, slots=True)
class CorrectionLog:
    """All batches of a folder, and which of them hold."""

    batches: tuple[Batch, ...] = field(default=())

    @classmethod
    def read(cls, folder: Path) -> CorrectionLog:
        """Read and check every batch. A folder that is not there holds none.

        Raises:
            DataError: If a batch is damaged or a number is missing: corrections must not get lost unseen.
        """
        names = sorted(path.name for path in folder.glob("*.jsonl") if _NAME.fullmatch(path.name))
        for place, name in enumerate(names, start=1):
            if name != f"{place:06d}.jsonl":
                raise DataError(f"batch {place:06d} of the corrections is missing; bring the file back")
        return cls(tuple(_read_batch(folder / name) for name in names))

    @property
    def in_force(self) -> tuple[Batch, ...]:
        """The batches of corrections that nothing has undone, the oldest first."""
        undone: set[str] = set()
        held = []
        for batch in reversed(self.batches):
            if batch.name in undone:
                continue
            if batch.reverts is None:
                held.append(batch)
            else:
                undone.add(batch.reverts)
        return tuple(reversed(held))

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """Those in force, the oldest batch first."""
        return tuple(made for batch in self.in_force for made in batch.corrections)

    @property
    def opinions(self) -> dict[tuple[str, str, str], Opinion]:
        """What every reviewer holds, by image, finding and reviewer: his latest opinion in force."""
        return {opinion.cell: opinion for batch in self.in_force for opinion in batch.opinions}

    @property
    def next_name(self) -> str:
        """Of the batch to come."""
        return f"{len(self.batches) + 1:06d}"

    def batch(self, name: str) -> Batch:
        """The batch of a number, with or without its zeros.

        Raises:
            DataError: If there is none.
        """
        wanted = name.removesuffix(".jsonl").zfill(6)
        for batch in self.batches:
            if batch.name == wanted:
                return batch
        last = self.batches[-1].name if self.batches else "none"
        raise DataError(f"there is no batch {name!r}; the last one is {last}")


class TakenError(DataError):
    """Somebody else has written a batch of this number meanwhile. Read the log again and compare anew."""


def undo(folder: Path, name: str, made_at: datetime) -> Batch:
    """Write the batch that reverts another one.

    Args:
        folder: Of the log.
        name: Number of the batch to undo; that of an undo brings its batch back.
        made_at: When.

    Raises:
        DataError: If there is no such batch, it is undone already, or a later one has gone on from what it left.
    """
    log = CorrectionLog.read(folder)
    target = log.batch(name)
    _require_undoable(log, target)
    return append(folder, Batch(log.next_name, made_at, "", reverts=target.name))


def _require_undoable(log: CorrectionLog, target: Batch) -> None:
    held = {batch.name for batch in log.in_force}
    live = held | {batch.name for batch in _live_undos(log)}
    if target.name not in live:
        raise DataError(f"batch {target.name} is undone already")
    changed = target if target.reverts is None else log.batch(target.reverts)
    cells = {opinion.cell for opinion in changed.opinions}
    for later in log.in_force:
        shared = cells & {opinion.cell for opinion in later.opinions}
        if later.name > target.name and shared:
            raise DataError(
                f"batch {later.name} goes on from what batch {target.name} left, in {len(shared)} findings of images; "
                f"undo {later.name} first"
            )


def _live_undos(log: CorrectionLog) -> Iterator[Batch]:
    """The undos that nothing has undone."""
    undone: set[str] = set()
    for batch in reversed(log.batches):
        if batch.reverts is not None and batch.name not in undone:
            undone.add(batch.reverts)
            yield batch


def append(folder: Path, batch: Batch) -> Batch:
    """Write a batch: on the disk as a whole, or not at all.

    Args:
        folder: Of the log; made if it is not there.
        batch: Named `CorrectionLog.next_name`.

    Returns:
        The batch as it was written.

    Raises:
        TakenError: If the number is taken.
        ResourceError: If the disk is full or not to be written to. What was there is whole.
    """
    rows = [{"row": "correction", "id": made.id, **made.to_json()} for made in batch.corrections]
    rows += [{"row": "opinion", **opinion.to_json()} for opinion in batch.opinions]
    body = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()
    head = {
        "schema": SCHEMA,
        "batch": batch.name,
        "made_at": batch.made_at.isoformat(),
        "base": batch.base,
        "reverts": batch.reverts,
        "corrections": len(batch.corrections),
        "opinions": len(batch.opinions),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_once(folder / f"{batch.name}.jsonl", json.dumps(head).encode() + b"\n" + body)
    except FileExistsError as error:
        raise TakenError(f"batch {batch.name} was written by somebody else meanwhile; pull again") from error
    except OSError as error:
        raise ResourceError(f"the corrections cannot be written ({error.strerror}); nothing was changed") from error
    return batch


def _write_once(path: Path, content: bytes) -> None:
    """Temp, fsync, and a name that must be free. Links cannot overwrite, unlike `os.replace`."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _name(part, path)
    finally:
        part.unlink(missing_ok=True)
    with suppress(OSError):  # a folder cannot be opened everywhere; then the name is on the disk a little later
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _name(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # file systems without links, such as FAT
        if path.exists():
            raise FileExistsError(path.name) from None
        os.replace(part, path)  # noqa: PTH105 - the pair of os.link above


def _read_batch(path: Path) -> Batch:
    try:
        first, _, body = path.read_bytes().partition(b"\n")
        head: dict[str, Any] = json.loads(first)
        _require_whole(head, body)
        rows = [json.loads(line) for line in body.splitlines()]
        return Batch(
            path.stem,
            utc_time(head["made_at"]),
            head["base"],
            tuple(Correction.from_json(_without_mark(row)) for row in _of(rows, "correction")),
            tuple(Opinion.from_json(_without_mark(row)) for row in _of(rows, "opinion")),
            head["reverts"],
        )
    except (DataError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = str(error) if isinstance(error, DataError) else type(error).__name__
        raise DataError(f"batch {path.stem} of the corrections is damaged: {said}; bring the file back") from error


def _require_whole(head: dict[str, Any], body: bytes) -> None:
    if head["schema"] != SCHEMA:
        raise DataError(f"it is of {head['schema']!r}, expected {SCHEMA!r}")
    if hashlib.sha256(body).hexdigest() != head["sha256"]:
        raise DataError("its lines are not those that were written")


def _of(rows: Sequence[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (row for row in rows if row["row"] == kind)


def _without_mark(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "row"}
