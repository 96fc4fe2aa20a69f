"""Names of files as other file systems see them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator


def one_name(name: str) -> str:
    """The same for names that a file system may take for one: they differ in case or in Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def collisions(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of a name and an earlier one that it would overwrite on some other file system."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(one_name(name), name)
        if other != name:
            yield name, other
