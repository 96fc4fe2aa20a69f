"""What the commands of both models share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RecipeName = Annotated[str, typer.Argument(help="A recipe's file, or its name in recipes/.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, laid over the recipe.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the newest run of this recipe on this data.")]
Threads = Annotated[int | None, typer.Option(help="Threads of a CPU; default: all cores.")]
RunFolder = Annotated[Path, typer.Argument(help="A finished run's folder.")]
WeightsName = Annotated[str, typer.Option("--name", help="Of the weights.")]
WeightsVersion = Annotated[str, typer.Option("--version", help="Of the weights.")]
NewVersion = Annotated[
    str | None, typer.Option("--version", help="Of the weights, whose thresholds may change; default: as it was.")
]
AsDefault = Annotated[bool, typer.Option("--default", help="Say on the card that these are the weights to read with.")]
WeightsFolder = Annotated[Path, typer.Option("--out", help="Where they go.")]
DataFolder = Annotated[Path, typer.Option(help="Folder of a built data set.")]
SplitName = Annotated[Literal["train", "val", "test"], typer.Option(help="Part of the data set.")]
WithAssumed = Annotated[
    bool, typer.Option("--with-assumed", help="Count images in which a card only assumes that the finding is absent.")
]
