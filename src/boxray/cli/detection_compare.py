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
from boxray.detection.compare import MEASURES, Compared, Figure, compare_detections
from boxray.detection.evaluate import detect_all
from boxray.detection.load import open_detector

WEIGHTS_HELP: Final = "Released .onnx or .safetensors (run by torch), card beside it; or the folder of a finished run."
_HEADINGS: Final[dict[Figure, str]] = {"ap50": "AP50", "ece": "ECE"}
_TITLES: Final[dict[Figure, str]] = {
    "ap50": "Average precision at IoU 0.5: are hits scored above the rest?",
    "ece": "Calibration error: how far scores are from the share of hits; less is better",
}
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
    """AP50 and calibration error of two detectors and the differences, intervals on the same resampled patients."""
    named = [word.strip() for word in (findings or "").split(",") if word.strip()]
    manifest = Manifest.load(data).part(Split(split))
    with tempfile.TemporaryDirectory() as state:
        left, right = (open_detector(weights, Path(state)) for weights in (ours, theirs))
        both = findings_of_both(left, right, named)
        left.label_space.require_same(manifest.label_space)
        with progress_bar("detecting", 2 * len(manifest.images)) as progress:
            found, others = (list(detect_all(detector, manifest, steps(progress))) for detector in (left, right))
    with progress_bar("measuring", None):
        rows = {
            figure: compare_detections(manifest, found, others, both, figure, with_assumed=with_assumed)
            for figure in MEASURES
        }
    models = left.identity, right.identity
    if as_json:
        said = dict(zip(("ours", "theirs"), map(identity_json, models), strict=True))
        about = {"split": split, "assumed_absences_count": with_assumed}
        told = {figure: [row.to_json() for row in of_figure] for figure, of_figure in rows.items()}
        print(json.dumps({**said, **about, **told}, indent=2, allow_nan=False))
    else:
        for figure, of_figure in rows.items():
            _print_table(figure, of_figure, manifest.label_space, models)


def _print_table(figure: Figure, rows: Sequence[Compared], space: LabelSpace, models: Sequence[ModelIdentity]) -> None:
    lines = ((row.finding, row.ours, row.theirs, row.difference, str(row.n_boxes)) for row in rows)
    print_comparison(f"{_HEADINGS[figure]} (95 %)", "boxes", lines, space, models, _TITLES[figure])
