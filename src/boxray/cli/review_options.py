"""What the commands of `boxray review` share: where things lie, which images, tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import pandas as pd
import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.manifest import Manifest

DATA: Final = Path("data/built/real")
CORRECTIONS: Final = Path("data/corrections")

BuiltSet = Annotated[Path, typer.Option("--data", help="Folder of the built set that was looked at.")]
LogFolder = Annotated[Path, typer.Option("--corrections", help="Folder of the corrections.")]


def asked_for(manifest: Manifest, split: str | None, source: str | None, finding: str | None) -> Manifest:
    """The images of a set that a command asks for.

    Args:
        manifest: The set.
        split: Only this split; None means all.
        source: Only this source; None means all.
        finding: Only images that have this finding, boxed or not; None means all.

    Raises:
        DataError: If the set has no such split, source or finding.
    """
    images = manifest.images
    mask = pd.Series(data=True, index=images.index)
    for column, wanted in (("split", split), ("source", source)):
        if wanted is not None:
            known = sorted(images[column].astype(str).unique())
            if wanted not in known:
                raise DataError(f"no image of the set has the {column} {wanted!r}; there are: {', '.join(known)}")
            mask &= images[column].astype(str) == wanted
    if finding is not None:
        if finding not in manifest.label_space.keys:
            raise DataError(f"{finding!r} is none of the set's findings: {', '.join(manifest.label_space.keys)}")
        mask &= images[f"presence_{finding}"].isin([Presence.BOXED.value, Presence.PRESENT.value])
    return manifest.only(mask)


def plain_table(title: str, *columns: str) -> Table:
    """A table whose long cells are folded, never cut."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
