"""`boxray review agreement`: readers against readers, or against the detector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from boxray.cli.review_options import CORRECTIONS, DATA, BuiltSet, LogFolder, asked_for, plain_table
from boxray.core.errors import DataError
from boxray.core.plain import json_text
from boxray.data.audit import AGREE_IOU
from boxray.data.correction_log import CorrectionLog
from boxray.data.csv_cells import harmless
from boxray.data.manifest import Manifest
from boxray.review.agreement import CONSENSUS, Looks, PairAgreement, agreement, model_of, readers_of
from boxray.review.readings import find_readings


def agree(
    data: BuiltSet = DATA,
    readers: Annotated[
        tuple[str, str] | None, typer.Option(help="Two readers; without it all pairs who looked at the same images.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="A detector against every reader: its file of boxray read --json.")
    ] = None,
    iou: Annotated[float, typer.Option(help="Overlap from which two boxes are one.")] = AGREE_IOU,
    split: Annotated[str | None, typer.Option(help="train, val, test or aside; default: all.")] = None,
    score: Annotated[float | None, typer.Option(help="Detections from here; default: the operating points.")] = None,
    corrections: LogFolder = CORRECTIONS,
    rounds: Annotated[int, typer.Option(help="Resamples of patients for the intervals.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="A CSV file for the figures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """How far two readers agree, or readers and the detector: boxes and presence, with intervals by patient."""
    manifest = asked_for(Manifest.load(data), split, None, None)
    there = readers_of(manifest, CorrectionLog.read(corrections))
    said = model_of(manifest, find_readings(model, manifest), score) if model else None
    rows = [
        row
        for one, other in _pairs(there, readers, said)
        for row in agreement(one, other, manifest, iou, rounds=rounds)
    ]
    if not rows:
        known = ", ".join(name for name in there if name != CONSENSUS)
        raise DataError(f"no two of them looked for the same finding on the same image; the readers are: {known}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame([row.to_row() for row in rows]).map(harmless).to_csv(out, index=False)
    if as_json:
        print(json_text({"iou": iou, "rounds": rounds, "pairs": [row.to_json() for row in rows]}), end="")
        return
    Console().print(_agreement_table(rows, iou))


def _pairs(
    there: dict[str, Looks], readers: tuple[str, str] | None, model: Looks | None
) -> Sequence[tuple[Looks, Looks]]:
    for name in readers or ():
        if name not in there:
            raise DataError(f"there is no reader {name!r}; there are: {', '.join(there)}")
    if readers is not None:
        two = [there[name] for name in readers]
        return [(two[0], two[1])] if model is None else [(each, model) for each in two]
    if model is not None:
        return [(each, model) for each in there.values()]
    return list(combinations([each for name, each in there.items() if name != CONSENSUS], 2))


def _agreement_table(rows: Sequence[PairAgreement], iou: float) -> Table:
    table = plain_table(
        f"Boxes are one from IoU {iou:g}; in brackets 95 % by patient",
        *("finding", "first", "second", "images", "boxes", "F1", "mean IoU", "presence", "kappa", "PABAK"),
    )
    for row in rows:
        both, first, second, neither = row.presence
        said = f"{both} / {first} / {second} / {neither}"
        boxes = f"{row.boxes[0]} : {row.boxes[1]}"
        figures = map(str, (row.f1, row.mean_iou))
        table.add_row(
            row.finding,
            *map(escape, row.readers),
            str(row.images),
            boxes,
            *figures,
            said,
            str(row.kappa),
            str(row.pabak),
        )
    table.caption = "presence: images on which both / only the first / only the second / neither says that it is there"
    return table
