"""The guard before the app: which requests come through, and what the browser is told (ASGI middleware).

There is no login yet: strangers are kept out because nobody but this machine is served. Gradio limits neither the
host name that a request may give nor the size of every body, so both are limited here.
"""

import ipaddress
from typing import Any, Final
from urllib.parse import urlsplit

MAX_UPLOAD_BYTES: Final = 128 * 2**20
"""Of one file."""


def is_loopback(address: str) -> bool:
    """Whether a name or an address means this machine and no other can reach it."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Guard:
    """Stands before every request, as Gradio sets no limits of this kind (ASGI middleware).

    * A request that names another host than this machine is refused: a web page elsewhere that lets its own
      name point here (DNS rebinding) reads no radiograph.
    * No body is larger than an upload may be, whichever path it goes to.
    * The browser is told to keep nothing, to ask no other host, and to show the page in no frame.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = urlsplit("//" + headers.get(b"host", "")).hostname or ""
        n_received = 0

        async def limited_receive() -> Any:
            nonlocal n_received
            message = await receive()
            n_received += len(message.get("body", b""))
            return message if n_received <= _MAX_BODY_BYTES else {"type": "http.disconnect"}

        async def guarded_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        if not is_loopback(host):
            await _answer(guarded_send, 403, "this host name is not served")
        elif int(headers.get(b"content-length", "0")) > _MAX_BODY_BYTES:
            await _answer(guarded_send, 413, "input.too_large")
        else:
            await self._app(scope, limited_receive, guarded_send)


async def _answer(send: Any, status: int, text: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


_MAX_BODY_BYTES: Final = MAX_UPLOAD_BYTES + 2**20  # the form around the file
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
