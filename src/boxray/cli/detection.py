"""`boxray detection`: train, evaluate and release the detector."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

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
    fewest_boxes: Annotated[int, typer.Option(help="A finding trained with fewer boxes is not assessed.")] = 20,
) -> None:
    """Write a run's weights as ONNX, safetensors and card; operating points from its validation part."""
    from boxray.detection.release import release as release_run

    print(release_run(run, name, version, out, fewest_boxes=fewest_boxes))
