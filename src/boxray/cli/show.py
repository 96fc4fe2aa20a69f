"""How the command line shows things: progress and tables, on stderr and stdout."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from boxray.core.errors import Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import Reading
from boxray.runs.step import Step, Tell

PEOPLE = Console(stderr=True)
IMAGES_A_LINE: Final = 500
"""Of a build whose stderr is no terminal: some ten seconds of decoding on two cores."""


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Progress]:
    """A bar on stderr with one task, number 0; nothing where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=PEOPLE, transient=True, disable=not PEOPLE.is_terminal) as progress:
        progress.add_task(what, total=total)
        yield progress


@contextmanager
def training_bar() -> Iterator[Tell]:
    """A bar of the epoch on stderr, and a line when it ends; where stderr is no terminal the lines alone."""
    with progress_bar("preparing", None) as progress:

        def tell(step: Step) -> None:
            said = f"epoch {step.epoch} of {step.epochs}: " + ", ".join(
                f"{name} {loss:.4g}" for name, loss in step.losses.items()
            )
            progress.update(TaskID(0), description=said, completed=step.batch, total=step.batches)
            if step.ends_epoch:
                PEOPLE.print(said, highlight=False)

        yield tell


@contextmanager
def building_bar() -> Iterator[Callable[[str, int], None]]:
    """What a build is at, and how many images of it are finished, on stderr; where that is no terminal as lines."""
    done: Counter[str] = Counter()
    with progress_bar("reading tables", None) as progress:

        def tell(what: str, n_images: int) -> None:
            begins = what not in done
            done[what] += n_images
            progress.update(TaskID(0), description=what, completed=done[what])
            if PEOPLE.is_terminal:
                return
            if begins:
                PEOPLE.print(f"{what} ...", highlight=False)
            elif done[what] % IMAGES_A_LINE == 0:
                PEOPLE.print(f"{what}: {done[what]} images", highlight=False)

        yield tell


def steps(progress: Progress) -> Callable[..., None]:
    """What moves the bar of `progress_bar` on by one, or by the number that it is called with."""
    return lambda number=1: progress.advance(TaskID(0), number)


def written(path: Path) -> str:
    """A path as text that any file takes: a byte of a name that is no UTF-8 stands as a backslash, x and two digits.

    Python keeps such bytes as half characters, which neither JSON nor HTML can hold.
    """
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def line_of(reading: Reading, label_space: LabelSpace) -> str:
    """A reading in one line of text."""
    if reading.status is not Outcome.RESULT:
        return f"{reading.file}: {reading.status.value} {reading.code}: {reading.reason}"
    said = []
    if "detector" in reading.models:
        said.append(_named(best_boxes(reading), label_space) or "no boxed finding")
    if "classifier" in reading.models:
        said.append("classifier: " + (_named(over_threshold(reading), label_space) or "no finding over its threshold"))
    silent = "; ".join(
        f"by the {role}: {', '.join(label_space[key].display for key in keys)}"
        for role, keys in reading.not_assessed.items()
        if keys
    )
    return f"{reading.file}: {'; '.join(said)}" + (f"  (not assessed {silent})" if silent else "")


def best_boxes(reading: Reading) -> dict[str, float]:
    """Finding -> score of its best box, by falling score."""
    best: dict[str, float] = {}
    for detection in reading.detections:  # by falling score
        best.setdefault(detection.finding, detection.score)
    return best


def over_threshold(reading: Reading) -> dict[str, float]:
    """Finding -> the classifier's score, of those that reach their threshold; 0.5 where none is stored."""
    least = reading.models["classifier"].thresholds if "classifier" in reading.models else {}
    return {key: score for key, score in reading.scores.items() if score >= least.get(key, 0.5)}


def _named(scores: Mapping[str, float], label_space: LabelSpace) -> str:
    return ", ".join(f"{label_space[key].display} {score:.2f}" for key, score in scores.items())
