"""An archive that speaks DICOMweb: it is asked for radiographs, gives them, and takes objects about them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from email.message import Message
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydicom import dcmread

from boxray.core.errors import BoxrayError, InputError, MissingExtra, RecipeError
from boxray.imaging.limits import MAX_FILE_BYTES
from boxray.serve.guard import is_loopback

if TYPE_CHECKING:
    import requests
    from dicomweb_client.web import DICOMwebClient

MODALITIES: Final = ("CR", "DX")
"""Of radiographs: computed and digital radiography (PS3.3 C.7.3.1.1.1)."""

PAGE: Final = 200
"""Films asked for at a time; an archive may give fewer."""

TIMEOUT_S: Final = 30.0
"""Until an archive answers, and between two pieces of its answer."""

ANY_SYNTAX: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""As it is stored (PS3.18 8.7.3.5.2): an archive that converts might lose what we look at."""

_AROUND: Final = 4096
"""Bytes of a multipart body beside its one part."""
_UID: Final = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1


class ArchiveError(BoxrayError):
    """The archive cannot be reached, or does not do what it is asked for. Holds no address of a patient's data."""


@dataclass(frozen=True, slots=True)
class Film:
    """Where an image lies in the archive."""

    study: str
    series: str
    instance: str


class Archive:
    """Three of DICOMweb's transactions: QIDO-RS, WADO-RS and STOW-RS."""

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        """Nothing is asked yet.

        Args:
            url: Of the service, such as ``https://pacs.example/dicom-web``.
            login: User and password (HTTP Basic); None: the archive lets everybody in.

        Raises:
            MissingExtra: If the extra ``[pacs]`` is not installed.
            RecipeError: If the address is none, holds a password, or a password would travel in the clear.
        """
        require_address(url, with_password=login is not None)
        self._url = url.rstrip("/")
        self._session = _session(login)
        self._client = _client(self._url, self._session)

    def films(self, since: date, modalities: Sequence[str] = MODALITIES) -> Iterator[Film]:
        """All radiographs of studies of that day and later, modality by modality; nothing if there is none.

        Raises:
            ArchiveError: Where it stops answering, after those that came before.
        """
        for modality in modalities:
            asked = {"Modality": modality, "StudyDate": f"{since:%Y%m%d}-"}
            seen: set[Film] = set()  # an archive that knows no offset gives the same page for ever
            while new := [film for film in self._page(asked, len(seen)) if film not in seen]:
                yield from new
                seen.update(new)

    def fetch(self, film: Film) -> bytes:
        """The file byte by byte as the archive sends it: it is taken apart in the decoding child alone.

        Raises:
            ArchiveError: If it does not come.
            InputError: ``input.too_large``.
        """
        with _said_plainly("fetching a film"):
            url = f"{self._url}/studies/{film.study}/series/{film.series}/instances/{film.instance}"
            with self._session.get(url, headers={"Accept": ANY_SYNTAX}, stream=True, timeout=TIMEOUT_S) as answer:
                answer.raise_for_status()
                body = bytearray()
                for piece in answer.iter_content(2**20):
                    body += piece
                    if len(body) > MAX_FILE_BYTES + _AROUND:
                        raise InputError("input.too_large", f"more than {MAX_FILE_BYTES:,} bytes came from the archive")
                return only_part(bytes(body), answer.headers.get("Content-Type", ""))

    def store(self, objects: Sequence[bytes]) -> None:
        """Put DICOM files into the archive; one that is there already stays as it is.

        Raises:
            ArchiveError: If it does not take them all.
        """
        with _said_plainly("storing what was found"):
            answer = self._client.store_instances([dcmread(BytesIO(one)) for one in objects])
        refused = len(answer.get("FailedSOPSequence", ()))
        if refused:
            raise ArchiveError(f"the archive took {len(objects) - refused} of {len(objects)} objects")

    def _page(self, asked: dict[str, str], offset: int) -> list[Film]:
        with _said_plainly("searching for films"):
            rows = self._client.search_for_instances(search_filters=asked, limit=PAGE, offset=offset)
            return [_film(row) for row in rows]


def require_address(url: str, *, with_password: bool) -> None:
    """Refuse an address that is none or would give a password away.

    Raises:
        RecipeError: Saying what to do.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise RecipeError(
            "the archive's address has the form https://HOST/PATH, such as https://pacs.example/dicom-web"
        )
    if parts.username is not None or parts.password is not None:
        raise RecipeError("the archive's address holds a user; give --user and --password-file instead: logs keep URLs")
    if with_password and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise RecipeError("over http everybody on the way reads the password; name the archive by https")


def only_part(body: bytes, content_type: str) -> bytes:
    """The content of a multipart body's one part (RFC 2046, 5.1.1).

    Raises:
        ValueError: If it has none or several, or is no multipart body.
    """
    told = Message()
    told["Content-Type"] = content_type
    boundary = told.get_boundary()
    if boundary is None:
        raise ValueError("no multipart body")
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("ascii"))
    if len(parts) != 3:  # what stands before, the part, what stands after
        raise ValueError("not one part")
    _headers, _, content = parts[1].partition(b"\r\n\r\n")
    return content


def _session(login: tuple[str, str] | None) -> requests.Session:
    try:
        from dicomweb_client.session_utils import create_session, create_session_from_user_pass
    except ImportError as error:
        raise MissingExtra("asking an archive", "pacs") from error
    session = create_session() if login is None else create_session_from_user_pass(*login)
    session.max_redirects = 0  # to another host, say
    return session


def _client(url: str, session: requests.Session) -> DICOMwebClient:
    from dicomweb_client.web import DICOMwebClient

    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it would log UIDs
    client = DICOMwebClient(url, session, timeout=TIMEOUT_S)
    client.set_http_retry_params(retry=False)  # the next round asks again
    return client


@contextmanager
def _said_plainly(doing: str) -> Iterator[None]:
    """Errors of the network and of answers that are none, without the addresses that they quote.

    Raises:
        ArchiveError: Instead of what requests, pydicom or the client say.
    """
    from requests import HTTPError, RequestException

    try:
        yield
    except HTTPError as error:
        status = "no status" if error.response is None else error.response.status_code
        raise ArchiveError(f"{doing}: the archive answered with HTTP {status}") from None
    except RequestException as error:
        raise ArchiveError(f"{doing}: the archive cannot be reached ({type(error).__name__})") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{doing}: the archive's answer is not understood ({type(error).__name__})") from None


def _film(row: dict[str, Any]) -> Film:
    """Of a row in DICOM's JSON (PS3.18 F.2)."""
    uids = [str(row[tag]["Value"][0]) for tag in ("0020000D", "0020000E", "00080018")]
    if not all(_UID.fullmatch(uid) for uid in uids):
        raise ValueError("no UID")  # it becomes a part of an address
    return Film(*uids)
