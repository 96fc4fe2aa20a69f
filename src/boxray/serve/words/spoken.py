"""The language of a page, decided here and told to the browser before anything else."""

from __future__ import annotations

import json
from typing import Any, Final

from boxray.serve.words.catalogue import COOKIE, LANGUAGES, language_of, words_in


class Spoken:
    """Puts the request's language into the page's head (ASGI middleware).

    Gradio asks the browser's first language and nothing else, before it runs any script that it was given; so the
    language that the request asks for must stand in the HTML itself.

    Args:
        app: Gradio's.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].removeprefix(scope.get("root_path", "")) not in {"", "/"}:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        plain = [header for header in scope["headers"] if header[0].lower() != b"accept-encoding"]  # else it is packed
        script = head_script(language_of(headers)).encode()
        await self._app({**scope, "headers": plain}, receive, _Inserting(send, script))


class _Inserting:
    """Holds back the answer's start until the body is whole, as its length changes."""

    def __init__(self, send: Any, script: bytes) -> None:
        self._send = send
        self._script = script
        self._start: Any = None
        self._body = b""

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        before, head, after = self._body.partition(b"<head>")
        body = before + head + self._script + after if head else self._body
        headers = [header for header in self._start["headers"] if header[0].lower() != b"content-length"]
        length = str(len(body)).encode()
        if self._body:  # the answer to HEAD has none
            headers.append((b"content-length", length))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def head_script(language: str) -> str:
    """Tells Gradio the language, keeps it in a cookie, and lets a button with ``data-language`` choose another one.

    Another one needs the page anew, as Gradio asks for the language once. Whoever holds what would be lost then cancels
    the event ``boxray-reload``.
    """
    said = {"LANGUAGE": language, "TAG": words_in(language).tag, "COOKIE": COOKIE, "ALL": list(LANGUAGES)}
    script = _SCRIPT
    for name, value in said.items():
        script = script.replace(name, json.dumps(value))
    return f"<script>{script}</script>"


_SCRIPT: Final = """
(() => {
  const keep = (language) => { document.cookie = `${COOKIE}=${language}; path=/; max-age=31536000; SameSite=Lax`; };
  keep(LANGUAGE);
  Object.defineProperty(navigator, 'language', {get: () => TAG});
  document.documentElement.lang = TAG;
  document.addEventListener('click', (event) => {
    const chosen = event.target.closest('[data-language]')?.dataset.language;
    if (!ALL.includes(chosen)) return;
    if (!document.dispatchEvent(new Event('boxray-reload', {cancelable: true}))) return;
    keep(chosen);
    location.reload();
  });
})();
"""
