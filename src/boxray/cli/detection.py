"""`boxray detection`: train, evaluate and release the detector."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from boxray.cli.show import progress_bar
from boxray.cli.training import (
    DataFolder,
    Overrides,
    RecipeName,
    Resume,
    SplitName,
    Threads,
    WithAssumed,
    print_results,
)
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import YoloDetector
from boxray.detection.evaluate import evaluate as evaluate_detector
from boxray.detection.load import ENGINES, DetectorEngine
from boxray.detection.parity import Parity, measure_parity
from boxray.detection.quantize import spread
from boxray.detection.recipe import DetectionRecipe
from boxray.runs.recipe import load_recipe, recipe_path

app = typer.Typer(help="Train, evaluate and release the detector.", no_args_is_help=True)


@app.command()
def train(recipe: RecipeName, overrides: Overrides = None, resume: Resume = False, threads: Threads = None) -> None:
    """Train by a recipe; the run folder is printed. Cut off, it goes on with --resume."""
    from boxray.detection.train import train as train_detector

    path = recipe_path("detection", recipe)
    asked = load_recipe(DetectionRecipe, path, overrides or [])
    print(train_detector(asked, path.stem, resume=resume, threads=threads).folder)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help="Released .safetensors (run by torch) or .onnx, card beside it.")],
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")] = False,
) -> None:
    """AP50 per finding with 95 % intervals by patient, only where somebody looked."""
    manifest = Manifest.load(data).part(Split(split))
    with tempfile.TemporaryDirectory() as state, progress_bar("detecting", len(manifest.images)) as progress:
        if weights.suffix == ".safetensors":
            from boxray.detection.release import load_torch_detector

            detector = load_torch_detector(weights, Path(state))
        else:
            detector = YoloDetector.load(weights)
        results = evaluate_detector(
            detector,
            manifest,
            with_assumed=with_assumed,
            progress=lambda: progress.advance(0),  # type: ignore[arg-type]  # rich numbers its tasks from 0
        )
    columns = {
        "boxes": "boxes",
        "images with": "images_with",
        "images without": "images_without",
        "patients": "patients",
    }
    print_results(results, manifest.label_space, "ap50", columns, as_json=as_json)


@app.command()
def release(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    name: Annotated[str, typer.Option(help="Of the weights.")],
    version: Annotated[str, typer.Option(help="Of the weights.")],
    out: Annotated[Path, typer.Option(help="Where they go.")] = Path("detection/weights"),
) -> None:
    """Write a run's weights as ONNX, safetensors and card; operating points from its validation part."""
    from boxray.detection.release import release as release_run

    print(release_run(run, name, version, out))


@app.command()
def quantize(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, card beside it.")],
    data: DataFolder,
    images: Annotated[int, typer.Option(min=1, help="Of the validation part: they set the ranges.")] = 100,
    split: SplitName = "test",
) -> None:
    """Make an int8 graph in a folder int8 beside the weights, and show its AP50 beside that of float32."""
    from boxray.detection.quantize import quantize as quantize_weights
    from boxray.detection.quantize import with_accuracy
    from boxray.weights import load_card

    manifest = Manifest.load(data)
    with progress_bar("calibrating", images) as progress:
        card = quantize_weights(weights, manifest, images=images, progress=lambda: progress.advance(0))  # type: ignore[arg-type]
    with progress_bar("detecting", 2 * len(manifest.part(Split(split)).images)) as progress:
        with_accuracy(card, weights, manifest, Split(split), progress=lambda: progress.advance(0))  # type: ignore[arg-type]
    made = load_card(card, check=".onnx")[0]
    assert made.quantized is not None, "quantize wrote the card"
    table = Table("finding", "AP50 float32", "AP50 int8", "difference")
    for finding, (plain, small) in made.quantized.ap50.items():
        table.add_row(made.space[finding].display, f"{plain:.3f}", f"{small:.3f}", f"{small - plain:+.3f}")
    Console().print(table)
    print(card)


@app.command()
def parity(
    weights: Annotated[Path, typer.Argument(help="Released weights, card beside them.")],
    data: DataFolder,
    images: Annotated[int, typer.Option(min=1, help="Spread over the sources of the test part.")] = 50,
    engine: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(ENGINES)}.")] = None,
) -> None:
    """How far each engine differs from torch in float32 on real radiographs; where one is not there, why."""
    unknown = [name for name in engine or () if name not in ENGINES]
    if unknown:
        raise typer.BadParameter(f"there is no engine {unknown[0]!r}; there are: {', '.join(ENGINES)}")
    engines: list[DetectorEngine] = [name for name in ENGINES if not engine or name in engine]
    part = spread(Manifest.load(data).part(Split.TEST), images)
    radiographs = [part.radiograph(picture) for picture in part.images["picture"]]
    table = Table(
        "engine", "score", "box, px", "lowest IoU", "boxes", title=f"against torch, {len(radiographs)} images"
    )
    with tempfile.TemporaryDirectory() as state:
        for row in measure_parity(weights, radiographs, engines, Path(state)):
            if isinstance(row, Parity):
                numbers = f"{row.score:.1e}", f"{row.box_px:.2g}", f"{row.iou:.4f}", str(row.n_boxes)
                table.add_row(row.engine, *numbers)
            else:
                table.add_row(row.engine, row.reason)
    Console().print(table)
