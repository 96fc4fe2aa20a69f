"""Where a build may write: a folder of its own, and nobody's source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from boxray.core.errors import DataError
from boxray.data.datasets_file import SourceEntry
from boxray.data.manifest import ABOUT
from boxray.data.pictures import SHELF, SHELF_COLUMNS


def require_room(out: Path, sources: Iterable[SourceEntry]) -> None:
    """Nothing but an earlier build may be in the way, and no source may be near. Asked before anything is written.

    A build writes ``images/`` and ``labels/``, which are the very names of a source in YOLO's layout. What else lies
    in an earlier build, such as ``annotations.json``, is left as it is.

    Raises:
        DataError: If `out` is a file, is or lies in or holds a source's folder, or holds something else.
    """
    for entry in sources:
        for folder in filter(None, (entry.root, entry.pictures)):
            _require_apart(out, folder)
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out} is a file; a set is built into a folder that is new, empty, or holds an earlier build")
    n_there = sum(1 for _ in out.iterdir())
    if n_there and not is_build(out):
        raise DataError(
            f"{out} holds {n_there} files or folders and no earlier build; build into a folder that is new, empty, "
            "or holds an earlier build, which is then brought up to date"
        )


def is_build(folder: Path) -> bool:
    """Whether a build has written there, to its end or not: its manifest or its shelf of pictures says so."""
    return _is_manifest(folder / ABOUT) or _is_shelf(folder / SHELF)


def _require_apart(out: Path, source: Path) -> None:
    ours, theirs = out.resolve(), source.resolve()
    for near, how in (
        (ours == theirs, "is the folder of a source"),
        (theirs in ours.parents, f"lies in {source}, the folder of a source"),
        (ours in theirs.parents, f"holds {source}, the folder of a source"),
    ):
        if near:
            raise DataError(f"{out} {how}, which a build would spoil; name a folder elsewhere")


def _is_manifest(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"label_space", "fingerprint", "files"} <= content.keys()


def _is_shelf(path: Path) -> bool:
    try:
        return set(SHELF_COLUMNS) <= set(pq.read_schema(path).names)
    except (OSError, ValueError):  # pyarrow's own errors are of these
        return False
