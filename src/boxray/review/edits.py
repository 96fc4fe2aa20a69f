"""Where edits come from: anything that gives corrections, and says which of its rows are none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from boxray.core.errors import DataError
from boxray.data.corrections import Correction
from boxray.data.manifest import Manifest

VERDICTS: Final = "boxray.verdicts/1"
"""Schema of the file that the review sheet saves."""

MOST_BYTES: Final = 256 * 2**20
"""Of a file of verdicts: a million of them take less."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A row that is no correction."""

    place: str
    """Where it stands: a file's name and the number of the row."""
    reason: str


@dataclass(frozen=True, slots=True)
class Edits:
    """What one place holds. One bad row never stops the rest."""

    corrections: tuple[Correction, ...]
    unread: tuple[Unread, ...] = ()


EditSource = Callable[[Manifest], Edits]
"""The seam: the sheet's file, FiftyOne, CVAT and Label Studio each are one. It compares with the set that it is given
where the place itself does not say what stood there before."""


def verdicts_from(path: Path) -> EditSource:
    """The file of verdicts that a review sheet has saved, as a source of edits."""
    return lambda _manifest: read_verdicts(path)


def read_verdicts(path: Path) -> Edits:
    """The corrections of a file of verdicts; rows that are none come back with their reason.

    Raises:
        DataError: If it is no such file at all.
    """
    content = _content(path)
    common = {name: content[name] for name in ("base", "reviewer") if content.get(name)}
    made: list[Correction] = []
    unread: list[Unread] = []
    for number, row in enumerate(content["verdicts"], start=1):
        try:
            if not isinstance(row, Mapping):
                raise DataError(f"expected a row with names, got {type(row).__name__}")  # noqa: TRY301 - as the rest
            made.append(Correction.from_json(common | dict(row)))
        except DataError as error:
            unread.append(Unread(f"{path.name}, verdict {number}", str(error)))
    return Edits(tuple(made), tuple(unread))


def _content(path: Path) -> dict[str, Any]:
    wanted = "save one from a review sheet (boxray review sheet)"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path.name} is larger than {MOST_BYTES // 2**20} MiB; {wanted}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path.name} cannot be read ({error.strerror}); {wanted}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is no JSON, or cut off; {wanted}") from error
    if not isinstance(content, dict) or content.get("schema") != VERDICTS:
        raise DataError(f"{path.name} is no file of verdicts ({VERDICTS}); {wanted}")
    if not isinstance(content.get("verdicts"), list):
        raise DataError(f"{path.name} has no list of verdicts; {wanted}")
    return content
