"""Pictures inside of a page of results that boxray wrote: taken out of it, and nothing else of it is shown."""

from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

_PICTURE: Final = "data:image/jpeg;base64,"
_HEADINGS: Final = ("h3", "summary")


def films_in(page: Path) -> dict[str, str]:
    """Finding -> HTML made here of its section's pictures and their captions alone; empty if it is no page."""
    parser = _Films()
    try:
        parser.feed(page.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {finding: f'<div class="pairs" lang="en">{"".join(parts)}</div>' for finding, parts in parser.parts.items()}


class _Films(HTMLParser):
    """Takes pictures that lie in the page itself, never an address."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, list[str]] = {}
        self._finding = ""
        self._heading: list[str] | None = None
        self._named = ""  # the last heading, until a picture stands below it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "section":
            self._finding = has.get("id", "")
        elif tag in _HEADINGS:
            self._heading = []
        elif tag == "img" and self._finding and has.get("src", "").startswith(_PICTURE):
            words = escape(has.get("alt", ""))
            picture = f'<img src="{escape(has["src"])}" alt="{words}"><figcaption>{words}</figcaption>'
            self.parts.setdefault(self._finding, []).append(f"{self._named}<figure>{picture}</figure>")
            self._named = ""

    def handle_data(self, data: str) -> None:
        if self._heading is not None:
            self._heading.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._finding = self._named = ""
        if tag in _HEADINGS and self._heading is not None:
            self._named = f"<h4>{escape(''.join(self._heading))}</h4>"
            self._heading = None
