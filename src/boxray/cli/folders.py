"""Folders that a command writes into: made or refused in words, and those of `boxray read --out` and `boxray demo`.

Such a one holds ``readings.jsonl`` and what one run drew, so that no picture stands there without its reading. A second
run replaces it whole; what no run wrote is never touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from boxray.core.errors import DataError
from boxray.core.reading import SCHEMA
from boxray.localization.page import PAGE, picture_name

READINGS: Final = "readings.jsonl"

OBJECTS: Final = (".sr.dcm", ".gsps.dcm")
"""Endings of report and presentation state of a file."""

_ENDINGS: Final = (".png", *OBJECTS)
"""Of what `boxray read` writes of a file; the objects lie in `--out` where `--sr` names the same folder."""

_PART: Final = ".part"

_LINE_BEGIN: Final = f'{{"schema": "{SCHEMA}"'
"""Of each line of `READINGS`."""

_LONGEST_STEM_BYTES: Final = 230
"""Of the 255 that a file system gives a name."""

_WANTED: Final = "name a folder that is new or that you may write to"


def make_folder(option: str, folder: Path) -> None:
    """Make the folder of an option where it is not there yet.

    Raises:
        DataError: If there is no such folder then, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{option} {_in_the_way(folder, error)}; {_WANTED}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"{option} is a folder that may not be written to; {_WANTED}")


def _in_the_way(folder: Path, error: OSError) -> str:
    if folder.exists() and not folder.is_dir():
        return "is a file"
    if any(parent.exists() and not parent.is_dir() for parent in folder.parents):
        return "lies below a file"
    return f"cannot be made ({error.strerror})"


def begin_of(number: int, file: str) -> str:
    """How the names begin of what a run writes of one file: its number, and its stem, cut so that an ending fits.

    Args:
        number: Of the file in the run, from 1.
        file: As its reading names it.
    """
    return f"{number:04d}-{os.fsdecode(os.fsencode(Path(file).stem)[:_LONGEST_STEM_BYTES])}"


@dataclass(frozen=True, slots=True)
class Run:
    """What a command writes into its folder beside `READINGS`."""

    command: str
    of_each: Callable[[int, str], tuple[str, ...]]
    """Number of a file in the run, from 1, and how its reading names it -> names of what is written of it."""
    once: tuple[str, ...] = ()


def _of_read(number: int, file: str) -> tuple[str, ...]:
    return tuple(begin_of(number, file) + ending for ending in _ENDINGS)


READ: Final = Run("boxray read --out", _of_read)
DEMO: Final = Run("boxray demo --out", lambda number, _: (picture_name(number),), (PAGE,))


def older_run(folder: Path, to_read: Sequence[Path], run: Run) -> list[Path]:
    """The files of an older run, which the new one takes away; none in an empty folder. Asked before the work.

    Args:
        folder: Of the command's `--out`.
        to_read: What this run will read.
        run: Of which command.

    Raises:
        DataError: If the folder holds something else, or a file that is to be read.
    """
    there = sorted(folder.iterdir())
    names = _written_by(run, folder / READINGS)
    n_others = sum(path.name not in names or not path.is_file() for path in there)
    if n_others:
        what = "1 file or folder" if n_others == 1 else f"{n_others} files or folders"
        raise DataError(
            f"--out holds {what} that no earlier reading wrote; name a folder that is new, empty, or holds the files "
            f"of an earlier `{run.command}` alone, which are then replaced"
        )
    if there and any(path.resolve().is_relative_to(folder.resolve()) for path in to_read):
        raise DataError("--out holds files that are to be read, and would replace them; name another folder")
    return there


def require_no_objects(folder: Path, begins: Sequence[str]) -> None:
    """Refuse to write over objects: files of two patients may have one name, as ``IM0001``.

    Args:
        folder: Of `boxray read --sr`.
        begins: From `begin_of`, of all files of the run.

    Raises:
        DataError: If an object of one of these names is there.
    """
    there = sum((folder / f"{begin}{ending}").exists() for begin in begins for ending in OBJECTS)
    if there:
        what = "1 object" if there == 1 else f"{there} objects"
        raise DataError(f"--sr holds {what} of the names that this run would write; name a folder that is new or empty")


def _written_by(run: Run, record: Path) -> set[str]:
    """Names of all that a run may have written, its record among them; none where the record is not ours.

    A run that was killed may have left parts of a file and a torn line.
    """
    names = {READINGS, *run.once}
    n_lines = 0
    try:
        *lines, torn = record.read_text(encoding="utf-8").split("\n")
        if torn and not (torn.startswith(_LINE_BEGIN) or _LINE_BEGIN.startswith(torn)):
            return set()
        for n_lines, line in enumerate(lines, start=1):
            reading = json.loads(line)
            if reading["schema"] != SCHEMA:
                return set()
            names.update(run.of_each(n_lines, reading["file"]))
    except (OSError, ValueError, LookupError, TypeError):  # JSON of another form
        return set()
    parts = (path for number in (n_lines, n_lines + 1) for path in record.parent.glob(f".{number:04d}-*{_PART}"))
    return names | {path.name for path in parts}


@contextmanager
def replaced(folder: Path, older: Sequence[Path]) -> Iterator[IO[str]]:
    """The record of a new run, line by line on the disk; what an older run wrote is taken away first.

    Args:
        folder: Of the run.
        older: From `older_run`.
    """
    path = folder / READINGS
    for old in sorted(older, key=lambda old: old == path):  # the record goes last: it says what is ours
        old.unlink()
    with path.open("w", encoding="utf-8", buffering=1) as record:
        yield record


@contextmanager
def appearing(files: Mapping[Path, bytes]) -> Iterator[None]:
    """Files that stand under their names after the block, and not at all where it fails.

    Within it their reading is told. Until then they are hidden parts, so that no run that is cut off, be it by a kill,
    leaves a picture without its line.

    Args:
        files: Path -> content.
    """
    parts = {path: path.with_name(f".{path.name}{_PART}") for path in files}
    try:
        for path, content in files.items():
            parts[path].write_bytes(content)
        yield
        for path, part in parts.items():
            part.replace(path)
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise
