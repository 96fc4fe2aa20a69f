"""`boxray detection sizes` and `resize`: at which size a detector is read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from boxray.cli.detection_compare import WEIGHTS_HELP
from boxray.cli.show import progress_bar, steps
from boxray.cli.training import DataFolder, WeightsFolder, WeightsVersion
from boxray.core.assessed import MEAN
from boxray.core.findings import LabelSpace
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.compare import Compared
from boxray.detection.recipe import GRID_PX

SIDE_HELP: Final = f"Side of the square that is read, in pixels, a multiple of {GRID_PX}."


def whole_grid(side: int | None) -> int | None:
    """Refuse a side that the coarsest grid does not divide."""
    if side is not None and (side < GRID_PX or side % GRID_PX):
        near = max(round(side / GRID_PX), 1) * GRID_PX
        raise typer.BadParameter(f"{side} px is no multiple of {GRID_PX}; the nearest is {near}")
    return side


def sizes(
    weights: Annotated[Path, typer.Argument(help=WEIGHTS_HELP)],
    data: DataFolder,
    sides: Annotated[str, typer.Option(help=f"Commas between them. {SIDE_HELP}")] = "320,384,448,512,576,640",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")] = False,
) -> None:
    """AP50 on the validation part by the size that is read, against the card's own; by torch."""
    from boxray.detection.release import load_torch_detector
    from boxray.detection.sizes import judge_sizes

    asked = [side for side in (whole_grid(_number(word)) for word in sides.split(",")) if side is not None]
    manifest = Manifest.load(data)
    with tempfile.TemporaryDirectory() as state:
        detector = load_torch_detector(weights, Path(state))
        readings = len({detector.card.side_px, *asked}) * len(manifest.part(Split.VAL).images)
        with progress_bar("detecting", readings) as progress:
            judged = judge_sizes(detector, manifest, asked, steps(progress))
    if as_json:
        print(json.dumps({side: [row.to_json() for row in rows] for side, rows in judged.items()}, indent=2))
    else:
        _print_sizes(judged, manifest.label_space)


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise typer.BadParameter(f"{word.strip()!r} is no whole number; give sides such as 384,512") from None


def _print_sizes(judged: Mapping[int, tuple[Compared, ...]], space: LabelSpace) -> None:
    """A table of the means, and one of the findings, a column for each size; both fit 80 columns."""
    means, each = _table("px", "mean AP50 (95 %)", "against the card's size"), _table("AP50 at", *map(str, judged))
    for side, rows in judged.items():
        means.add_row(str(side), str(rows[-1].ours), rows[-1].difference.signed)
    for of_finding in zip(*judged.values(), strict=True):
        finding = of_finding[0].finding
        name = "Mean" if finding == MEAN else space[finding].display
        each.add_row(name, *(str(row.ours).partition(" ")[0] for row in of_finding))
    for table in (means, each):
        Console().print(table)


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def resize(
    weights: Annotated[Path, typer.Argument(help="Released .safetensors, card beside it.")],
    data: DataFolder,
    side: Annotated[int, typer.Option(help=SIDE_HELP, callback=whole_grid)],
    version: WeightsVersion,
    out: WeightsFolder = Path("detection/weights"),
) -> None:
    """Make released weights read at another size: the same tensors; graph, calibration and thresholds anew."""
    from boxray.detection.release import resize as resize_weights

    manifest = Manifest.load(data)
    with tempfile.TemporaryDirectory() as state, progress_bar("detecting", len(manifest.part(Split.VAL).images)) as bar:
        card = resize_weights(weights, side, version, manifest, out, Path(state), steps(bar))
    print(card)
