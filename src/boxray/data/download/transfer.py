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
from boxray.data.download.listing import Note, PublishedFile
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


class _Version(BaseModel):
    """Which version of which file a part is of, as far as the server stated it."""

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


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file on its way."""

    client: httpx.Client
    file: PublishedFile
    page: str
    """Where people get it by hand."""
    part: Path
    progress: Progress
    patience: Patience

    @property
    def by_hand(self) -> str:
        """What to do where it cannot be fetched."""
        return (
            f"By hand: open {self.page}, get {self.file.name}, put it into the folder {self.part.parent.name}/ and run "
            "this command again, which verifies it"
        )

    def run(self) -> int | None:
        """Bring the part to its full length, which the server stated; None if it did not.

        Raises:
            DataError: If the server refuses, something else came, or every try was cut; then the part stays.
        """
        tried, furthest = 0, self._here
        while True:
            try:
                return self._one_try()
            except _CutError as cut:
                tried = 0 if self._here >= furthest + NEW_GROUND_BYTES else tried
                furthest = max(furthest, self._here)
                if tried == len(self.patience.waits_s) or cut.wait_s > LONGEST_WAIT_S:
                    raise DataError(
                        f"{self.file.name}: {cut}; gave up after {tried + 1} tries. Run the command again later: "
                        f"it goes on after the {self._here} bytes that are here"
                    ) from cut
                self.patience.sleep(max(self.patience.waits_s[tried], cut.wait_s))
                tried += 1

    def drop_part(self) -> None:
        """Take back what came; nothing is left of it."""
        self.progress(self.file.name, -self._here)
        self.part.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)

    @property
    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def _beside(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _version_here(self) -> _Version | None:
        """Of the part; None where there is none, or it is of no use: nothing readable is noted, or another address."""
        try:
            was = _Version.model_validate_json(self._beside.read_bytes())
        except (OSError, ValidationError):
            return None
        return was if self._here and was.url == self.file.url else None

    def _one_try(self) -> int | None:
        assert self.file.url is not None, "files without a link are brought by people"
        was = self._version_here()
        if was and self._here == (was.total or self.file.bytes):
            return was.total  # an earlier run ended before it was verified
        if was and not (was.if_range or self.file.sha256 or self.file.md5 or self.file.into):
            was = None  # nothing would tell that parts of two versions were put together
        headers = {"Accept-Encoding": "identity"}
        if was:
            headers |= {"Range": f"bytes={self._here}-"} | ({"If-Range": was.if_range} if was.if_range else {})
        try:
            with _answer(self.client, self.file.url, headers) as answer:
                total = self._understand(answer, was)
                self._take(answer, total or self.file.bytes)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._cut(error)
        whole = total or self.file.bytes
        if whole is not None and self._here < whole:
            raise _CutError(f"the line was cut: {self._here} of {whole} bytes came")
        return total

    def _understand(self, answer: httpx.Response, was: _Version | None) -> int | None:
        """The whole file's length, if stated. Where the answer does not go on with the part, that is dropped."""
        goes_on, head = answer.status_code in (206, 416), answer.headers
        if answer.status_code != 416:
            self._require_file(answer)
        place = head.get("Content-Range", "")
        stated = place.rpartition("/")[2] if goes_on else head.get("Content-Length", "")
        now = _Version(
            url=str(self.file.url),
            total=int(stated) if re.fullmatch(r"[0-9]{1,18}", stated) else None,
            etag=head.get("ETag"),
            modified=head.get("Last-Modified"),
        )
        if goes_on:
            joined = now.joined_to(was) if was and place.startswith(f"bytes {self._here}-") else None
            if joined is None:
                self.drop_part()
                raise _CutError("the server does not go on where ours ends: the file changed, or it miscounts")
            now = joined
        if now.total is not None and self.file.bytes not in (None, now.total):
            self._refuse(f"the server announces {now.total} bytes, {self.file.bytes} were published: the file changed")
        if not goes_on:
            self.drop_part()
        self._beside.write_text(now.model_dump_json() + "\n", encoding="utf-8")
        return now.total

    def _require_file(self, answer: httpx.Response) -> None:
        """A refusal, a web page or a file packed once more would be taken for the file."""
        host, status = answer.url.host, answer.status_code
        if status not in (200, 206):
            said = f"{host} answers {status}: {_SAID.get(status) or answer.reason_phrase}"
            if status not in _PASSING:
                self._refuse(said)
            asked = answer.headers.get("Retry-After", "")
            raise _CutError(said, float(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else 0)
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
                    self.drop_part()
                    self._refuse(f"more than the {most} bytes came that it should have")
                rest = memoryview(chunk)
                while rest:  # an unbuffered file may take less than it is given, on the last free bytes
                    n_written = file.write(rest)
                    self.progress(self.file.name, n_written)
                    rest = rest[n_written:]
            os.fsync(file.fileno())

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
        path: Where it lies, or its part.
        staged: Folder for an archive's pictures, made here; the caller removes it.
        note: Of an earlier download; its hash counts where none is published.
        total: Its length as the server stated it, in bytes; None where nothing came over the line, or it did not.

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
        known = [("sha256 noted in downloads.json", sha256, note.sha256)]
    for what, got, expected in known:
        if expected not in (None, got):
            raise DataError(f"{what}: got {got}, expected {expected}")
    pictures = unpack(path, staged) if file.into else None
    length = "published length" if file.bytes else "server's length"
    hashes = ((what, expected) for what, _, expected in known)
    held = ((length, file.bytes or total), *hashes, ("the archive's own sums", pictures))
    verified_by = tuple(what for what, value in held if value)
    if not verified_by and path.name != file.name:
        raise DataError(
            "neither the source nor the server says how long it is or which hash it has; look at it, and if it is "
            f"right, call it {file.name}"
        )
    return Note(
        published=file,
        bytes=stat.st_size,
        sha256=sha256,
        verified_by=verified_by,
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
