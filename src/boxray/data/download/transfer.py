"""One file over the line: begun, cut, gone on with, whole; then held against all that is known of it.

It grows as `<name>.part`; `<name>.part.json` notes which version it is a part of.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

import httpx
from pydantic import BaseModel, ValidationError

from boxray.core.errors import DataError
from boxray.data.download.listing import NOTES, Note, PublishedFile, size_of
from boxray.data.download.unpack import unpack

MOST_REDIRECTS: Final = 5
LONGEST_WAIT_S: Final = 300
"""A server may ask for more by Retry-After; then the run ends, and the next one goes on."""

NEW_GROUND_BYTES: Final = 16 * 2**20
"""Tries are counted anew after so many new bytes: a file of 4 GB may outlive many cuts."""

_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be better on the next try."""

_SAID: Final = {
    403: "the server refuses: it wants a log-in, or your network does not let you through",
    404: "the file is no longer at this address",
    407: "your network's proxy wants a log-in: set HTTPS_PROXY=http://name:password@host:port",
    410: "the file was withdrawn",
    429: "the server is asked too often",
    503: "the server is busy or being repaired",
}

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a cut line is tried again."""

    waits_s: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60)
    """One wait before each new try: eight tries in all, two minutes."""
    sleep: Callable[[float], None] = time.sleep


class _CutError(Exception):
    """A try ended before the file was whole; another one may go further."""

    def __init__(self, reason: str, wait_s: float = 0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file on its way."""

    client: httpx.Client
    file: PublishedFile
    part: Path
    by_hand: str
    """What people do where it cannot be fetched."""
    progress: Progress
    patience: Patience

    def run(self) -> int | None:
        """Bring the part to its full length, which the server stated; None if it did not.

        Raises:
            DataError: If the server refuses, something else came, or every try was cut; then the part stays.
        """
        tried, furthest = 0, size_of(self.part)
        while True:
            try:
                return self._one_try()
            except _CutError as cut:
                here = size_of(self.part)
                if here >= furthest + NEW_GROUND_BYTES:
                    tried = 0
                furthest = max(furthest, here)
                if tried == len(self.patience.waits_s) or cut.wait_s > LONGEST_WAIT_S:
                    raise DataError(
                        f"{self.file.name}: {cut}; gave up after {tried + 1} tries. Run the command again later: "
                        f"it goes on after the {here} bytes that are here"
                    ) from cut
                self.patience.sleep(max(self.patience.waits_s[tried], cut.wait_s))
                tried += 1

    def _one_try(self) -> int | None:
        assert self.file.url is not None, "files without a link are brought by people"
        have, was = size_of(self.part), _Version.of_part(self.part, self.file.url)
        if was and have == (was.total or self.file.bytes):
            return was.total  # an earlier run ended before it was verified
        would_tell = self.file.sha256 or self.file.md5 or self.file.into  # that two versions were put together
        if was and not (was.if_range or would_tell):
            was = None
        headers = {"Accept-Encoding": "identity"}
        if was:
            headers |= {"Range": f"bytes={have}-"} | ({"If-Range": was.if_range} if was.if_range else {})
        try:
            with _answer(self.client, self.file.url, headers) as answer:
                total = self._understand(answer, was)
                self._take(answer, total or self.file.bytes)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._cut(error)
        whole = total or self.file.bytes
        if whole is not None and size_of(self.part) < whole:
            raise _CutError(f"the line was cut: {size_of(self.part)} of {whole} bytes came")
        return total

    def _understand(self, answer: httpx.Response, was: _Version | None) -> int | None:
        """The whole file's length, if stated. Where the answer does not go on with our part, that is emptied."""
        if answer.status_code == 416:
            self._begin_anew()
            raise _CutError("the server has no bytes after ours, so the file must have changed; it begins anew")
        self._require_file(answer)
        stated, goes_on = answer.headers.get("Content-Length", ""), False
        if answer.status_code == 206:
            place = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", answer.headers.get("Content-Range", ""))
            goes_on = place is not None and place[1] == str(size_of(self.part))
            stated = place[2] if place else ""
        total = int(stated) if re.fullmatch(r"[0-9]{1,18}", stated) else None
        if total is not None and self.file.bytes not in (None, total):
            self._refuse(
                f"the server announces {total} bytes, {self.file.bytes} were published: the file changed, or "
                "something else came"
            )
        tag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        now: _Version | None = _Version(url=str(self.file.url), total=total, etag=tag, modified=modified)
        if answer.status_code == 206:
            now = now.joined_to(was) if now and was and goes_on else None
        if now is None or answer.status_code == 200:
            self._begin_anew()
        if now is None:
            raise _CutError("the server does not go on where ours ends: the file changed, or it miscounts")
        now.save(self.part)
        return now.total

    def _require_file(self, answer: httpx.Response) -> None:
        """A refusal, a web page or a file packed once more would be taken for the file."""
        host, status = answer.url.host, answer.status_code
        if status not in (200, 206):
            said = f"{host} answers {status}: {_SAID.get(status) or answer.reason_phrase or 'no file'}"
            if status in _PASSING:
                asked = answer.headers.get("Retry-After", "")
                raise _CutError(said, float(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0)
            self._refuse(said)
        if answer.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml+xml")):
            self._refuse(f"{host} sent a web page in place of the file, as log-ins and repairs do")
        packed = answer.headers.get("Content-Encoding", "identity").lower()
        if packed != "identity" and self.file.unpack == "none":
            self._refuse(f"asked for the plain file, got it packed by {packed}")

    def _take(self, answer: httpx.Response, most: int | None) -> None:
        """Write what comes, at once: what is on the disk need not come again."""
        with self.part.open("ab", buffering=0) as file:
            for chunk in answer.iter_raw():
                if most is not None and file.tell() + len(chunk) > most:
                    self._begin_anew()
                    self._refuse(f"more than the {most} bytes came that it should have")
                rest = memoryview(chunk)
                while rest:  # an unbuffered file may take less than it is given, on the last free bytes
                    n_written = file.write(rest)
                    self.progress(self.file.name, n_written)
                    rest = rest[n_written:]
            os.fsync(file.fileno())

    def _begin_anew(self) -> None:
        self.progress(self.file.name, -size_of(self.part))
        remove_part(self.part)

    def _refuse(self, why: str) -> Never:
        raise DataError(f"{self.file.name}: {why}. {self.by_hand}")

    def _cut(self, error: Exception) -> Never:
        host = httpx.URL(self.file.url or "").host
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise DataError(
                f"{self.file.name}: the certificate of {host} is not trusted here. If your network looks into "
                "encrypted lines, set SSL_CERT_FILE to the file of its certificates"
            ) from error
        unopened = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        what = "could not be opened" if unopened else "was cut"
        raise _CutError(f"the line to {host} {what} ({str(error) or type(error).__name__})") from error


class _Version(BaseModel):
    """Which version of which file a part is of."""

    url: str
    total: int | None
    etag: str | None
    modified: str | None

    @property
    def if_range(self) -> str | None:
        """What makes a server send the whole file if it changed. A weak tag must not (RFC 9110, 13.1.5)."""
        return self.etag if self.etag is not None and not self.etag.startswith("W/") else self.modified

    def joined_to(self, was: _Version) -> _Version | None:
        """What two answers state together; None where they differ, as some servers do not heed If-Range."""
        stated = {key: value for key, value in self if value is not None}
        same = all(getattr(was, key) in (None, value) for key, value in stated.items())
        return was.model_copy(update=stated) if same else None

    @classmethod
    def of_part(cls, part: Path, url: str) -> _Version | None:
        """None where nothing readable is noted, or another address; then the part is of no use."""
        try:
            was = cls.model_validate_json(_beside(part).read_bytes())
        except (OSError, ValidationError):
            return None
        return was if was.url == url and size_of(part) else None

    def save(self, part: Path) -> None:
        _beside(part).write_text(self.model_dump_json() + "\n", encoding="utf-8")


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def remove_part(part: Path) -> None:
    """And what is noted of it."""
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)


@contextmanager
def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer after all redirects, its content still to come.

    Raises:
        DataError: If a redirect leads to another host without https, or in a circle.
    """
    here = httpx.URL(url)
    for _ in range(MOST_REDIRECTS + 1):
        with client.stream("GET", here, headers=headers) as answer:
            if not answer.has_redirect_location:
                yield answer
                return
            target = here.join(answer.headers["Location"])
        if target.scheme != "https" and (target.scheme, target.host) != (here.scheme, here.host):
            raise DataError(f"{here.host} redirects to {target.scheme}://{target.host}; only https is followed")
        here = target
    raise DataError(f"{here.host} redirects more than {MOST_REDIRECTS} times")


def verify(file: PublishedFile, path: Path, staged: Path, note: Note | None, total: int | None) -> Note:
    """Hold a file against all that is known of it, and unpack an archive.

    Args:
        file: As published.
        path: The file, or its part.
        staged: Folder for an archive's pictures, made here; the caller moves or removes it.
        note: Of an earlier download; its hash counts where none is published.
        total: The length that the server stated, in bytes; None where nothing came over the line, or it stated none.

    Returns:
        What was seen.

    Raises:
        DataError: If it is not what was published, or came over the line and nobody says anything of it.
    """
    stat = path.stat()
    if file.bytes not in (None, stat.st_size):
        raise DataError(f"got {stat.st_size} bytes, expected {file.bytes}")
    if file.unpack == "none" and _is_no_table(path):
        raise DataError("it is empty or a web page, and no table")
    sha256, md5 = _hashes(path)
    known = [("sha256", sha256, file.sha256), ("md5", md5, file.md5)]
    if note and not (file.sha256 or file.md5):
        known = [(f"sha256 noted in {NOTES}", sha256, note.sha256)]
    verified_by = ["published length"] if file.bytes else ["server's length"] if total else []
    for what, got, expected in known:
        if expected not in (None, got):
            raise DataError(f"{what}: got {got}, expected {expected}")
        verified_by += [what] if expected else []
    pictures = unpack(path, staged) if file.into else None
    verified_by += ["the archive's own sums"] if pictures else []
    if not verified_by and path.name != file.name:
        raise DataError(
            "neither the source nor the server says how long it is or which hash it has; look at it, and if it is "
            f"right, call it {file.name}"
        )
    return Note(
        bytes=stat.st_size,
        sha256=sha256,
        md5=md5,
        verified_by=tuple(verified_by),
        pictures=pictures,
        mtime_ns=stat.st_mtime_ns,
    )


def _hashes(path: Path) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()


def _is_no_table(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return not start or start.startswith(b"<")
