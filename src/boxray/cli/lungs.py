"""`boxray classification lungs`: train, evaluate and release the lung fields on the classifier's backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from boxray.classification.classify import CamClassifier
from boxray.classification.lungs.evaluate import GOOD, evaluate_lungs, evaluate_masks
from boxray.classification.lungs.recipe import LungRecipe
from boxray.cli.show import progress_bar, steps, training_bar
from boxray.cli.training import (
    DataFolder,
    Overrides,
    RecipeName,
    Resume,
    RunFolder,
    SplitName,
    Threads,
    WeightsFolder,
    WeightsName,
    WeightsVersion,
)
from boxray.core.errors import MissingExtra
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.engines import JUDGING
from boxray.runs.recipe import load_recipe, recipe_path

app = typer.Typer(help="Lung fields on the classifier's backbone.", no_args_is_help=True)


@app.command()
def train(recipe: RecipeName, overrides: Overrides = None, resume: Resume = False, threads: Threads = None) -> None:
    """Train by a recipe; the run folder is printed. Cut off, it goes on with --resume."""
    path = recipe_path("classification", recipe)
    asked = load_recipe(LungRecipe, path, overrides or [])
    try:
        from boxray.classification.lungs.train import train_lungs
    except ImportError as error:
        raise MissingExtra("training the lung fields", "train") from error
    with training_bar() as tell:
        run = train_lungs(asked, path.stem, resume=resume, threads=threads, tell=tell)
    print(run.folder)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, with its card beside it.")],
    data: DataFolder,
    split: SplitName = "test",
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Overlap with drawn lungs, too: a folder of the layout covid_seg, a .zip, or torchxrayvision."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Boxes round the drawn lungs against the readers', with 95 % intervals by patient."""
    manifest = Manifest.load(data).part(Split(split))
    classifier = CamClassifier.load(weights, JUDGING)
    with progress_bar("drawing lungs", manifest.boxes["image_id"].nunique()) as progress:
        scores = evaluate_lungs(classifier, manifest, progress=steps(progress))
    overlap = None
    if masks is not None:
        with progress_bar("drawing lungs", len(manifest.images)) as progress:
            overlap = evaluate_masks(classifier, manifest, masks, progress=steps(progress))
    if as_json:
        drawn = None if overlap is None else overlap.to_json()
        print(json.dumps({"boxes": [score.to_json() for score in scores], "masks": drawn}, indent=2))
        return
    table = Table("lung", "images", "patients", "not found", "median IoU of the boxes", f"share with IoU >= {GOOD}")
    for score in scores:
        counts = (score.images, score.patients, score.not_found)
        name = manifest.label_space[score.finding].display
        table.add_row(name, *map(str, counts), str(score.median_iou), str(score.good_share))
    Console().print(table)
    if overlap is not None:
        images = f"{overlap.images} images of {overlap.patients} patients"
        print(f"lungs that somebody drew, {images}: Dice {overlap.dice}, IoU {overlap.iou}")


@app.command()
def release(
    run: RunFolder,
    name: WeightsName,
    version: WeightsVersion,
    out: WeightsFolder = Path("classification/weights"),
) -> None:
    """Write the classifier with one more output, the lungs: ONNX, safetensors of both parts, card."""
    try:
        from boxray.classification.lungs.release import release_lungs
    except ImportError as error:
        raise MissingExtra("releasing the lung fields", "train") from error
    print(release_lungs(run, name, version, out))
