"""How the comparison of two models is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from boxray.core.assessed import MEAN
from boxray.core.findings import LabelSpace
from boxray.core.metrics import Interval
from boxray.core.reading import ModelIdentity

Line = tuple[str, Interval, Interval, Interval, str]
"""Finding or `MEAN`; ours, theirs, and ours minus theirs; what was counted."""


def print_comparison(
    heading: str,
    counted: str,
    lines: Iterable[Line],
    space: LabelSpace,
    models: Sequence[ModelIdentity],
    title: str | None = None,
) -> None:
    """One line per finding and one for the mean; fits 80 columns.

    Args:
        heading: Which figure, such as ``AP50 (95 %)``.
        counted: What the last column counts.
        lines: The mean last.
        space: For the findings' names.
        models: Ours and theirs.
        title: Above the table, where there are several.
    """
    table = Table(box=SIMPLE, padding=0, pad_edge=False, title=title, title_justify="left")
    for name in (heading, "ours", "theirs", "ours - theirs", counted):
        table.add_column(name, no_wrap=True, justify="right" if name == counted else "left")
    for finding, ours, theirs, difference, n in lines:
        if finding == MEAN:
            table.add_section()
        name = "Mean" if finding == MEAN else space[finding].display
        table.add_row(name, str(ours), str(theirs), difference.signed, n)
    left, right = (f"{model.name} {model.version}" for model in models)
    table.caption = f"ours: {left}; theirs: {right}"
    table.caption_justify = "left"
    Console().print(table)


def identity_json(model: ModelIdentity) -> dict[str, str]:
    """Which weights spoke, as plain data."""
    return {"name": model.name, "version": model.version, "sha256": model.sha256}
