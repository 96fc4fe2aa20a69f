"""`boxray classification`: train, evaluate and release the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray.classification.recipe import ClassificationRecipe
from boxray.cli.classification_evaluate import card, compare, evaluate
from boxray.cli.training import Overrides, RecipeName, Resume, Threads
from boxray.core.errors import MissingExtra
from boxray.runs.recipe import load_recipe, recipe_path

app = typer.Typer(help="Train, evaluate and release the classifier.", no_args_is_help=True)
for command in (evaluate, compare, card):
    app.command()(command)


@app.command()
def train(recipe: RecipeName, overrides: Overrides = None, resume: Resume = False, threads: Threads = None) -> None:
    """Train by a recipe; the run folder is printed. Cut off, it goes on with --resume."""
    path = recipe_path("classification", recipe)
    asked = load_recipe(ClassificationRecipe, path, overrides or [])
    try:
        from boxray.classification.train import train as train_classifier
    except ImportError as error:
        raise MissingExtra("training a classifier", "train") from error
    print(train_classifier(asked, path.stem, resume=resume, threads=threads).folder)


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
