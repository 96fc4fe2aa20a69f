"""The body of a request: one file as it is, or a form with several. Bytes only; nothing is decoded here.

All of it stays in memory, so that no radiograph is left on a disk; the guard before the doors counts the bytes.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from boxray.core.errors import ModelError
from boxray.imaging.limits import MAX_FILE_BYTES
from boxray.serve.problems import Problem

RAW_TYPES: Final = ("application/dicom", "application/octet-stream", "image/jpeg", "image/png")
"""What a body that is one file may call itself. What it is, its content says."""

FORM_TYPE: Final = "multipart/form-data"
MOST_FILES: Final = 16
"""In one form."""

UNNAMED: Final = "upload"
"""How a file is called that came without a name."""

_LONGEST_NAME: Final = 255
_RECEIVE_S: Final = 120.0
"""For the whole body: 128 MiB at 9 Mbit/s. A client that dribbles holds a connection no longer."""


@dataclass(slots=True)
class Receiving:
    """Bytes that are on their way in, of all requests together: a limit on what clients make this machine hold."""

    most_bytes: int = 4 * MAX_FILE_BYTES
    n_bytes: int = 0

    def add(self, n_bytes: int) -> None:
        """More came.

        Raises:
            ModelError: ``service.busy`` if it is too much.
        """
        self.n_bytes += n_bytes
        if self.n_bytes > self.most_bytes:
            raise ModelError("too many uploads are on their way; send it again later", "service.busy")


@dataclass(frozen=True, slots=True)
class Received:
    """The files of one request."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    """Name as the caller gave it and content, in the caller's order."""
    is_form: bool = False


async def received(request: Request, receiving: Receiving) -> Received:
    """Receive all files of a request.

    Raises:
        Problem: ``input.not_supported`` for another type, ``request.malformed``, ``request.timeout``.
        ModelError: ``service.busy``.
        starlette.requests.ClientDisconnect: If the client goes away, or the guard cuts a body off that is too large.
    """
    media_type = request.headers.get("content-type", RAW_TYPES[1]).partition(";")[0].strip().lower()
    if media_type != FORM_TYPE and media_type not in RAW_TYPES:
        takes = ", ".join((*RAW_TYPES, FORM_TYPE))
        raise Problem("input.not_supported", f"a body of another type than these is not taken: {takes}")
    counted = _Counted(request, receiving)
    try:
        async with asyncio.timeout(_RECEIVE_S):
            if media_type == FORM_TYPE:
                return Received(await _form(request, counted.chunks()), is_form=True)
            return Received([(UNNAMED, b"".join([chunk async for chunk in counted.chunks()]))])
    except TimeoutError:
        raise Problem("request.timeout") from None
    finally:
        receiving.n_bytes -= counted.n_bytes


class _Counted:
    def __init__(self, request: Request, receiving: Receiving) -> None:
        self._request = request
        self._receiving = receiving
        self.n_bytes = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._request.stream():
            self.n_bytes += len(chunk)
            self._receiving.add(len(chunk))
            yield chunk


class _InMemory(MultiPartParser):
    spool_max_size = 2 * MAX_FILE_BYTES  # beyond what the guard lets in: never on a disk


async def _form(request: Request, chunks: AsyncGenerator[bytes, None]) -> list[tuple[str, bytes]]:
    try:
        form = await _InMemory(request.headers, chunks, max_files=MOST_FILES, max_fields=0).parse()
    except (MultiPartException, ValueError) as error:
        raise Problem("request.malformed", f"the form cannot be taken apart; at most {MOST_FILES} files") from error
    try:
        uploads = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        files = [(_name(upload.filename), await upload.read()) for upload in uploads]
    finally:
        await form.close()
    if not files:
        raise Problem("request.malformed", "the form holds no file")
    return files


def _name(said: str | None) -> str:
    """The name as it was said, but one line, no path, and not endless: it is only ever said back."""
    last = (said or "").replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:_LONGEST_NAME] or UNNAMED
