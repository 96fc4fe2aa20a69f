"""DOWNLOAD: the files of a source, as published. The one room of the library that uses the network.

A cut line is tried again and goes on where it ended, in this run or in the next. Only a file that is whole gets its
name; one that is not what was published is set aside as `<name>.bad`. An archive stays, and its pictures are moved to
their folder only once its last byte has been checked. `downloads.json` notes the SHA-256 of each file: where the
source publishes no hash, a second machine compares with that.

`listing.py` is what there is and what is here of it, `transfer.py` one file over the line, `unpack.py` an archive.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import httpx

from boxray.core.errors import DataError
from boxray.data.download.listing import DiskFullError, Listing, Note, Stock, add_note, load_listing, plan
from boxray.data.download.transfer import Patience, Progress, Transfer, verify

__all__ = ["DiskFullError", "Listing", "Outcome", "Patience", "download", "load_listing", "plan"]

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_USUAL: Final = Patience()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One file after the download."""

    name: str
    what: Literal["fetched", "verified", "unverified", "kept", "by hand", "failed"]
    """`verified`: it lay there and was compared; `unverified`: it lay there, and nothing is published to compare with;
    `kept`: it is untouched since the last run; `by hand`: it is not there."""
    note: Note | None = None
    reason: str | None = None
    """Why it is not there, and what to do."""


def download(
    listing: Listing, out: Path, *, progress: Progress = lambda _name, _n: None, patience: Patience = _USUAL
) -> list[Outcome]:
    """Fetch, verify and unpack what is not yet there. A file that fails does not keep the others from coming.

    Args:
        listing: Which files; `Listing.only` picks some.
        out: The source's folder; made if it is not there.
        progress: Called with a file's name and the bytes that came since the last call. The first call of a file
            brings what an earlier run left; a negative number takes back what must come again.
        patience: How often a cut line is tried again.

    Returns:
        One outcome per file, in their order.

    Raises:
        DiskFullError: If the disk cannot hold it all, before the first byte or after; the `.part` stays.
        DataError: If `downloads.json` is damaged, or the folder cannot be written.
    """
    planned = plan(listing, out)
    planned.require_room()
    with _disk_errors(out.name):
        out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with httpx.Client(timeout=httpx.Timeout(60, connect=20), headers={"User-Agent": "boxray"}) as client:
        for stock in planned.stocks:
            name = stock.file.name
            progress(name, stock.bytes_here)
            transfer = Transfer(client, stock.file, listing.page, out / f"{name}.part", progress, patience)
            try:
                with _disk_errors(name):
                    outcomes.append(_bring(stock, out, transfer))
            except DiskFullError:
                raise
            except DataError as error:
                outcomes.append(Outcome(name, "failed", reason=str(error)))
    return outcomes


def _bring(stock: Stock, out: Path, transfer: Transfer) -> Outcome:
    name = stock.file.name
    if stock.state == "verified":
        return Outcome(name, "kept", stock.note)
    if stock.state == "by hand":
        return Outcome(name, "by hand", reason=f"no direct link is known. {transfer.by_hand}")
    if stock.state == "to verify":
        note = _settle(stock, out / name, transfer)
        return Outcome(name, "verified" if note.verified_by else "unverified", note)
    total = transfer.run()
    return Outcome(name, "fetched", _settle(stock, transfer.part, transfer, total))


def _settle(stock: Stock, path: Path, transfer: Transfer, total: int | None = None) -> Note:
    """Verify a file or its part, give it its name and its pictures their folder, and note what was seen.

    Raises:
        DataError: If it is not what was published; it is set aside for a look, out of the way of the next try.
    """
    file, out = stock.file, path.parent
    staged = out / f"{file.name}.unpacking"
    try:
        note = verify(file, path, staged, stock.note, total)
        path.replace(out / file.name)
        if file.into is not None:
            (out / file.into).mkdir(exist_ok=True)
            for picture in staged.iterdir():
                picture.replace(out / file.into / picture.name)
    except DataError as error:
        path.replace(out / f"{file.name}.bad")
        raise DataError(
            f"{file.name}: {error}; set aside as {file.name}.bad. Fetch it again; if it stays so, the published file "
            f"has changed: see {transfer.page}, and delete its entry in downloads.json if there is one"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if not path.exists():
            transfer.drop_part()
    add_note(out, note)
    return note


@contextmanager
def _disk_errors(name: str) -> Iterator[None]:
    """What the disk refuses, in words; what came so far stays.

    Raises:
        DiskFullError: If there is no room.
        DataError: If it cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise DataError(f"{name}: cannot be written or read on this disk ({error.strerror})") from error
        raise DiskFullError(
            f"{name}: the disk is full ({error.strerror}); what came so far is kept. Make room and run the command "
            "again: it goes on from there"
        ) from error
