"""A client of the REST door: radiographs in, readings out.

>>> with Client("http://127.0.0.1:7861") as client:  # doctest: +SKIP
...     reading = client.read(Path("film.dcm"))
...     picture = client.overlay(reading["id"])
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from boxray.core.errors import BoxrayError

_POLL_S: Final = 0.5


class ServiceError(BoxrayError):
    """The service gave no reading: neither a result nor a refusal of the file."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type[Self], tuple[int, str, str]]:
        """Travel through a pipe from a worker."""
        return type(self), (self.status, self.code, self.detail)


class Client:
    """Talks to one service; leave the `with` block to close its connections.

    Args:
        url: Where the service is, with the path under which a proxy shows it.
        token: None: that of the environment's BOXRAY_TOKEN, if there is one.
        timeout_s: How long one reading may take, waiting and asking again included.
        transport: For tests.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 300.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        token = token or os.environ.get("BOXRAY_TOKEN")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/", headers=headers, timeout=60, transport=transport, trust_env=False
        )

    def read(self, source: Path | bytes, *, min_score: float | None = None) -> dict[str, Any]:
        """Have a radiograph read, however long its line is.

        The file's name stays on this machine: what goes over the wire is its bytes.

        Args:
            source: Where the file lies, or its content.
            min_score: One threshold for all boxes; None: the stored operating points.

        Returns:
            The reading in its published form, and ``id``, under which the service keeps it for some minutes. Its
            status may be REFUSED or FAILED.

        Raises:
            ServiceError: If there is no reading, such as after `timeout_s` of "busy".
            httpx.TransportError: If the service is not there.
        """
        ends_at = time.monotonic() + self._timeout_s
        data = source if isinstance(source, bytes) else source.read_bytes()
        asked: dict[str, Any] = {"wait": "false"} | ({} if min_score is None else {"min_score": min_score})
        headers = {"content-type": "application/octet-stream"}
        answer = self._asked_again(ends_at, {503}, "POST", "v1/readings", params=asked, content=data, headers=headers)
        if answer.status_code != 202:
            return _reading(answer)
        reading_id = answer.json()["id"]
        try:
            reading = _reading(self._asked_again(ends_at, {202}, "GET", f"v1/readings/{reading_id}"))
        except ServiceError as error:
            if error.status == httpx.codes.ACCEPTED:
                self.forget(reading_id)  # nobody will ask for it: while it waits, it need not be made
            raise
        name = {} if isinstance(source, bytes) else {"file": str(source)}
        return {**reading, **name, "id": reading_id}

    def overlay(self, reading_id: str, finding: str | None = None) -> bytes:
        """Film, boxes and one finding's map, as PNG.

        Raises:
            ServiceError: If the reading is no result, or not kept any more.
        """
        asked = {} if finding is None else {"finding": finding}
        return self._fetched(f"v1/readings/{reading_id}/overlay.png", asked)

    def saliency_map(self, reading_id: str, finding: str) -> bytes:
        """The film under the map of one finding, as PNG.

        Raises:
            ServiceError: As for `overlay`.
        """
        return self._fetched(f"v1/readings/{reading_id}/maps/{finding}.png")

    def structured_report(self, reading_id: str) -> bytes:
        """The reading as a DICOM structured report that refers to the radiograph.

        Raises:
            ServiceError: As for `overlay`; ``request.not_found`` also where the radiograph was no DICOM file with its
                UIDs, or the service has no `pacs` extra.
        """
        return self._fetched(f"v1/readings/{reading_id}/sr.dcm")

    def presentation_state(self, reading_id: str) -> bytes:
        """The boxes as a DICOM presentation state that a viewer lays over the radiograph.

        Raises:
            ServiceError: As for `structured_report`.
        """
        return self._fetched(f"v1/readings/{reading_id}/gsps.dcm")

    def table(self, reading_ids: Sequence[str]) -> bytes:
        """Readings of a batch as one CSV table, refused and failed ones too, in this order; at most 1,000.

        Raises:
            ServiceError: If one of them is not kept any more.
        """
        return _content(self._http.post("v1/tables", json={"ids": list(reading_ids)}))

    def forget(self, reading_id: str) -> None:
        """Have the service forget a reading; nothing happens if it has already.

        Raises:
            ServiceError: If it may not, such as without its token: then the reading is still there.
        """
        answer = self._http.delete(f"v1/readings/{reading_id}")
        if answer.status_code not in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND):
            raise _error(answer)

    def _fetched(self, path: str, asked: dict[str, str] | None = None) -> bytes:
        return _content(self._http.get(path, params=asked))

    def _asked_again(self, ends_at: float, later: set[int], method: str, path: str, **request: Any) -> httpx.Response:
        """Ask until the status is none of `later`, at the pace that the service asks for, or the time is over."""
        while True:
            answer = self._http.request(method, path, **request)
            if answer.status_code not in later:
                return answer
            said = answer.headers.get("retry-after", "")
            pause_s = float(said) if said.isdigit() else _POLL_S
            if time.monotonic() + pause_s > ends_at:
                raise _error(answer)
            time.sleep(min(pause_s, _POLL_S) if answer.status_code == httpx.codes.ACCEPTED else pause_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


def _content(answer: httpx.Response) -> bytes:
    if answer.status_code != httpx.codes.OK:
        raise _error(answer)
    return answer.content


def _reading(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code == httpx.codes.OK:
        return dict(answer.json())
    error = _error(answer)
    try:
        return dict(answer.json()["reading"])
    except (ValueError, KeyError, TypeError):
        raise error from None


def _error(answer: httpx.Response) -> ServiceError:
    if answer.status_code == httpx.codes.ACCEPTED:
        return ServiceError(
            answer.status_code,
            "request.not_ready",
            "the time is over and it is still being read; allow more by timeout_s",
        )
    try:
        said = answer.json()
        return ServiceError(answer.status_code, said["code"], said["detail"])
    except (ValueError, KeyError, TypeError):  # a proxy between us has words of its own
        return ServiceError(answer.status_code, "none", "no reason given")
