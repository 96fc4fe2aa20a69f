"""An archive that speaks DICOMweb: it is asked for radiographs, gives them, and takes objects about them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from boxray.core.errors import BoxrayError, MissingExtra, RecipeError
from boxray.serve.guard import is_loopback

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient

MODALITIES: Final = ("CR", "DX")
"""Of radiographs: computed and digital radiography (PS3.3 C.7.3.1.1.1)."""

PAGE: Final = 200
"""Films asked for at a time; an archive may give fewer."""

TIMEOUT_S: Final = 30.0
"""Until an archive answers, and between two pieces of its answer."""

ANY_SYNTAX: Final = (("application/dicom", "*"),)
"""As it is stored: an archive that converts might lose what we look at."""


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
        self._client = _client(url, login)

    def films(self, since: date, modalities: Sequence[str] = MODALITIES) -> Iterator[Film]:
        """All radiographs of studies of that day and later, modality by modality; nothing if there is none.

        Raises:
            ArchiveError: Where it stops answering, after those that came before.
        """
        for modality in modalities:
            asked = {"Modality": modality, "StudyDate": f"{since:%Y%m%d}-"}
            offset = 0
            while found := self._page(asked, offset):
                yield from found
                offset += len(found)

    def fetch(self, film: Film) -> bytes:
        """The file as it is stored.

        Raises:
            ArchiveError: If it does not come, or is no DICOM file.
        """
        with _said_plainly("fetching a film"):
            dataset = self._client.retrieve_instance(film.study, film.series, film.instance, media_types=ANY_SYNTAX)
            file = BytesIO()
            dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()

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


def _client(url: str, login: tuple[str, str] | None) -> DICOMwebClient:
    try:
        from dicomweb_client.session_utils import create_session, create_session_from_user_pass
        from dicomweb_client.web import DICOMwebClient
    except ImportError as error:
        raise MissingExtra("asking an archive", "pacs") from error
    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it would log UIDs
    session = create_session() if login is None else create_session_from_user_pass(*login)
    session.max_redirects = 0  # to another host, say
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
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, InvalidDicomError) as error:
        raise ArchiveError(f"{doing}: the archive's answer is not understood ({type(error).__name__})") from None


def _film(row: dict[str, Any]) -> Film:
    """Of a row in DICOM's JSON (PS3.18 F.2)."""
    study, series, instance = (str(row[tag]["Value"][0]) for tag in ("0020000D", "0020000E", "00080018"))
    return Film(study, series, instance)
