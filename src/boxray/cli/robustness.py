"""`boxray detection robustness` and `boxray classification robustness`: one command of either's weights."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from boxray.cli.scorers import SCORER_HELP, open_scorer
from boxray.cli.show import progress_bar, steps
from boxray.cli.training import DataFolder, SplitName, WithAssumed
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.plain import json_text
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.localization.robustness import CHANGES, Robustness, Said, said_when_changed, scores_when_changed
from boxray.page.judged import JudgedOn
from boxray.page.model_card import AS_IS

_NOTE: Final = "*: the 95 % interval of the difference from the films as they are is without zero"


def robustness(
    weights: Annotated[Path, typer.Argument(help=SCORER_HELP)],
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")] = False,
) -> None:
    """Is a finding said as often when films are softer, closer or darker? At operating points, source by source."""
    whole = Manifest.load(data)
    manifest = whole.part(Split(split))
    with tempfile.TemporaryDirectory() as state:
        scorer = open_scorer(weights, Path(state))
        thresholds = scorer.identity.thresholds
        if not thresholds:
            raise ModelError(f"{scorer.identity.name} has no operating point yet, so it says nothing; release it first")
        with progress_bar("reading", len(manifest.images) * (1 + len(CHANGES))) as progress:
            scores = scores_when_changed(scorer, manifest, steps(progress))
    with progress_bar("measuring", None):
        found = said_when_changed(manifest, scores, thresholds, with_assumed=with_assumed)
    if as_json:
        on = JudgedOn.of(manifest, fingerprint=whole.fingerprint, split=split, with_assumed=with_assumed)
        print(json_text(Robustness(scorer.identity, on, tuple(found)).to_json()), end="")
    else:
        _print_tables(found, manifest.label_space)


def _print_tables(found: Sequence[Said], space: LabelSpace) -> None:
    for there in (False, True):
        _print_table([one for one in found if one.there == there], space, there=there)
    Console().print(_NOTE, style="dim")


def _print_table(found: Sequence[Said], space: LabelSpace, *, there: bool) -> None:
    """One line per finding and source; fits 80 columns."""
    title = f"Share of the films {'with' if there else 'without'} the finding of which it is said"
    table = Table(box=SIMPLE, padding=0, pad_edge=False, title=title)
    for heading in ("finding", "source", "films", AS_IS, *CHANGES):
        table.add_column(heading, no_wrap=True, justify="left" if heading in {"finding", "source"} else "right")
    for one in found:
        shares = (f"{one.shares[name].value:.2f}{'*' if one.is_certain(name) else ''}" for name in CHANGES)
        plain = f"{one.shares[AS_IS].value:.2f}"
        table.add_row(space[one.finding].display, one.source, str(one.images), plain, *shares)
    Console().print(table)
