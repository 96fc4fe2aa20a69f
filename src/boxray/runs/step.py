"""Where a training stands: told after every batch, and kept in the run folder after every epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boxray.runs.run import write_atomically

EPOCHS: Final = "epochs.csv"
"""In a run's folder: a row per epoch with the mean of each loss over the epoch."""


@dataclass(frozen=True, slots=True)
class Step:
    """A batch that was learned from. All counts from 1; epochs over all stages of the training."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    """Of an epoch."""
    losses: Mapping[str, float]
    """By name, the mean over the epoch's batches so far."""

    @property
    def ends_epoch(self) -> bool:
        """Whether this was the last batch of its epoch."""
        return self.batch == self.batches


Tell = Callable[[Step], None]


def tell_nobody(_step: Step) -> None:
    """For who does not want to know."""


def kept_in(folder: Path, tell: Tell) -> Tell:
    """What tells on, and writes `EPOCHS` when an epoch ends.

    An epoch that is trained again after a cut takes the place of its row, and of all later ones.
    """
    path = folder / EPOCHS

    def told(step: Step) -> None:
        tell(step)
        if step.ends_epoch:
            write_atomically(path, _with_row(_rows(path), step).encode())

    return told


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _with_row(rows: list[dict[str, str]], step: Step) -> str:
    row = {"epoch": str(step.epoch)} | {name: f"{loss:.6g}" for name, loss in step.losses.items()}
    kept = [*(earlier for earlier in rows if int(earlier["epoch"]) < step.epoch), row]
    text = io.StringIO()
    # A stage may have a loss that another has not.
    writer = csv.DictWriter(text, list(dict.fromkeys(name for each in kept for name in each)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    return text.getvalue()
