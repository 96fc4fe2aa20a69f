"""Fetching a source, against a server on this machine that does what servers do."""

import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.errors import DataError
from boxray.data.download import DiskFullError, Listing, Outcome, Patience, download, load_listing, plan, transfer
from boxray.data.download import unpack as archives
from boxray.data.download.listing import PublishedFile
from boxray.data.download.unpack import unpack
from making import write_text

CONTENT = b"Image Index,Finding Labels\n" + random.Random(1).randbytes(200_000)
OTHER = b"Image Index,Other Labels\n" + random.Random(2).randbytes(230_000)
PAGE = "https://example.org/the-page"
PICTURES = {f"0000000{n}_000.png": random.Random(n).randbytes(3000 + n) for n in range(1, 6)}


class Handler(BaseHTTPRequestHandler):
    """Does what the next entry of the server's script says; without one, what a good server does."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append({"path": self.path, **dict(self.headers.items())})
        step = self.server.script.pop(0) if self.server.script else well
        self.close_connection = True
        step(self)

    def log_message(self, *_: object) -> None:
        pass

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.script: list[Callable[[Handler], None]] = []
        self.asked: list[dict[str, str]] = []
        self.modified: str | None = None
        self.tagged = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file"

    @property
    def versions(self) -> dict[str, str]:
        """The headers that tell one version from another."""
        tag = {"ETag": f'"{hashlib.sha256(self.content).hexdigest()[:8]}"'} if self.tagged else {}
        return tag | ({"Last_Modified": self.modified} if self.modified else {})


def well(handler: Handler, *, most: int | None = None, heeds_if_range: bool = True) -> None:
    """Range, If-Range and 416 as RFC 9110 has them; the line is cut after `most` bytes."""
    content, versions = handler.server.content, handler.server.versions
    asked, if_range = handler.headers.get("Range"), handler.headers.get("If-Range")
    if asked and heeds_if_range and if_range and if_range not in versions.values():
        asked = None
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    if asked and start >= len(content):
        return handler.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
    if asked:
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206, Content_Range=place, Content_Length=len(content) - start, **versions)
    else:
        handler.head(200, Content_Length=len(content), **versions)
    handler.wfile.write(content[start:][:most])
    return None


def cut_after(n_bytes: int) -> Callable[[Handler], None]:
    return lambda handler: well(handler, most=n_bytes)


def heedless(handler: Handler) -> None:
    """Gives the range of whatever the file is now."""
    well(handler, heeds_if_range=False)


def without_ranges(most: int | None = None) -> Callable[[Handler], None]:
    def whole(handler: Handler) -> None:
        content = handler.server.content
        handler.head(200, Content_Length=len(content), **handler.server.versions)
        handler.wfile.write(content[:most])

    return whole


def claims(n_bytes: int | None) -> Callable[[Handler], None]:
    """Another Content-Length than the content has; None leaves it out."""

    def lie(handler: Handler) -> None:
        headers = {} if n_bytes is None else {"Content_Length": n_bytes}
        handler.head(200, **headers, **handler.server.versions)
        handler.wfile.write(handler.server.content)

    return lie


def answers(status: int, **headers: object) -> Callable[[Handler], None]:
    return lambda handler: handler.head(status, Content_Length=0, **headers)


def changes_to(content: bytes, then: Callable[[Handler], None]) -> Callable[[Handler], None]:
    def change(handler: Handler) -> None:
        handler.server.content = content
        then(handler)

    return change


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _straight_to_this_machine(monkeypatch, tmp_path_factory):
    """No proxy; and no certificates, as loading them takes longer than most of these tests."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path_factory.getbasetemp()))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    with serving() as one:
        yield one


def listing_of(*files: PublishedFile) -> Listing:
    return Listing(source="made", page=PAGE, files=files)


def a_file(url: str | None, **changes: object) -> PublishedFile:
    nothing = {"name": "table.csv", "url": url, "bytes": None, "sha256": None, "unpack": "none"}
    return PublishedFile.model_validate(nothing | changes)


def an_archive(url: str | None, **changes: object) -> PublishedFile:
    return a_file(url, **{"name": "images_001.tar.gz", "unpack": "tar.gz", "into": "images"} | changes)


def fetch(out: Path, *files: PublishedFile, waits: list[float] | None = None, tries: int = 8) -> list[Outcome]:
    """Download without waiting; the waits are collected."""
    sleep = [].append if waits is None else waits.append
    return download(listing_of(*files), out, patience=Patience(tuple(2.0**n for n in range(tries - 1)), sleep))


def the_one(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def tar_gz(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def picture(name: str, content: bytes = b"\x89PNG") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def good_archive() -> bytes:
    folder = special("images", tarfile.DIRTYPE)
    return tar_gz(folder, *(picture(f"images/{name}", content) for name, content in PICTURES.items()))


# --- what comes -----------------------------------------------------------------------------------------------------


def test_a_file_comes_whole_and_what_was_seen_of_it_is_noted(server, tmp_path):
    outcome = the_one(fetch(tmp_path / "new" / "nih", a_file(server.url)))

    folder = tmp_path / "new" / "nih"
    assert (folder / "table.csv").read_bytes() == CONTENT
    assert outcome.what == "fetched"
    assert outcome.note.verified_by == ("server's length",)
    assert names_in(folder) == {"table.csv", "downloads.json"}
    noted = json.loads((folder / "downloads.json").read_text())["files"]["table.csv"]
    assert noted["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert noted["bytes"] == len(CONTENT)


def test_what_is_there_and_verified_is_not_asked_for_again(server, tmp_path):
    fetch(tmp_path, a_file(server.url))

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert outcome.what == "kept"
    assert len(server.asked) == 1


def test_a_file_that_was_touched_since_is_read_again_before_it_is_believed(server, tmp_path):
    fetch(tmp_path, a_file(server.url))
    touched = bytearray(CONTENT)
    touched[1000] ^= 1
    (tmp_path / "table.csv").write_bytes(touched)

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert outcome.what == "failed"
    assert "sha256 noted in downloads.json: got" in outcome.reason
    assert names_in(tmp_path) == {"table.csv.bad", "downloads.json"}


def test_a_hash_that_was_published_after_the_download_is_compared(server, tmp_path):
    fetch(tmp_path, a_file(server.url))
    right, wrong = hashlib.md5(CONTENT).hexdigest(), "0" * 32

    assert the_one(fetch(tmp_path, a_file(server.url, md5=right))).note.verified_by == ("md5",)
    assert the_one(fetch(tmp_path, a_file(server.url, md5=right))).what == "kept"
    assert the_one(fetch(tmp_path, a_file(server.url, md5=wrong))).what == "failed"
    assert len(server.asked) == 1


def test_progress_adds_up_to_the_file_whatever_is_cut_or_begun_anew(server, tmp_path):
    server.script = [cut_after(50_000), without_ranges(30_000), cut_after(20_000)]
    steps: list[int] = []

    download(
        listing_of(a_file(server.url)),
        tmp_path,
        progress=lambda _, n: steps.append(n),
        patience=Patience(sleep=lambda _: None),
    )

    assert sum(steps) == len(CONTENT)
    assert min(steps) < 0


# --- the line is cut ------------------------------------------------------------------------------------------------


def test_a_line_that_is_cut_three_times_is_tried_again_where_it_ended(server, tmp_path):
    server.script = [cut_after(10_000), cut_after(1), cut_after(120_000)]
    waits: list[float] = []

    fetch(tmp_path, a_file(server.url), waits=waits)

    assert (tmp_path / "table.csv").read_bytes() == CONTENT
    ranges = [request.get("Range") for request in server.asked]
    assert ranges == [None, "bytes=10000-", "bytes=10001-", "bytes=130001-"]
    assert {request.get("If-Range") for request in server.asked[1:]} == {server.versions["ETag"]}
    assert waits == [1, 2, 4]


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=5), ranges=st.booleans(), tagged=st.booleans())
def test_wherever_it_is_cut_the_file_is_the_published_one(tmp_path_factory, cuts, ranges, tagged):
    folder = tmp_path_factory.mktemp("cut")
    with serving() as server:
        server.tagged = tagged
        server.script = [cut_after(n) if ranges else without_ranges(n) for n in cuts]

        fetch(folder, a_file(server.url, sha256=hashlib.sha256(CONTENT).hexdigest()))

    assert (folder / "table.csv").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_sends_it_all_again_and_nothing_is_doubled(server, tmp_path):
    server.script = [without_ranges(70_000), without_ranges()]

    fetch(tmp_path, a_file(server.url))

    assert server.asked[1]["Range"] == "bytes=70000-"
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_after_the_stated_number_of_tries_it_gives_up_and_the_next_run_goes_on(server, tmp_path):
    server.script = [cut_after(1000)] * 3
    waits: list[float] = []

    outcome = the_one(fetch(tmp_path, a_file(server.url), waits=waits, tries=3))

    assert outcome.what == "failed"
    assert "gave up after 3 tries" in outcome.reason
    assert "goes on after the 3000 bytes" in outcome.reason
    assert waits == [1, 2]
    assert (tmp_path / "table.csv.part").stat().st_size == 3000

    assert the_one(fetch(tmp_path, a_file(server.url))).what == "fetched"
    assert server.asked[-1]["Range"] == "bytes=3000-"
    assert names_in(tmp_path) == {"table.csv", "downloads.json"}


def test_tries_are_counted_anew_on_new_ground_but_not_on_old(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "NEW_GROUND_BYTES", 40_000)
    server.script = [cut_after(40_000)] * 5

    assert the_one(fetch(tmp_path / "far", a_file(server.url), tries=2)).what == "fetched"

    server.script = [without_ranges(150_000), without_ranges(10_000)] * 10
    assert the_one(fetch(tmp_path / "back", a_file(server.url), tries=3)).what == "failed"


def test_a_server_that_is_not_there_is_named_and_tried_as_often_as_stated(tmp_path):
    with serving() as gone:
        url = gone.url
    waits: list[float] = []

    outcome = the_one(fetch(tmp_path, a_file(url), waits=waits))

    assert "the line to 127.0.0.1 could not be opened" in outcome.reason
    assert len(waits) == 7


def test_an_untrusted_certificate_is_said_at_once_with_what_to_do(tmp_path, monkeypatch):
    def untrusted(*_: object, **__: object) -> None:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")

    monkeypatch.setattr(httpx.Client, "stream", untrusted)
    waits: list[float] = []

    outcome = the_one(fetch(tmp_path, a_file("https://example.org/x"), waits=waits))

    assert "SSL_CERT_FILE" in outcome.reason
    assert waits == []


def test_a_part_that_was_whole_when_the_run_was_killed_is_verified_without_asking(server, tmp_path):
    server.script = [cut_after(len(CONTENT) - 1)]
    fetch(tmp_path, a_file(server.url), tries=1)
    with (tmp_path / "table.csv.part").open("ab") as part:
        part.write(CONTENT[-1:])

    assert the_one(fetch(tmp_path, a_file(server.url))).what == "fetched"
    assert len(server.asked) == 1
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


# --- the file changes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [well, heedless, without_ranges()])
def test_a_file_that_changes_between_two_tries_begins_anew(server, tmp_path, change):
    server.script = [cut_after(50_000), changes_to(OTHER, change)]

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert (tmp_path / "table.csv").read_bytes() == OTHER
    assert outcome.note.bytes == len(OTHER)


def test_a_range_that_begins_elsewhere_is_not_joined_to_the_part(server, tmp_path):
    def elsewhere(handler: Handler) -> None:
        content = handler.server.content
        place = f"bytes 40000-{len(content) - 1}/{len(content)}"
        handler.head(206, Content_Range=place, Content_Length=len(content) - 40_000, **handler.server.versions)
        handler.wfile.write(content[40_000:])

    server.script = [cut_after(50_000), elsewhere]

    fetch(tmp_path, a_file(server.url))

    assert [request.get("Range") for request in server.asked] == [None, "bytes=50000-", None]
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_a_range_without_its_tag_does_not_make_the_version_forgotten(server, tmp_path):
    def bare(handler: Handler) -> None:
        handler.head(206, Content_Range=f"bytes 50000-{len(CONTENT) - 1}/*", Content_Length=len(CONTENT) - 50_000)
        handler.wfile.write(CONTENT[50_000:60_000])

    server.script = [cut_after(50_000), bare]

    fetch(tmp_path, a_file(server.url))

    assert server.asked[2]["If-Range"] == server.versions["ETag"]
    assert server.asked[2]["Range"] == "bytes=60000-"
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_a_date_stands_in_for_a_tag(server, tmp_path):
    server.tagged, server.modified = False, "Sat, 04 Nov 2017 10:00:00 GMT"
    server.script = [cut_after(50_000)]

    fetch(tmp_path, a_file(server.url))

    assert server.asked[1]["If-Range"] == server.modified
    assert server.asked[1]["Range"] == "bytes=50000-"


@pytest.mark.parametrize(
    ("hashes", "second"),
    [
        pytest.param({}, None, id="nothing-would-notice-two-halves-of-two-versions"),
        pytest.param({"sha256": hashlib.sha256(CONTENT).hexdigest()}, "bytes=50000-", id="the-hash-would"),
    ],
)
def test_without_tag_or_date_a_part_is_only_used_where_a_hash_would_tell(server, tmp_path, hashes, second):
    server.tagged = False
    server.script = [cut_after(50_000)]

    fetch(tmp_path, a_file(server.url, **hashes))

    assert server.asked[1].get("Range") == second
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_a_weak_tag_is_no_condition_but_two_different_ones_are_two_versions(server, tmp_path):
    def weak(tag: str, n_bytes: int | None = None) -> Callable[[Handler], None]:
        def step(handler: Handler) -> None:
            handler.server.tagged, handler.server.modified = False, None
            handler.server.__class__ = type("Weak", (Server,), {"versions": {"ETag": f'W/"{tag}"'}})
            well(handler, most=n_bytes)

        return step

    server.script = [weak("a", 50_000), changes_to(OTHER, weak("b")), weak("b")]

    fetch(tmp_path, a_file(server.url, sha256=hashlib.sha256(OTHER).hexdigest()))

    assert "If-Range" not in server.asked[1]
    assert [request.get("Range") for request in server.asked] == [None, "bytes=50000-", None]
    assert (tmp_path / "table.csv").read_bytes() == OTHER


def test_a_part_longer_than_the_file_has_become_begins_anew(server, tmp_path):
    server.script = [cut_after(150_000), changes_to(CONTENT[:100_000], heedless)]

    fetch(tmp_path, a_file(server.url))

    assert (tmp_path / "table.csv").read_bytes() == CONTENT[:100_000]


def test_a_part_of_another_address_or_without_its_note_is_not_gone_on_with(server, tmp_path):
    for spoil in (
        lambda note: note.unlink(),
        lambda note: note.write_text("{"),
        lambda note: note.write_text(note.read_text().replace("/file", "/other")),
    ):
        server.script = [cut_after(50_000)]
        fetch(tmp_path, a_file(server.url), tries=1)
        spoil(tmp_path / "table.csv.part.json")

        fetch(tmp_path, a_file(server.url))

        assert "Range" not in server.asked[-1]
        assert (tmp_path / "table.csv").read_bytes() == CONTENT
        (tmp_path / "table.csv").unlink()


# --- the server lies -----------------------------------------------------------------------------------------------


def test_a_length_that_is_never_reached_is_a_cut_line_and_ends(server, tmp_path):
    """The server says 1,000 bytes more than it has, whatever part is asked for."""
    server.script = [claims(len(CONTENT) + 1000)] * 3

    outcome = the_one(fetch(tmp_path, a_file(server.url), tries=3))

    assert outcome.what == "failed"
    assert "gave up after 3 tries" in outcome.reason
    assert not (tmp_path / "table.csv").exists()


@pytest.mark.parametrize("claimed", [len(CONTENT) - 1000, len(CONTENT) + 1000])
def test_a_length_other_than_the_published_one_is_refused_before_a_byte_is_kept(server, tmp_path, claimed):
    server.script = [claims(claimed)]

    outcome = the_one(fetch(tmp_path, a_file(server.url, bytes=len(CONTENT))))

    assert f"the server announces {claimed} bytes, {len(CONTENT)} were published" in outcome.reason
    assert len(server.asked) == 1
    assert names_in(tmp_path) == set()


def test_a_length_that_is_too_short_is_told_by_the_hash(server, tmp_path):
    server.script = [claims(len(CONTENT) - 1000)]

    outcome = the_one(fetch(tmp_path, a_file(server.url, sha256=hashlib.sha256(CONTENT).hexdigest())))

    assert "sha256: got" in outcome.reason
    assert (tmp_path / "table.csv.bad").stat().st_size == len(CONTENT) - 1000


def test_a_length_that_is_too_short_is_told_by_the_archive_itself(server, tmp_path):
    server.content = good_archive()
    server.script = [claims(len(server.content) - 100)]

    outcome = the_one(fetch(tmp_path, an_archive(server.url)))

    assert "the archive is cut off or damaged" in outcome.reason
    assert names_in(tmp_path) == {"images_001.tar.gz.bad"}


def test_a_missing_length_is_made_up_for_by_the_published_one(server, tmp_path):
    def silent(handler: Handler) -> None:
        handler.head(200, **handler.server.versions)
        handler.wfile.write(handler.server.content[:60_000])

    server.script = [silent]

    outcome = the_one(fetch(tmp_path, a_file(server.url, bytes=len(CONTENT))))

    assert server.asked[1]["Range"] == "bytes=60000-"
    assert outcome.note.verified_by == ("published length",)
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_without_any_length_more_than_was_published_is_not_written(server, tmp_path):
    server.script = [claims(None)]

    outcome = the_one(fetch(tmp_path, a_file(server.url, bytes=len(CONTENT) - 1)))

    assert f"more than the {len(CONTENT) - 1} bytes came" in outcome.reason
    assert names_in(tmp_path) == set()


def test_a_file_of_which_nobody_says_anything_is_set_aside_and_may_be_taken_by_hand(server, tmp_path):
    server.script = [claims(None)]

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert "neither the source nor the server says how long it is" in outcome.reason
    (tmp_path / "table.csv.bad").rename(tmp_path / "table.csv")
    by_hand = the_one(fetch(tmp_path, a_file(server.url)))
    assert by_hand.what == "unverified"
    assert by_hand.note.verified_by == ()


def test_a_web_page_in_place_of_the_file_is_said_and_costs_no_part(server, tmp_path):
    server.script = [cut_after(50_000), answers(200, Content_Type="text/html; charset=utf-8")]

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert "sent a web page in place of the file" in outcome.reason
    assert PAGE in outcome.reason
    assert (tmp_path / "table.csv.part").stat().st_size == 50_000


def test_a_table_that_comes_packed_although_the_plain_one_was_asked_for_is_refused(server, tmp_path):
    server.script = [answers(200, Content_Encoding="gzip")]

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert server.asked[0]["Accept-Encoding"] == "identity"
    assert "got it packed by gzip" in outcome.reason


# --- the server refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "no longer at this address"), (403, "wants a log-in"), (410, "withdrawn"), (400, "Bad Request")],
)
def test_a_refusal_is_said_in_words_with_the_way_by_hand_and_not_asked_again(server, tmp_path, status, said):
    server.script = [answers(status)]
    waits: list[float] = []

    outcome = the_one(fetch(tmp_path, a_file(server.url), waits=waits))

    assert f"127.0.0.1 answers {status}: " in outcome.reason
    assert said in outcome.reason
    assert PAGE in outcome.reason
    assert str(tmp_path) not in outcome.reason
    assert (len(server.asked), waits) == (1, [])


def test_a_busy_server_is_asked_again_after_the_time_that_it_names(server, tmp_path):
    server.script = [answers(503), answers(429, Retry_After=90), answers(503, Retry_After="Sat, 21 Nov 2026 00:00:00")]
    waits: list[float] = []

    outcome = the_one(fetch(tmp_path, a_file(server.url), waits=waits))

    assert outcome.what == "fetched"
    assert waits == [1, 90, 4]


def test_a_server_that_wants_an_hours_rest_ends_the_run(server, tmp_path):
    server.script = [answers(429, Retry_After=3600)]
    waits: list[float] = []

    outcome = the_one(fetch(tmp_path, a_file(server.url), waits=waits))

    assert "the server is asked too often" in outcome.reason
    assert waits == []


def test_a_file_that_fails_does_not_keep_the_next_from_coming(server, tmp_path):
    server.script = [answers(404)]

    first, second = fetch(tmp_path, a_file(server.url), a_file(server.url, name="other.csv"))

    assert (first.what, second.what) == ("failed", "fetched")


# --- redirects ----------------------------------------------------------------------------------------------------


def test_a_redirect_on_this_machine_is_followed_and_carries_the_range(server, tmp_path):
    server.script = [
        answers(302, Location="/one"),
        cut_after(50_000),
        answers(302, Location=server.url.replace("/file", "/two")),
    ]

    fetch(tmp_path, a_file(server.url))

    assert [(request["path"], request.get("Range")) for request in server.asked] == [
        ("/file", None),
        ("/one", None),
        ("/file", "bytes=50000-"),
        ("/two", "bytes=50000-"),
    ]
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_redirect_to_anything_but_https_is_refused(server, tmp_path, target):
    server.script = [answers(302, Location=target)]

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert outcome.what == "failed"
    assert "only https is followed" in outcome.reason


def test_redirects_in_a_circle_end(server, tmp_path):
    server.script = [answers(302, Location="/file")] * 50

    outcome = the_one(fetch(tmp_path, a_file(server.url)))

    assert "redirects more than 5 times" in outcome.reason
    assert len(server.asked) == 6


@pytest.mark.parametrize("url", ["ftp://example.org/x", "file:///etc/passwd", "example.org/x", "https:///x", ""])
def test_only_addresses_of_the_web_are_listed(url):
    with pytest.raises(ValueError, match="none of the web"):
        a_file(url)


# --- hashes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["sha256", "md5"])
def test_a_wrong_hash_sets_the_file_aside_and_the_next_run_fetches_it_anew(server, tmp_path, what):
    hashes = {what: hashlib.new(what, CONTENT).hexdigest()}
    server.content = OTHER

    outcome = the_one(fetch(tmp_path, a_file(server.url, **hashes)))

    got = hashlib.new(what, OTHER).hexdigest()
    assert f"{what}: got {got}, expected {hashes[what]}; set aside as table.csv.bad" in outcome.reason
    assert names_in(tmp_path) == {"table.csv.bad"}
    server.content = CONTENT
    assert the_one(fetch(tmp_path, a_file(server.url, **hashes))).note.verified_by == ("server's length", what)


def test_a_second_machine_compares_with_the_notes_of_the_first(server, tmp_path):
    fetch(tmp_path / "first", a_file(server.url))
    for folder in ("same", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / "first" / "downloads.json", tmp_path / folder)

    same = the_one(fetch(tmp_path / "same", a_file(server.url)))
    server.content = OTHER
    other = the_one(fetch(tmp_path / "other", a_file(server.url)))

    assert "sha256 noted in downloads.json" in same.note.verified_by
    assert other.what == "failed"
    assert "delete its entry in downloads.json" in other.reason


def test_damaged_notes_are_said_with_what_to_do(server, tmp_path):
    write_text(tmp_path / "downloads.json", "{")

    with pytest.raises(DataError, match=r"downloads\.json is damaged; delete it"):
        fetch(tmp_path, a_file(server.url))


# --- by hand ------------------------------------------------------------------------------------------------------


def test_a_file_without_a_link_is_asked_for_by_hand_and_verified_once_it_is_there(tmp_path):
    file = a_file(None, sha256=hashlib.sha256(CONTENT).hexdigest())

    missing = the_one(fetch(tmp_path / "nih", file))

    assert missing.what == "by hand"
    assert f"open {PAGE}, get table.csv, put it into the folder nih/" in missing.reason
    (tmp_path / "nih" / "table.csv").write_bytes(CONTENT)
    there = the_one(fetch(tmp_path / "nih", file))
    assert (there.what, there.note.verified_by) == ("verified", ("sha256",))
    assert the_one(fetch(tmp_path / "nih", file)).what == "kept"


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf<!DOCTYPE html>", b"  <html>"])
def test_a_web_page_saved_in_place_of_a_table_is_set_aside(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)

    outcome = the_one(fetch(tmp_path, a_file(None)))

    assert "it is empty or a web page" in outcome.reason
    assert names_in(tmp_path) == {"table.csv.bad"}


# --- archives -----------------------------------------------------------------------------------------------------


def test_the_pictures_of_an_archive_come_into_their_folder(server, tmp_path):
    server.content = good_archive()
    server.script = [cut_after(5_000)]

    outcome = the_one(fetch(tmp_path, an_archive(server.url)))

    assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == PICTURES
    assert outcome.note.pictures == len(PICTURES)
    assert outcome.note.verified_by == ("server's length", "the archive's own sums")
    assert names_in(tmp_path) == {"images", "images_001.tar.gz", "downloads.json"}


def test_pictures_that_were_lost_are_unpacked_again_without_asking_the_server(server, tmp_path):
    server.content = good_archive()
    fetch(tmp_path, an_archive(server.url))
    (tmp_path / "images" / "00000003_000.png").unlink()

    assert the_one(fetch(tmp_path, an_archive(server.url))).what == "verified"
    assert names_in(tmp_path / "images") == set(PICTURES)
    assert the_one(fetch(tmp_path, an_archive(server.url))).what == "kept"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("member", "message"),
    [
        pytest.param(picture("../evil.png"), "leads out of its folder", id="up"),
        pytest.param(picture("images/../../evil.png"), "leads out of its folder", id="down-and-up"),
        pytest.param(picture("/tmp/evil.png"), "leads out of its folder", id="absolute"),
        pytest.param(picture("images\\..\\evil.png"), "leads out of its folder", id="up-on-windows"),
        pytest.param(special("images/a.png", tarfile.SYMTYPE, "/etc/passwd"), "only plain files", id="link-away"),
        pytest.param(special("images/a.png", tarfile.SYMTYPE, "../../x"), "only plain files", id="link-up"),
        pytest.param(special("images/a.png", tarfile.SYMTYPE, "b.png"), "only plain files", id="link-beside"),
        pytest.param(special("images/a.png", tarfile.LNKTYPE, "images/b.png"), "only plain files", id="hard-link"),
        pytest.param(special("images/a.png", tarfile.FIFOTYPE), "only plain files", id="pipe"),
        pytest.param(special("images/a.png", tarfile.CHRTYPE), "only plain files", id="device"),
        pytest.param(picture("images/run.sh"), "is no .png file", id="script"),
        pytest.param(picture("images/.png"), "is no .png file", id="hidden"),
        pytest.param(picture("images/a.png\n.png"), "is no .png file", id="two-lines"),
        pytest.param(picture("other/00000001_000.png"), "two pictures called", id="twice"),
        pytest.param(picture("images/NIH.png"), "two pictures called", id="twice-on-some-disks"),
    ],
)
def test_an_archive_with_a_member_that_is_no_plain_picture_is_set_aside_and_leaves_nothing(
    server, tmp_path, member, message
):
    good = [picture(f"images/{name}", content) for name, content in PICTURES.items()]
    server.content = tar_gz(*good, picture("images/nih.png"), member)
    out = tmp_path / "deep" / "nih"

    outcome = the_one(fetch(out, an_archive(server.url)))

    assert outcome.what == "failed"
    assert message in outcome.reason
    assert names_in(out) == {"images_001.tar.gz.bad"}
    assert names_in(tmp_path) == {"deep"}
    assert names_in(tmp_path / "deep") == {"nih"}


def damaged(archive: bytes, kind: str) -> bytes:
    plain = gzip.decompress(archive)
    header_of_third = 512 * next(
        n for n in range(len(plain) // 512) if plain[512 * n :].startswith(b"images/00000003_000.png")
    )
    broken = bytearray(plain)
    broken[header_of_third + 148] ^= 0xFF  # its checksum
    flipped = bytearray(archive)
    flipped[-6] ^= 1  # CRC-32 of the gzip trailer
    return {
        "cut-off": archive[:-2000],
        "without-its-trailer": archive[:-4],
        "wrong-sum": bytes(flipped),
        "a-header-that-is-none": gzip.compress(bytes(broken)),
        "more-after-the-end": gzip.compress(plain + b"x" * 512),
        "no-gzip": plain,
        "no-tar": gzip.compress(b"Image Index\n" * 1000),
        "nothing-in-it": tar_gz(),
        "empty": b"",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "cut-off",
        "without-its-trailer",
        "wrong-sum",
        "a-header-that-is-none",
        "more-after-the-end",
        "no-gzip",
        "no-tar",
        "nothing-in-it",
        "empty",
    ],
)
def test_a_damaged_archive_gives_no_picture_at_all(tmp_path, kind):
    (tmp_path / "images_001.tar.gz").write_bytes(damaged(good_archive(), kind))

    outcome = the_one(fetch(tmp_path, an_archive(None)))

    assert outcome.what == "failed"
    assert "set aside as images_001.tar.gz.bad" in outcome.reason
    assert names_in(tmp_path) == {"images_001.tar.gz.bad"}


def test_an_archive_that_unpacks_to_too_much_is_stopped(tmp_path):
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(tar_gz(*(picture(f"{n}.png", bytes(20_000)) for n in range(50))))

    with pytest.raises(DataError, match="unpacks to more than 500000 bytes"):
        unpack(bomb, tmp_path / "out", most_bytes=500_000)


def test_a_bomb_behind_the_archives_end_is_stopped_too(tmp_path):
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(gzip.decompress(good_archive()) + bytes(5_000_000)))

    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(bomb, tmp_path / "out", most_bytes=1_000_000)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param(tarfile.REGTYPE, "announces 4294967296 bytes", id="picture"),
        pytest.param(tarfile.XHDTYPE, "more memory than the largest picture", id="attributes"),
        pytest.param(tarfile.GNUTYPE_LONGNAME, "more memory than the largest picture", id="name"),
    ],
)
def test_a_header_that_announces_gigabytes_takes_no_memory(tmp_path, kind, message):
    member = tarfile.TarInfo("images/a.png")
    member.type, member.size = kind, 2**32
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(member.tobuf() + bytes(10_000)))

    with pytest.raises(DataError, match=message):
        unpack(bomb, tmp_path / "out")


def test_an_archive_of_endless_members_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 4)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(good_archive())

    with pytest.raises(DataError, match="more than 4 members"):
        unpack(archive, tmp_path / "out")


def test_an_archive_of_the_tar_program_is_unpacked(tmp_path):
    """An independent writer, with its own headers and padding."""
    program = shutil.which("tar") or pytest.skip("no tar program here")
    (tmp_path / "images").mkdir()
    for name, content in PICTURES.items():
        (tmp_path / "images" / name).write_bytes(content)
    subprocess.run([program, "-C", tmp_path, "-czf", tmp_path / "a.tar.gz", "images"], check=True)

    assert unpack(tmp_path / "a.tar.gz", tmp_path / "out") == len(PICTURES)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == PICTURES


# --- the disk -----------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_run_cleanly_and_the_next_one_goes_on(server, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, hard))  # no file may grow beyond: EFBIG from the kernel
    try:
        with pytest.raises(DiskFullError, match=r"table\.csv: the disk is full"):
            fetch(tmp_path, a_file(server.url), a_file(server.url, name="other.csv"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "table.csv.part").read_bytes() == CONTENT[:80_000]

    assert the_one(fetch(tmp_path, a_file(server.url))).what == "fetched"
    assert [request.get("Range") for request in server.asked] == [None, "bytes=80000-"]
    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_a_disk_that_says_only_at_the_end_that_it_is_full_keeps_the_part_too(server, tmp_path, monkeypatch):
    """Network disks and quotas do."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(DiskFullError, match="Make room and run the command again"):
        fetch(tmp_path, a_file(server.url))
    assert names_in(tmp_path) == {"table.csv.part", "table.csv.part.json"}


def test_a_disk_that_takes_a_little_at_a_time_loses_nothing(server, tmp_path, monkeypatch):
    class Slow(io.FileIO):
        def write(self, content: memoryview) -> int:
            return super().write(content[:1000])

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", **how: Slow(path, mode) if mode == "ab" else opened(path, mode, **how)
    )

    fetch(tmp_path, a_file(server.url))

    assert (tmp_path / "table.csv").read_bytes() == CONTENT


def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive_and_no_half_of_the_pictures(
    server, tmp_path, monkeypatch
):
    server.content = good_archive()
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "00000003_000.png":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(DiskFullError, match="Disk quota exceeded"):
            fetch(tmp_path, an_archive(server.url))
    assert names_in(tmp_path) == {"images_001.tar.gz.part", "images_001.tar.gz.part.json"}

    assert the_one(fetch(tmp_path, an_archive(server.url))).note.pictures == len(PICTURES)
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_written_is_said(server, tmp_path):
    write_text(tmp_path / "nih", "a file where the folder should be")

    with pytest.raises(DataError, match=r"nih: cannot be written or read on this disk"):
        fetch(tmp_path / "nih", a_file(server.url))


def test_a_disk_that_cannot_hold_it_all_is_told_before_the_first_byte(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 2_500_000_000))

    with pytest.raises(DiskFullError, match=r"2\.5 GB free, 4\.2 GB are needed"):
        fetch(tmp_path, an_archive(server.url, bytes=2_000_000_000))
    assert server.asked == []


def test_the_plan_counts_what_is_still_to_come_and_its_pictures(server, tmp_path):
    server.content = good_archive()
    length = len(server.content)
    archive, table = an_archive(server.url, bytes=length), a_file(server.url, bytes=1000)
    missing, unknown = a_file(None, name="by_hand.csv"), a_file(server.url, name="unknown.csv")
    listing = listing_of(archive, table, missing, unknown)

    fresh = plan(listing, tmp_path / "not" / "yet")

    assert [stock.state for stock in fresh.stocks] == ["to fetch", "to fetch", "by hand", "to fetch"]
    assert fresh.bytes_to_fetch == length + 1000
    assert fresh.bytes_needed == length + 1000 + round(length * 1.1)
    assert fresh.bytes_free > 0
    assert not (tmp_path / "not").exists()

    server.script = [cut_after(5000)]
    fetch(tmp_path, archive, tries=1)
    assert plan(listing, tmp_path).stocks[0].state == "partly"
    assert plan(listing, tmp_path).bytes_to_fetch == length - 5000 + 1000
    fetch(tmp_path, archive)
    assert plan(listing, tmp_path).stocks[0].state == "verified"
    assert plan(listing, tmp_path).bytes_needed == 1000


# --- the listing --------------------------------------------------------------------------------------------------


def test_the_bench_lists_the_twelve_archives_and_two_tables_of_nih():
    listing = load_listing("nih")

    archives = [file for file in listing.files if file.unpack == "tar.gz"]
    assert [file.name for file in archives] == [f"images_{n:03d}.tar.gz" for n in range(1, 13)]
    assert {file.into for file in archives} == {"images"}
    assert len({file.url for file in archives}) == 12
    assert len({file.md5 for file in archives}) == 12
    assert all(file.url.startswith("https://nihcc.") for file in listing.files if file.url)
    assert 44e9 < sum(file.bytes for file in archives) < 46e9  # NIH's page speaks of 45 GB
    assert {file.name for file in listing.files} - {file.name for file in archives} == {
        "BBox_List_2017.csv",
        "Data_Entry_2017_v2020.csv",
    }


def test_a_source_or_file_that_is_not_listed_is_answered_with_what_is():
    with pytest.raises(DataError, match="there is no download 'nhi'; there are: nih"):
        load_listing("nhi")
    with pytest.raises(DataError, match=r"no file 'images_01\.tar\.gz' \(did you mean 'images_0"):
        load_listing("nih").only(["images_01.tar.gz"])


def test_a_name_never_leads_to_another_folder(tmp_path):
    write_text(tmp_path / "x.yaml", "source: x", f"page: {PAGE}", "files: []")
    with pytest.raises(DataError, match="there is no download"):
        load_listing("../x", tmp_path)
    for name in ("../x", "a/b", ".x", "", "x.part", "x.bad", "downloads.json"):
        with pytest.raises(ValueError, match="name"):
            a_file("https://example.org/x", name=name)
    for into in ("..", "a/b", "/a", ""):
        with pytest.raises(ValueError, match="into"):
            an_archive("https://example.org/x", into=into)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(
            "{name: a, url: null, bytes: null, unpack: none}", r"files\.0\.sha256: Field required", id="short"
        ),
        pytest.param("{name: a, url: null, bytes: 0, sha256: null, unpack: none}", r"files\.0\.bytes", id="no-bytes"),
        pytest.param("{name: a, url: null, bytes: 1, sha256: x, unpack: none}", r"files\.0\.sha256", id="no-hash"),
        pytest.param("{name: a, url: null, bytes: 1, sha256: null, unpack: zip}", r"files\.0\.unpack", id="zip"),
        pytest.param("{name: a, url: null, bytes: 1, sha256: null, unpack: tar.gz}", "'into' is the folder", id="into"),
        pytest.param("{name: a, url: null, bytes: 1, sha256: null, unpack: none, run: x}", r"files\.0\.run", id="key"),
    ],
)
def test_a_listing_that_cannot_be_meant_is_refused_by_its_key(tmp_path, line, message):
    write_text(tmp_path / "x.yaml", "source: x", f"page: {PAGE}", "files:", f"  - {line}")

    with pytest.raises(DataError, match=message):
        load_listing("x", tmp_path)


def test_two_files_of_one_name_are_refused_even_if_only_some_disks_confuse_them():
    with pytest.raises(ValueError, match="two files have the same name"):
        listing_of(a_file(None), a_file(None, name="TABLE.csv"))
