"""What the commands of both models share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from boxray.core.findings import LabelSpace
from boxray.core.metrics import Interval

RecipeName = Annotated[str, typer.Argument(help="A recipe's file, or its name in recipes/.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, laid over the recipe.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the newest run of this recipe on this data.")]
Threads = Annotated[int | None, typer.Option(help="Threads of a CPU; default: all cores.")]
DataFolder = Annotated[Path, typer.Option(help="Folder of a built data set.")]
SplitName = Annotated[str, typer.Option(help="train, val or test.")]
WithAssumed = Annotated[
    bool, typer.Option("--with-assumed", help="Count images in which a card only assumes that the finding is absent.")
]


def print_results(
    rows: Sequence[Any], label_space: LabelSpace, measure: str, columns: dict[str, str], *, as_json: bool
) -> None:
    """Results per finding as a table or as JSON.

    Args:
        rows: Objects with `finding`, `assessed`, `to_json()` and an `Interval` under the name `measure`.
        label_space: For the findings' names.
        measure: Such as ``ap50``.
        columns: Further columns: heading to the key of `to_json()`.
        as_json: One JSON list on stdout.
    """
    if as_json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
        return
    table = Table("finding", f"{measure} (95 % interval)", *columns)
    for row in rows:
        interval: Interval = getattr(row, measure)
        said = str(interval) if row.assessed else "not assessed"
        values = row.to_json()
        table.add_row(label_space[row.finding].display, said, *(str(values[key]) for key in columns.values()))
    Console().print(table)
