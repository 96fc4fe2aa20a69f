"""`boxray detection robustness` and `boxray classification robustness`: one question to both models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from boxray.classification.load import open_classifier
from boxray.cli.show import progress_bar, steps
from boxray.cli.training import DataFolder, SplitName, WithAssumed
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.plain import json_text
from boxray.core.protocols import Scorer
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.highest_box import HighestBox
from boxray.detection.load import open_detector
from boxray.localization.robustness import CHANGES, Robustness, Said, said_when_changed, scores_when_changed
from boxray.page.judged import JudgedOn
from boxray.page.model_card import AS_IS

_Weights = Annotated[Path, typer.Argument(help="Released .onnx or .safetensors (run by torch), card beside it.")]
_AsJson = Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")]
_NOTE: Final = "*: the 95 % interval of the difference from the films as they are is without zero"


def of_detector(
    weights: _Weights,
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    as_json: _AsJson = False,
) -> None:
    """Is a finding boxed as often when films are softer, closer or darker? At operating points, source by source."""
    asked = _Asked(data, split, with_assumed, as_json)
    with tempfile.TemporaryDirectory() as state:
        _robustness(HighestBox(open_detector(weights, Path(state))), asked)


def of_classifier(
    weights: _Weights,
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    as_json: _AsJson = False,
) -> None:
    """Is a finding said as often when films are softer, closer or darker? At operating points, source by source."""
    _robustness(open_classifier(weights), _Asked(data, split, with_assumed, as_json))


class _Asked(NamedTuple):
    data: Path
    split: SplitName
    with_assumed: bool
    as_json: bool


def _robustness(scorer: Scorer, asked: _Asked) -> None:
    if not scorer.identity.thresholds:
        raise ModelError(f"{scorer.identity.name} has no operating point yet, so it says nothing; release it first")
    whole = Manifest.load(asked.data)
    manifest = whole.part(Split(asked.split))
    with progress_bar("reading", len(manifest.images) * (1 + len(CHANGES))) as progress:
        scores = scores_when_changed(scorer, manifest, steps(progress))
    with progress_bar("measuring", None):
        found = said_when_changed(manifest, scores, scorer.identity.thresholds, with_assumed=asked.with_assumed)
    if asked.as_json:
        on = JudgedOn.of(manifest, fingerprint=whole.fingerprint, split=asked.split, with_assumed=asked.with_assumed)
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
