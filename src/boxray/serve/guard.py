"""The guard before every door: which requests come through, and what the browser is told (ASGI middleware).

Without a token strangers are kept out because nobody but this machine is served; with one, everybody has to say it.
Gradio limits neither the host name that a request may give nor the size of every body, so both are limited here.
"""

import asyncio
import binascii
import hmac
import ipaddress
import logging
from base64 import b64decode
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from boxray.imaging.limits import MAX_FILE_BYTES
from boxray.serve.faults import place_of
from boxray.serve.problems import Problem

MAX_UPLOAD_BYTES: Final = MAX_FILE_BYTES
"""Of one file."""

LEAST_TOKEN_CHARS: Final = 16
"""A shorter one could be guessed."""

_LOG: Final = logging.getLogger("boxray.serve")


def is_loopback(address: str) -> bool:
    """Whether a name or an address means this machine and no other can reach it."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Guard:
    """Stands before every request, as neither Gradio nor FastAPI sets limits of this kind (ASGI middleware).

    * A request that names another host than those served is refused: a web page elsewhere that lets its own
      name point here (DNS rebinding) reads no radiograph.
    * A page of another origin changes nothing here, and is told nothing (no CORS header is ever sent).
    * Where there is a token, a request without it goes no further; only the health of the service is public.
    * No body is larger than an upload may be, whichever path it goes to; its bytes are counted as they come.
    * The browser is told to keep nothing, to ask no other host, and to show the page in no frame; a door that says
      something stricter itself has its way.
    * What goes wrong behind it is told as a code; the log has its type and place.

    Args:
        app: What is guarded.
        token: As ``Authorization: Bearer TOKEN``, or as the password of a browser's log-in (Basic). None: no token.
        hosts: Names that are served beside those of this machine.
    """

    def __init__(self, app: Any, *, token: str | None = None, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks over a web socket
            await send({"type": "websocket.close", "code": 1008})
            return
        passage = _Passage(receive, send)
        try:
            self._require(scope)
            await self._app(scope, passage.receive, passage.send)
            await passage.end()
        except Problem as problem:
            await passage.refuse(problem)
        except Exception as error:  # noqa: BLE001 - its message may quote the file
            _LOG.error("fault type=%s at=%s", type(error).__name__, place_of(error))
            await passage.refuse(Problem("internal.error"))

    def _require(self, scope: Any) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = _hostname(headers.get(b"host", ""))
        if not (is_loopback(host) or host in self._hosts):
            raise Problem("request.host")
        origin = headers.get(b"origin")
        if scope["method"] not in _READING and origin is not None and not _is_same(origin, headers.get(b"host", "")):
            raise Problem("request.origin")
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path not in _PUBLIC and not self._is_known(headers.get(b"authorization", "")):
            raise Problem("request.unauthorized")
        length = headers.get(b"content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise Problem("request.malformed", "the header Content-Length is no number")
        if int(length[:20]) > _MAX_BODY_BYTES:
            raise _too_large()

    def _is_known(self, authorization: str) -> bool:
        if self._token is None:
            return True
        scheme, _, said = authorization.partition(" ")
        if scheme.lower() == "basic":
            try:
                said = b64decode(said, validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(said.strip().encode(), self._token)


class _Passage:
    """One request through the guard: its body is counted, its answer gets headers."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._n_received = 0
        self._started = False

    async def receive(self) -> Any:
        if self._is_too_large:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._n_received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self._is_too_large else message

    async def send(self, message: Any) -> None:
        if self._is_too_large and not self._started:
            return  # what the app says of a body that was cut off is not the reason
        if message["type"] == "http.response.start":
            self._started = True
            own = list(message.get("headers", []))
            said = {name.lower() for name, _ in own}
            message = {**message, "headers": own + [each for each in _HEADERS if each[0] not in said]}
        await self._send(message)

    async def end(self) -> None:
        if self._is_too_large:
            await self.refuse(_too_large())

    async def refuse(self, problem: Problem) -> None:
        """Answer, unless an answer has begun."""
        if self._started:
            return
        self._started = True
        if self._is_too_large:
            problem = _too_large()
        headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        headers.append((b"content-length", str(len(problem.body)).encode()))
        start = {"type": "http.response.start", "status": problem.status, "headers": [*headers, *_HEADERS_OF_DATA]}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": problem.body, "more_body": True})
        if problem.status == _TOO_LARGE:
            await self._linger()
        await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        """Throw away what still comes, for a while: a connection that is shut at once takes the answer with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while (message := await self._receive())["type"] == "http.request" and message.get("more_body"):
                    pass

    @property
    def _is_too_large(self) -> bool:
        return self._n_received > _MAX_BODY_BYTES


def _too_large() -> Problem:
    return Problem("input.too_large", f"more than {_MAX_BODY_BYTES} bytes; nothing was read")


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:  # such as half an IPv6 address
        return ""


def _is_same(origin: str, host: str) -> bool:
    """Whether a page's origin is the host that the request names; a proxy may leave a usual port away."""
    return _without_usual_port(origin.partition("://")[2]) == _without_usual_port(host)


def _without_usual_port(host: str) -> str:
    return host.lower().removesuffix(":80").removesuffix(":443")


_TOO_LARGE: Final = 413
_LINGER_S: Final = 3.0
_PUBLIC: Final = {"/health/live", "/health/ready"}
_READING: Final = {"GET", "HEAD", "OPTIONS"}
_MAX_BODY_BYTES: Final = MAX_UPLOAD_BYTES + 2**20  # the form around the file
POLICY_OF_DATA: Final = "default-src 'none'; frame-ancestors 'none'"
"""What the browser may do with an answer that is no page: nothing (Content-Security-Policy)."""

# Gradio's own scripts are inline and compile templates: hence the two words with "unsafe".
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_HEADERS_OF_DATA: Final = [(b"content-security-policy", POLICY_OF_DATA.encode()), *_HEADERS[1:]]
