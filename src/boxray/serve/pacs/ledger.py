"""Which radiographs of an archive were dealt with: a line for each in a file, no word of a patient in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from boxray.core.errors import DataError
from boxray.core.reading import ModelIdentity
from boxray.serve.pacs.archive import Film


class Ledger:
    """Kept on disk, so that a restart reads nothing twice. Other models read everything anew."""

    def __init__(self, path: Path, models: Mapping[str, ModelIdentity]) -> None:
        """Take up the file, or begin one.

        Args:
            path: Of JSON lines; a last line that was cut off is left out.
            models: Who reads: role -> identity.

        Raises:
            DataError: If the file holds something else.
        """
        self._path = path
        self._models = "\0".join(models[role].sha256 for role in sorted(models))
        self._known = set(_keys(path))

    def __contains__(self, film: Film) -> bool:
        return self.key(film) in self._known

    def __len__(self) -> int:
        return len(self._known)

    def key(self, film: Film) -> str:
        """An opaque name of the film as these models read it: 32 hexadecimal digits, the same every time."""
        return hashlib.sha256(f"{film.instance}\0{self._models}".encode()).hexdigest()[:32]

    def add(self, film: Film, outcome: str) -> None:
        """Note what became of it; on disk before this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="ascii") as file:
            file.write(json.dumps({"film": self.key(film), "outcome": outcome}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._known.add(self.key(film))


def _keys(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="ascii", errors="replace")
    whole, _, cut = text.rpartition("\n")
    if cut:  # a line that was being written when the power went
        path.write_text(whole + "\n" if whole else "", encoding="ascii")
    try:
        return [json.loads(line)["film"] for line in whole.splitlines()]
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{path.name} is not a ledger of films that were read; name another file with --ledger, or remove it"
        ) from None
