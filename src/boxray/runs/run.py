"""The run folder: what was asked for, where it ran, on which data, and what came out."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from boxray.core.errors import RecipeError
from boxray.core.plain import json_text

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Run:
    """One folder ``runs/<job>/<date>-<recipe>-<hash8>/``."""

    folder: Path

    def write_json(self, name: str, content: Any) -> Path:
        """Write a file whole or not at all; what was not measured (NaN) is `null` in it.

        Raises:
            ValueError: If a number is infinite.
        """
        path = self.folder / name
        write_atomically(path, json_text(content).encode())
        return path


def start_run(job: str, recipe_name: str, recipe: BaseModel, data_fingerprint: str, root: Path = RUNS) -> Run:
    """Make the folder of a new run and write the resolved recipe and the environment into it."""
    asked = f"{recipe_name}-{_hash8(recipe, data_fingerprint)}"
    today = dt.datetime.now(dt.UTC).date().isoformat()
    folder = _new_folder(root / job, f"{today}-{asked}")
    run = Run(folder)
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    write_atomically(folder / "recipe.yaml", text.encode())
    run.write_json("environment.json", environment() | {"data": data_fingerprint})
    return run


def latest_run(job: str, recipe_name: str, recipe: BaseModel, data_fingerprint: str, root: Path = RUNS) -> Run:
    """The newest run of this very recipe on this very data, to go on with it.

    Raises:
        RecipeError: If there is none.
    """
    asked = re.compile(rf"(\d{{4}}-\d\d-\d\d)-{re.escape(recipe_name)}-{_hash8(recipe, data_fingerprint)}(?:-(\d+))?")
    # By name, not by time of change: an old run that was evaluated today is still the old one.
    found = {
        (match[1], int(match[2] or 1)): folder
        for folder in (root / job).glob("*")
        if (match := asked.fullmatch(folder.name)) and folder.is_dir()
    }
    if not found:
        raise RecipeError(
            f"no run of recipe {recipe_name!r} with these settings on this data to go on with; start without --resume"
        )
    return Run(found[max(found)])


def environment() -> dict[str, Any]:
    """Versions of Python and all packages, the processor, the platform. No host name, no user, no path."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": dict(sorted((d.name, d.version) for d in distributions() if d.name)),
    }


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes so that the file is the old one or the new one, never half of it; a failure leaves nothing beside."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _new_folder(parent: Path, name: str) -> Path:
    """A folder that was not there before, numbered from the second on; another run may ask at the same time."""
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers do not end")


def _hash8(recipe: BaseModel, data_fingerprint: str) -> str:
    return hashlib.sha256((recipe.model_dump_json() + data_fingerprint).encode()).hexdigest()[:8]
