"""DOWNLOAD: the files of a source, as published. The one module of the library that uses the network.

A file grows as `<name>.part`; `<name>.part.json` notes which version it is a part of. A cut line is tried again and
goes on where it ended, in this run or in the next. Only a file that is whole gets its name; one that is not what was
published is set aside as `<name>.bad`. An archive is unpacked into a folder of its own, and its pictures are moved
only once the last byte has been checked. `downloads.json` notes the SHA-256 of each file: where the source publishes
no hash, a second machine compares with that.
"""

from __future__ import annotations

import difflib
import errno
import gzip
import hashlib
import os
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from boxray.core.bench import bench_folder
from boxray.core.errors import DataError
from boxray.data.yaml_file import read_yaml

NOTES = "downloads.json"
"""What lies in the folder and how it was verified. May be copied to another machine before its download."""

LARGEST_PICTURE_BYTES: Final = 64 * 2**20
"""A PNG of 1024 x 1024 px has about 0.4 MB; no header of an archive is that long either."""

MOST_MEMBERS: Final = 200_000
"""All of ChestX-ray14 are 112,120."""

UNPACKED_SHARE: Final = 1.1
"""Bytes of the pictures over bytes of their archive, to plan with: a PNG is compressed already."""

MOST_REDIRECTS: Final = 5
LONGEST_WAIT_S: Final = 300
"""A server may ask for more by Retry-After; then the run ends, and the next one goes on."""

NEW_GROUND_BYTES: Final = 16 * 2**20
"""Tries are counted anew after so many new bytes: a file of 4 GB may outlive many cuts."""

_CHUNK_BYTES: Final = 2**20
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OURS: Final = (".part", ".part.json", ".bad", ".unpacking")
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be better on the next try."""

_SAID: Final = {
    401: "the server wants a log-in",
    403: "the server refuses: it wants a log-in, or your network does not let you through",
    404: "the file is no longer at this address",
    407: "your network's proxy wants a log-in: set HTTPS_PROXY=http://name:password@host:port",
    410: "the file was withdrawn",
    429: "the server is asked too often",
    503: "the server is busy or being repaired",
}

Progress = Callable[[str, int], None]


class DiskFullError(DataError):
    """No room, or too little: nothing else can be fetched either."""


class _CutError(Exception):
    """A try ended before the file was whole; another one may go further."""

    def __init__(self, reason: str, wait_s: float = 0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedFile(_Strict):
    """One file, and how to tell that it is the one that was published."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    url: str | None
    """None where no direct link is known: then people fetch it by hand, and it is verified all the same."""
    bytes: int | None = Field(gt=0)
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """Finds damage, not forgery; some sources publish nothing better."""
    unpack: Literal["tar.gz", "none"]
    into: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Folder of an archive's pictures, below the source's; None for a file that is not unpacked."""

    @model_validator(mode="after")
    def _can_be_fetched(self) -> PublishedFile:
        if self.name == NOTES or self.name.endswith(_OURS):
            raise ValueError(f"name {self.name!r} is one that the download uses itself")
        if (self.into is None) != (self.unpack == "none"):
            raise ValueError("'into' is the folder of an archive's pictures: give it with 'unpack: tar.gz' only")
        if self.url is not None:
            _require_web(self.url)
        return self


class Listing(_Strict):
    """The files of a source as published."""

    source: str
    page: str
    """Where people get them by hand."""
    files: tuple[PublishedFile, ...]

    @model_validator(mode="after")
    def _names_each_once(self) -> Listing:
        names = [file.name.casefold() for file in self.files]  # some disks do not tell A from a
        if len(set(names)) != len(names):
            raise ValueError("two files have the same name")
        return self

    def only(self, names: Sequence[str]) -> Listing:
        """The part of the listing that some names ask for; all of it where none is given.

        Raises:
            DataError: If a name is not in it; the nearest one is named.
        """
        known = [file.name for file in self.files]
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else f"; there are: {', '.join(known)}"
                raise DataError(f"{self.source} has no file {name!r}{hint}")
        return (
            self
            if not names
            else self.model_copy(update={"files": tuple(file for file in self.files if file.name in names)})
        )


class Note(_Strict):
    """What was seen of a file when it was verified."""

    bytes: int
    sha256: str
    md5: str | None
    verified_by: tuple[str, ...]
    """What it was compared with; empty for a file put there by hand of which nothing is published."""
    pictures: int | None
    """How many came out of an archive; None for another file, or until they are in their folder."""
    mtime_ns: int
    """Of this machine's copy: while it stands, the file is not read again."""


class _Notes(_Strict):
    files: dict[str, Note]


@dataclass(frozen=True, slots=True)
class Stock:
    """One file before the download: what is there of it."""

    file: PublishedFile
    state: Literal["verified", "to verify", "partly", "to fetch", "by hand"]
    bytes_here: int
    """Of the file or its part; 0 for none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download would do."""

    stocks: tuple[Stock, ...]
    bytes_free: int

    @property
    def bytes_to_fetch(self) -> int:
        """Of files whose length is known."""
        return sum(_missing(stock) for stock in self.stocks)

    @property
    def bytes_needed(self) -> int:
        """On the disk: what is to be fetched, and the pictures of what is to be unpacked."""
        unpacked = (
            (stock.file.bytes or stock.bytes_here) * UNPACKED_SHARE
            for stock in self.stocks
            if stock.file.unpack != "none" and stock.state not in ("verified", "by hand")
        )
        return self.bytes_to_fetch + round(sum(unpacked))

    def require_room(self) -> None:
        """Stop before the first byte where the disk cannot hold the last.

        Raises:
            DiskFullError: If it cannot.
        """
        if self.bytes_needed > self.bytes_free:
            raise DiskFullError(
                f"the disk has {self.bytes_free / 1e9:.1f} GB free, {self.bytes_needed / 1e9:.1f} GB are needed for "
                "the files and their pictures; make room, give --out on another disk, or fetch some files with --only"
            )


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


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a cut line is tried again."""

    waits_s: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60)
    """One wait before each new try: eight tries in all, two minutes."""
    sleep: Callable[[float], None] = time.sleep


def load_listing(source: str, folder: Path | None = None) -> Listing:
    """The listing of a source, from the bench or a folder of your own.

    Raises:
        DataError: If there is none, or the file is none.
    """
    folder = folder or bench_folder("data/downloads")
    path = folder / f"{source}.yaml"
    known = sorted(listing.stem for listing in folder.glob("*.yaml"))
    if source not in known:
        raise DataError(f"there is no download {source!r}; there are: {', '.join(known)}. Others: see data/README.md")
    try:
        return Listing.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(f"downloads {path.name}: {where}: {first['msg']}") from error


def plan(listing: Listing, out: Path) -> Plan:
    """What is there of each file, and what the disk can hold. Nothing is fetched, read through or written.

    Raises:
        DataError: If `downloads.json` is damaged.
    """
    notes = _read_notes(out)
    stocks = tuple(_stock(file, out, notes) for file in listing.files)
    there = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    return Plan(stocks, shutil.disk_usage(there).free)


def download(
    listing: Listing,
    out: Path,
    *,
    progress: Progress = lambda _name, _n: None,
    patience: Patience | None = None,
) -> list[Outcome]:
    """Fetch, verify and unpack what is not yet there. A file that fails does not keep the others from coming.

    Args:
        listing: Which files; `Listing.only` picks some.
        out: The source's folder; made if it is not there.
        progress: Called with a file's name and the bytes that came since the last call. The first call of a file
            brings what an earlier run left; a negative number takes back what must come again.
        patience: How often a cut line is tried again; None means the usual.

    Returns:
        One outcome per file, in their order.

    Raises:
        DiskFullError: If the disk cannot hold it all, before the first byte or after; the `.part` stays.
        DataError: If `downloads.json` is damaged, or the folder cannot be written.
    """
    plan(listing, out).require_room()
    with _disk_errors(out.name):
        out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with httpx.Client(timeout=httpx.Timeout(60, connect=20), headers={"User-Agent": "boxray"}) as client:
        for file in listing.files:
            bringing = _Bringing(client, listing, file, out, progress, patience or Patience())
            try:
                with _disk_errors(file.name):
                    outcomes.append(bringing.run())
            except DiskFullError:
                raise
            except DataError as error:
                outcomes.append(Outcome(file.name, "failed", reason=str(error)))
    return outcomes


@dataclass(frozen=True, slots=True)
class _Bringing:
    """One file on its way to its place."""

    client: httpx.Client
    listing: Listing
    file: PublishedFile
    out: Path
    progress: Progress
    patience: Patience

    def run(self) -> Outcome:
        notes = _read_notes(self.out)
        stock = _stock(self.file, self.out, notes)
        note = notes.get(self.file.name)
        if stock.state == "verified":
            self.progress(self.file.name, stock.bytes_here)
            return Outcome(self.file.name, "kept", note)
        if stock.state == "by hand":
            return Outcome(self.file.name, "by hand", reason=self._by_hand())
        path = self.out / self.file.name
        if stock.state == "to verify":
            self.progress(self.file.name, stock.bytes_here)
            seen = self._verify(path, note)
            return Outcome(self.file.name, "verified" if seen.verified_by else "unverified", seen)
        part = _part_of(path)
        self.progress(self.file.name, stock.bytes_here)
        total = self._fetch(part)
        return Outcome(self.file.name, "fetched", self._verify(part, note, total))

    def _by_hand(self) -> str:
        return (
            f"no direct link is known: open {self.listing.page}, get {self.file.name}, put it into the folder "
            f"{self.out.name}/ and run this command again, which verifies it"
        )

    def _fetch(self, part: Path) -> int | None:
        """Bring the part to its full length; the length that the server stated, or None if it did not."""
        tried = 0
        furthest = _size(part)
        while True:
            try:
                return self._one_try(part)
            except _CutError as cut:
                if _size(part) >= furthest + NEW_GROUND_BYTES:
                    tried = 0
                furthest = max(furthest, _size(part))
                if tried == len(self.patience.waits_s) or cut.wait_s > LONGEST_WAIT_S:
                    raise DataError(
                        f"{self.file.name}: {cut}; gave up after {tried + 1} tries. Run the command again later: "
                        f"it goes on after the {_size(part)} bytes that are here"
                    ) from cut
                self.patience.sleep(max(self.patience.waits_s[tried], cut.wait_s))
                tried += 1

    def _one_try(self, part: Path) -> int | None:
        assert self.file.url is not None, "files without a link are brought by people"
        have, was = _size(part), _PartOf.load(part)
        if have and was is not None and was.url == self.file.url and have == (was.total or self.file.bytes):
            return was.total  # whole; an earlier run ended before it was verified
        goes_on = have > 0 and was is not None and was.url == self.file.url and (bool(was.if_range) or self._can_tell())
        headers = {"Accept-Encoding": "identity"}
        if goes_on and was is not None:
            headers |= {"Range": f"bytes={have}-"} | ({"If-Range": was.if_range} if was.if_range else {})
        try:
            with _answer(self.client, self.file.url, headers) as answer:
                now = self._understand(answer, part, was if goes_on else None)
                self._take(answer, part, now)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._cut(error) from error
        whole = now.total or self.file.bytes
        if whole is not None and _size(part) < whole:
            raise _CutError(f"the line was cut: {_size(part)} of {whole} bytes came")
        return now.total

    def _cut(self, error: Exception) -> _CutError:
        host = _host(self.file.url or "")
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise DataError(
                f"{self.file.name}: the certificate of {host} is not trusted here. If your network looks into "
                "encrypted lines, set SSL_CERT_FILE to the file of its certificates"
            ) from error
        opened = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        what = "was cut" if opened else "could not be opened"
        return _CutError(f"the line to {host} {what} ({str(error) or type(error).__name__})")

    def _can_tell(self) -> bool:
        """Whether parts of two versions, put together, would be noticed."""
        return bool(self.file.sha256 or self.file.md5 or self.file.unpack != "none")

    def _understand(self, answer: httpx.Response, part: Path, was: _PartOf | None) -> _PartOf:
        """What the answer is a part of. Where it does not go on with ours, ours is emptied."""
        have = _size(part)
        if answer.status_code == 416:
            self._begin_anew(part)
            raise _CutError("the server has no bytes after ours, so the file must have changed; it begins anew")
        if answer.status_code not in (200, 206):
            self._refuse(answer)
        self._require_file(answer)
        now = _PartOf.of(str(self.file.url), answer)
        if now.total is not None and self.file.bytes is not None and now.total != self.file.bytes:
            raise DataError(
                f"{self.file.name}: the server announces {now.total} bytes, {self.file.bytes} were published. "
                f"The file changed, or something else came; see {self.listing.page}"
            )
        if answer.status_code == 200:
            self._begin_anew(part)
        elif was is None or now.start != have or not now.same_version(was):
            self._begin_anew(part)
            raise _CutError("the server does not go on where ours ends: the file changed, or it miscounts")
        else:
            now = now.filled_from(was)
        now.save(part)
        return now

    def _refuse(self, answer: httpx.Response) -> None:
        said = _SAID.get(answer.status_code, answer.reason_phrase or "an answer without a file")
        said = f"{_host(str(answer.url))} answers {answer.status_code}: {said}"
        if answer.status_code in _PASSING:
            asked = answer.headers.get("Retry-After", "")
            raise _CutError(said, float(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0)
        raise DataError(
            f"{self.file.name}: {said}. Get it by hand from {self.listing.page}, put it into the folder "
            f"{self.out.name}/ and run this command again, which verifies it"
        )

    def _require_file(self, answer: httpx.Response) -> None:
        """A web page or a file packed once more would be taken for the file."""
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise DataError(
                f"{self.file.name}: {_host(str(answer.url))} sent a web page in place of the file, as log-ins and "
                f"repairs do; open {self.listing.page} in a browser to see which"
            )
        packed = answer.headers.get("Content-Encoding", "identity").lower()
        if packed != "identity" and self.file.unpack == "none":
            raise DataError(f"{self.file.name}: asked for the plain file, got it packed by {packed}; get it by hand")

    def _begin_anew(self, part: Path) -> None:
        self.progress(self.file.name, -_size(part))
        part.unlink(missing_ok=True)
        _beside(part).unlink(missing_ok=True)

    def _take(self, answer: httpx.Response, part: Path, now: _PartOf) -> None:
        """Write what comes, at once: what is on the disk need not come again."""
        most = now.total or self.file.bytes
        with part.open("ab", buffering=0) as file:
            for chunk in answer.iter_raw():
                if most is not None and file.tell() + len(chunk) > most:
                    self._begin_anew(part)
                    raise DataError(f"{self.file.name}: more than the {most} bytes came that it should have")
                rest = memoryview(chunk)
                while rest:  # an unbuffered file may take less than it is given, on the last free bytes
                    n_written = file.write(rest)
                    self.progress(self.file.name, n_written)
                    rest = rest[n_written:]
            os.fsync(file.fileno())

    def _verify(self, path: Path, note: Note | None, total: int | None = None) -> Note:
        """Compare, unpack, give the file its name and note what was seen.

        Args:
            path: The file or its part.
            note: What was noted of it before.
            total: The length that the server stated, where it has just come.
        """
        seen = self._compare(path, note, total)
        staged = self.out / f"{self.file.name}.unpacking"
        try:
            n_pictures = self._unpack(path, staged) if self.file.unpack != "none" else None
            verified_by = (*seen.verified_by, *(() if n_pictures is None else ("the archive's own sums",)))
            target = self.out / self.file.name
            if path != target:
                if not verified_by:
                    self._set_aside(
                        path,
                        "neither the source nor the server says how long it is or which hash it has; look at it, "
                        f"and if it is right, call it {self.file.name}",
                    )
                path.replace(target)
                _beside(path).unlink(missing_ok=True)
            if self.file.into is not None:
                _move_pictures(staged, self.out / self.file.into)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        kept = seen.model_copy(update={"verified_by": verified_by, "pictures": n_pictures})
        _write_notes(self.out, _read_notes(self.out) | {self.file.name: kept})
        return kept

    def _compare(self, path: Path, note: Note | None, total: int | None) -> Note:
        """Read the file once and hold it against all that is known of it."""
        length = path.stat().st_size
        mtime_ns = path.stat().st_mtime_ns
        if self.file.bytes is not None and length != self.file.bytes:
            self._set_aside(path, f"got {length} bytes, expected {self.file.bytes}")
        if self.file.unpack == "none" and _is_no_table(path):
            self._set_aside(path, "it is empty or a web page, and no table")
        sha256, md5 = _hashes(path)
        published = {"sha256": (sha256, self.file.sha256), "md5": (md5, self.file.md5)}
        if not (self.file.sha256 or self.file.md5):
            published[f"sha256 noted in {NOTES}"] = (sha256, note.sha256 if note else None)
        for what, (got, expected) in published.items():
            if expected is not None and got != expected:
                self._set_aside(path, f"{what}: got {got}, expected {expected}")
        verified_by = [what for what, (_, expected) in published.items() if expected is not None]
        if self.file.bytes is not None:
            verified_by.insert(0, "published length")
        elif total is not None:
            verified_by.insert(0, "server's length")
        return Note(
            bytes=length,
            sha256=sha256,
            md5=md5,
            verified_by=tuple(verified_by),
            pictures=None,
            mtime_ns=mtime_ns,
        )

    def _unpack(self, archive: Path, staged: Path) -> int:
        try:
            return unpack(archive, staged)
        except DataError as error:
            self._set_aside(archive, str(error))
            raise

    def _set_aside(self, path: Path, why: str) -> None:
        """Keep what came for a look, out of the way of the next try.

        Raises:
            DataError: Always.
        """
        bad = self.out / f"{self.file.name}.bad"
        path.replace(bad)
        _beside(path).unlink(missing_ok=True)
        raise DataError(
            f"{self.file.name}: {why}; set aside as {bad.name}. Fetch it again; if it stays so, the published file has "
            f"changed: see {self.listing.page}, and delete its entry in {NOTES} if there is one"
        )


class _PartOf(_Strict):
    """Which version of which file a part is of."""

    url: str
    start: int
    """Where the answer began; 0 for a whole file."""
    total: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, url: str, answer: httpx.Response) -> _PartOf:
        start, total = 0, _number(answer.headers.get("Content-Length"))
        if answer.status_code == 206:
            place = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
            start = int(place[1]) if place else -1  # -1 is nowhere: such a part fits to no other
            total = _number(place[3]) if place else None
        return cls(
            url=url,
            start=start,
            total=total,
            etag=answer.headers.get("ETag"),
            modified=answer.headers.get("Last-Modified"),
        )

    @property
    def if_range(self) -> str | None:
        """What makes a server send the whole file if it changed. A weak tag must not (RFC 9110, 13.1.5)."""
        return self.etag if self.etag is not None and not self.etag.startswith("W/") else self.modified

    def same_version(self, other: _PartOf) -> bool:
        """Whether nothing that both state differs: some servers do not heed If-Range."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return all(mine == theirs for mine, theirs in pairs if mine is not None and theirs is not None)

    def filled_from(self, was: _PartOf) -> _PartOf:
        """With what an earlier answer stated and this one left out."""
        known = {key: value for key, value in self if value is not None}
        return was.model_copy(update=known)

    @classmethod
    def load(cls, part: Path) -> _PartOf | None:
        """None where nothing readable is noted; then the part is of no use."""
        try:
            return cls.model_validate_json(_beside(part).read_bytes())
        except (OSError, ValidationError):
            return None

    def save(self, part: Path) -> None:
        _beside(part).write_text(self.model_dump_json() + "\n", encoding="utf-8")


def unpack(archive: Path, folder: Path, *, most_bytes: int | None = None) -> int:
    """The pictures of a `tar.gz`, by their last name, into a new folder. Reads to the last byte, so that damage shows.

    Args:
        archive: What came from outside: nothing in it is believed.
        folder: Made here; what an earlier run left in it is removed. On an error the caller removes it.
        most_bytes: The archive may unpack to; None means four times its size and 64 MiB: a PNG cannot be packed much.

    Returns:
        How many pictures.

    Raises:
        DataError: If the archive is cut off, damaged or empty, too large unpacked, or holds anything but plain `.png`
            files and their folders: a link, a device, an absolute path, a `..`, the same name twice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    most_bytes = 4 * archive.stat().st_size + LARGEST_PICTURE_BYTES if most_bytes is None else most_bytes
    seen: set[str] = set()
    try:
        with _BoundedGzip(archive, most_bytes) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as members:
                for number, member in enumerate(members):
                    if number == MOST_MEMBERS:
                        raise DataError(f"the archive has more than {MOST_MEMBERS} members; no source has so many")
                    name = _picture_name(member, folder)
                    if name is None:
                        continue
                    if name.casefold() in seen:
                        raise DataError(f"the archive has two pictures called {name!r}")
                    seen.add(name.casefold())
                    content = members.extractfile(member)
                    assert content is not None, "a regular member has content"
                    (folder / name).write_bytes(content.read())
            stream.require_end()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"the archive is cut off or damaged ({error})") from error
    if not seen:
        raise DataError("the archive holds no picture")
    return len(seen)


def _picture_name(member: tarfile.TarInfo, folder: Path) -> str | None:
    """The last name of a picture, or None for a folder.

    Raises:
        DataError: If the member is neither.
    """
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise DataError(f"the archive's member {member.name!r} leads out of its folder")
    try:
        tarfile.data_filter(member, str(folder))
    except tarfile.FilterError as error:
        raise DataError(f"the archive's member {member.name!r} is not safe ({error})") from error
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        raise DataError(f"the archive's member {member.name!r} is a link or a device; only plain files are unpacked")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.png", path.name):
        raise DataError(f"the archive's member {member.name!r} is no .png file; nothing else is unpacked")
    if member.size > LARGEST_PICTURE_BYTES:
        raise DataError(f"the archive's member {member.name!r} announces {member.size} bytes; no picture has so many")
    return path.name


class _BoundedGzip(gzip.GzipFile):
    """A gzip stream that gives no more than is allowed, and remembers how it ended."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path, "rb")
        self._most_bytes = most_bytes
        self._last = b""

    def read(self, size: int | None = -1) -> bytes:
        """Read on.

        Raises:
            DataError: If a header asks for more than the largest picture, or too much has come.
        """
        if size is None or not 0 <= size <= LARGEST_PICTURE_BYTES:
            raise DataError("a header in the archive asks for more memory than the largest picture")
        self._last = super().read(size)
        if self.tell() > self._most_bytes:
            raise DataError(f"the archive unpacks to more than {self._most_bytes} bytes; no pictures pack so well")
        return self._last

    def require_end(self) -> None:
        """Read what follows the archive's end, so that gzip checks its sum.

        Raises:
            DataError: If the members ended at something other than the end: tarfile stops there without a word.
        """
        while not self._last.strip(b"\0"):
            if not self.read(_CHUNK_BYTES):
                return
        raise DataError("the archive is damaged: bytes that are no member follow the last one")


@contextmanager
def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer after all redirects, its content still to come.

    Raises:
        DataError: If a redirect leads away from https, or in a circle.
    """
    for _ in range(MOST_REDIRECTS + 1):
        with client.stream("GET", url, headers=headers) as answer:
            if not answer.has_redirect_location:
                yield answer
                return
            target = str(answer.url.join(answer.headers["Location"]))
        if not _may_follow(url, target):
            raise DataError(f"{_host(url)} redirects to {_scheme(target)}://{_host(target)}; only https is followed")
        url = target
    raise DataError(f"{_host(url)} redirects more than {MOST_REDIRECTS} times")


def _may_follow(url: str, target: str) -> bool:
    """To https; or on this machine, from http to http."""
    if _scheme(target) == "https":
        return True
    here = {"localhost", "127.0.0.1", "::1"}
    return _scheme(url) == _scheme(target) == "http" and {_host(url), _host(target)} <= here


def _require_web(url: str) -> None:
    if _scheme(url) not in ("http", "https") or not _host(url):
        raise ValueError(f"url {url!r} is none of the web: it begins with https://")


def _scheme(url: str) -> str:
    return urlsplit(url).scheme.lower()


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _stock(file: PublishedFile, out: Path, notes: dict[str, Note]) -> Stock:
    path = out / file.name
    if path.is_file():
        note = notes.get(file.name)
        verified = note is not None and _still_stands(file, path, note) and _pictures_are_there(file, out, notes)
        return Stock(file, "verified" if verified else "to verify", path.stat().st_size)
    if file.url is None:
        return Stock(file, "by hand", 0)
    here = _size(_part_of(path))
    return Stock(file, "partly" if here else "to fetch", here)


def _still_stands(file: PublishedFile, path: Path, note: Note) -> bool:
    """Whether the file is untouched since it was noted, and no other hash was published meanwhile."""
    stat = path.stat()
    return (
        (stat.st_size, stat.st_mtime_ns) == (note.bytes, note.mtime_ns)
        and file.bytes in (None, note.bytes)
        and (file.sha256 is None or (file.sha256 == note.sha256 and "sha256" in note.verified_by))
        and (file.md5 is None or (file.md5 == note.md5 and "md5" in note.verified_by))
    )


def _pictures_are_there(file: PublishedFile, out: Path, notes: dict[str, Note]) -> bool:
    """Whether the archive was unpacked and the folder holds as many pictures as all archives together gave."""
    if file.into is None:
        return True
    if notes[file.name].pictures is None:
        return False
    folder = out / file.into
    n_there = sum(path.suffix == ".png" for path in folder.iterdir()) if folder.is_dir() else 0
    return n_there >= sum(note.pictures or 0 for note in notes.values())


def _missing(stock: Stock) -> int:
    """Bytes still to come, as far as the length is known."""
    if stock.state not in ("partly", "to fetch") or stock.file.bytes is None:
        return 0
    return max(stock.file.bytes - stock.bytes_here, 0)


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hashes(path: Path) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()


def _is_no_table(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return not start or start.startswith(b"<")


def _move_pictures(staged: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for picture in staged.iterdir():
        picture.replace(folder / picture.name)


def _read_notes(out: Path) -> dict[str, Note]:
    path = out / NOTES
    if not path.is_file():
        return {}
    try:
        return _Notes.model_validate_json(path.read_bytes()).files
    except ValidationError as error:
        raise DataError(f"{NOTES} is damaged; delete it, and the files that are there are verified anew") from error


def _write_notes(out: Path, notes: dict[str, Note]) -> None:
    fresh = out / f"{NOTES}.part"
    ordered = _Notes(files=dict(sorted(notes.items())))
    fresh.write_text(ordered.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.replace(out / NOTES)


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
        if error.errno in _DISK_FULL:
            raise DiskFullError(
                f"{name}: the disk is full ({error.strerror}); what came so far is kept. Make room and run the command "
                "again: it goes on from there"
            ) from error
        raise DataError(f"{name}: cannot be written or read on this disk ({error.strerror})") from error
