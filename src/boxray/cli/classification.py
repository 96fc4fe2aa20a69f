"""`boxray classification`: train, evaluate and release the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray.classification.classify import CamClassifier
from boxray.classification.evaluate import evaluate as evaluate_classifier
from boxray.classification.recipe import SIDE_PX, ClassificationRecipe
from boxray.cli import lungs
from boxray.cli.show import progress_bar, steps
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
from boxray.core.errors import MissingExtra, RecipeError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.runs.recipe import load_recipe, recipe_path

app = typer.Typer(help="Train, evaluate and release the classifier.", no_args_is_help=True)
app.add_typer(lungs.app, name="lungs")


@app.command()
def train(recipe: RecipeName, overrides: Overrides = None, resume: Resume = False, threads: Threads = None) -> None:
    """Train by a recipe; the run folder is printed. Cut off, it goes on with --resume."""
    path = recipe_path("classification", recipe)
    asked = load_recipe(ClassificationRecipe, path, overrides or [])
    try:
        from boxray.classification.train import train as train_classifier
    except ImportError as error:
        raise MissingExtra("training a classifier", "train") from error
    with progress_bar("training, images", None) as progress:
        run = train_classifier(asked, path.stem, resume=resume, threads=threads, progress=steps(progress))
    print(run.folder)


@app.command()
def download(
    architecture: Annotated[str, typer.Argument(help="Which backbone: mobilenet_v2, vgg16, inception_v3, …")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.safetensors.")] = Path("data/raw/weights"),
) -> None:
    """Fetch torchvision's ImageNet weights to start from; a recipe takes them as start=FILE shades=imagenet."""
    if architecture not in SIDE_PX:
        raise RecipeError(f"there is no backbone {architecture!r}; there are: {', '.join(SIDE_PX)}")
    try:
        from boxray.classification.start import address_of, fetch_start
    except ImportError as error:
        raise MissingExtra("start weights", "train") from error
    with progress_bar("fetching", None):
        path = fetch_start(address_of(architecture), out / f"{architecture}.safetensors")  # type: ignore[arg-type]
    print(path)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, with its card beside it.")],
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    all_sources: Annotated[
        bool, typer.Option("--all-sources", help="Count negatives of sources that hold no positive, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")] = False,
) -> None:
    """AUROC per finding with 95 % intervals by patient, only where something is known."""
    manifest = Manifest.load(data).part(Split(split))
    with progress_bar("classifying", len(manifest.images)) as progress:
        results = evaluate_classifier(
            CamClassifier.load(weights),
            manifest,
            with_assumed=with_assumed,
            same_source=not all_sources,
            progress=lambda: progress.advance(0),  # type: ignore[arg-type]  # rich numbers its tasks from 0
        )
    columns = {"images with": "images_with", "images without": "images_without", "patients": "patients"}
    print_results(results, manifest.label_space, "auroc", columns, as_json=as_json)


@app.command()
def release(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    name: Annotated[str, typer.Option(help="Of the weights.")],
    version: Annotated[str, typer.Option(help="Of the weights.")],
    out: Annotated[Path, typer.Option(help="Where they go.")] = Path("classification/weights"),
) -> None:
    """Write a run's weights as ONNX, safetensors and card, calibrated on its validation part."""
    try:
        from boxray.classification.release import release as release_run
    except ImportError as error:
        raise MissingExtra("releasing a classifier", "train") from error
    print(release_run(run, name, version, out))
