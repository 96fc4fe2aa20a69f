"""What Gradio 6 does that a reading room may not, switched off where it offers no switch.

Each was seen and has its test in `tests/serve/test_attacks.py`, which a new version of Gradio has to pass.
"""

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

from boxray.serve.faults import place_of
from boxray.serve.problems import Problem

if TYPE_CHECKING:
    import gradio as gr

_LOG: Final = logging.getLogger("boxray.serve")


class OnlyWhatThePageAsks:
    """Of Gradio's own addresses those that our pages ask for (ASGI application); the others are not there.

    Behind the others anybody could put files on the disk that nobody deletes, have addresses fetched, or call what is
    meant for developers; and what the next version adds is not there either.

    Args:
        page: The page as Gradio mounts it.
    """

    def __init__(self, page: Any) -> None:
        self._page = page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] == "http" and not (path in _ASKED or path.startswith(_ASKED_BELOW)):
            raise Problem("request.not_found")
        await self._page(scope, receive, send)


_ASKED: Final = {
    *("/", "/config", "/theme.css", "/favicon.ico", "/robots.txt"),
    *(f"/gradio_api/{name}" for name in ("queue/join", "queue/data", "startup-events", "cancel", "reset", "theme.css")),
}
_ASKED_BELOW: Final = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")


def tame_gradio(app: "gr.Blocks") -> None:
    """To be called once for a page that is mounted and not launched; changes Gradio's modules for the whole process.

    * A page that is mounted counts as not launched, and then Gradio takes *any* path of this machine for an upload
      (`gradio.processing_utils._check_allowed`): whoever reaches the page could have the server's files read.
    * Where a file is expected Gradio takes an address too (``FileData.path``, ``GET /gradio_api/file=https://…``), asks
      a resolver outside (dns.google) where it leads, fetches what lies there, however large, and hands it out.
    * A control that fails has its whole trace printed, with whatever its message quotes.
    """
    import safehttpx
    from gradio import processing_utils, queueing, route_utils, routes, utils

    app.has_launched = True
    safehttpx.get = safehttpx.async_validate_url = _refuse
    processing_utils.unsafe_download = _refuse
    for module in (queueing, route_utils, routes, utils):
        module.traceback = _Silent()


def _refuse(*_: Any, **__: Any) -> Any:
    raise PermissionError("an address is no file: nothing is fetched")


class _Silent:
    """The module `traceback`, but what it would print is logged by its type and place."""

    @staticmethod
    def print_exc(*_: Any, **__: Any) -> None:
        error = sys.exception()
        if error is not None:
            _LOG.error("fault of the page type=%s at=%s", type(error).__name__, place_of(error))

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)
