"""`boxray detection compare`: two detectors on the same images."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from boxray.cli.comparison import identity_json, print_comparison
from boxray.cli.show import progress_bar, steps
from boxray.cli.training import DataFolder, SplitName, WithAssumed
from boxray.core.assessed import findings_of_both
from boxray.core.findings import LabelSpace
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.compare import Compared, compare_ap50
from boxray.detection.evaluate import detect_all
from boxray.detection.load import open_detector

WEIGHTS_HELP: Final = "Released .onnx or .safetensors (run by torch), card beside it; or the folder of a finished run."
_Weights = Annotated[Path, typer.Argument(help=WEIGHTS_HELP)]


def compare(
    ours: _Weights,
    theirs: _Weights,
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    findings: Annotated[
        str | None, typer.Option(help="Only these, commas between them; default: all that both assess.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on stdout.")] = False,
) -> None:
    """AP50 of two detectors and the difference, each with its 95 % interval on the same resampled patients."""
    named = [word.strip() for word in (findings or "").split(",") if word.strip()]
    manifest = Manifest.load(data).part(Split(split))
    with tempfile.TemporaryDirectory() as state:
        left, right = (open_detector(weights, Path(state)) for weights in (ours, theirs))
        both = findings_of_both(left, right, named)
        left.label_space.require_same(manifest.label_space)
        with progress_bar("detecting", 2 * len(manifest.images)) as progress:
            found, others = (list(detect_all(detector, manifest, steps(progress))) for detector in (left, right))
    with progress_bar("measuring", None):
        rows = compare_ap50(manifest, found, others, both, with_assumed=with_assumed)
    models = left.identity, right.identity
    if as_json:
        said = dict(zip(("ours", "theirs"), map(identity_json, models), strict=True))
        about = {"split": split, "assumed_absences_count": with_assumed}
        print(json.dumps({**said, **about, "ap50": [row.to_json() for row in rows]}, indent=2, allow_nan=False))
    else:
        _print_table(rows, manifest.label_space, models)


def _print_table(rows: Sequence[Compared], space: LabelSpace, models: Sequence[ModelIdentity]) -> None:
    lines = ((row.finding, row.ours, row.theirs, row.difference, str(row.n_boxes)) for row in rows)
    print_comparison("AP50 (95 %)", "boxes", lines, space, models)
