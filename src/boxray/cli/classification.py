"""`boxray classification`: train, evaluate and release the classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from boxray.classification.gate.fit import GateRecipe, fit_gate
from boxray.classification.gate.gate import FOLDER, Counted, save_gate
from boxray.classification.recipe import SIDE_PX, ClassificationRecipe
from boxray.cli import lungs
from boxray.cli.classification_evaluate import AsJson, card, compare, evaluate, sanity
from boxray.cli.robustness import robustness
from boxray.cli.show import progress_bar, steps, training_bar
from boxray.cli.training import (
    AsDefault,
    DataFolder,
    NewVersion,
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
from boxray.core.errors import MissingExtra, RecipeError
from boxray.data.manifest import Manifest
from boxray.runs.recipe import load_recipe, recipe_path
from boxray.runs.run import latest_run

app = typer.Typer(help="Train, evaluate and release the classifier.", no_args_is_help=True)
for command in (evaluate, compare, sanity, robustness, card):
    app.command()(command)
app.add_typer(lungs.app, name="lungs")


@app.command()
def train(recipe: RecipeName, overrides: Overrides = None, resume: Resume = False, threads: Threads = None) -> None:
    """Train by a recipe; the run folder is printed. Cut off, it goes on with --resume."""
    path = recipe_path("classification", recipe)
    print(_trained(load_recipe(ClassificationRecipe, path, overrides or []), path.stem, resume, threads))


@app.command("ablate-clahe")
def ablate_clahe(
    recipe: RecipeName,
    overrides: Overrides = None,
    resume: Resume = False,
    threads: Threads = None,
    split: SplitName = "test",
    as_json: AsJson = False,
) -> None:
    """Train by a recipe with CLAHE and without, then compare the two (ours: with) on the same films.

    Cut off, it goes on with --resume; a training that was not begun is begun.
    """
    path = recipe_path("classification", recipe)
    asked = load_recipe(ClassificationRecipe, path, overrides or [])
    if asked.clahe is None:
        raise RecipeError(f"{path.name} has `clahe: null`, so there is none to leave out; give clip and tiles")
    both = asked, asked.model_copy(update={"clahe": None})
    ours, theirs = (_trained(one, path.stem, resume and _begun(one, path.stem), threads) for one in both)
    compare(ours, theirs, asked.data, split, as_json=as_json)


def _trained(asked: ClassificationRecipe, name: str, resume: bool, threads: int | None) -> Path:
    try:
        from boxray.classification.train import train as train_classifier
    except ImportError as error:
        raise MissingExtra("training a classifier", "train") from error
    with training_bar() as tell:
        return train_classifier(asked, name, resume=resume, threads=threads, tell=tell).folder


def _begun(asked: ClassificationRecipe, name: str) -> bool:
    try:
        latest_run("classification", name, asked, Manifest.load(asked.data).fingerprint)
    except RecipeError:
        return False
    return True


@app.command()
def download(
    architecture: Annotated[str, typer.Argument(help="Which backbone: mobilenet_v2, vgg16, inception_v3, …")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.safetensors.")] = Path("data/raw/weights"),
    xrv: Annotated[
        str | None,
        typer.Option(help="Instead: weights of torchxrayvision for densenet121, such as densenet121-res224-all."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="With --xrv: its files are pickles, which can run code; I trust them.")
    ] = False,
) -> None:
    """Fetch weights to start from: torchvision's, for recipes with start=FILE shades=imagenet; or torchxrayvision's.

    Inception-v3 takes torchvision's by start=FILE alone. So does DenseNet121 those of torchxrayvision, which were
    trained on chest radiographs (CheXNet's kind).
    """
    if xrv is not None:
        print(_fetch_xrv(architecture, xrv, out / f"{xrv}.safetensors", trust=trust))
        return
    if architecture not in SIDE_PX:
        raise RecipeError(f"there is no backbone {architecture!r}; there are: {', '.join(SIDE_PX)}")
    try:
        from boxray.classification.start import address_of, fetch_start
    except ImportError as error:
        raise MissingExtra("start weights", "train") from error
    with progress_bar("fetching", None):
        path = fetch_start(address_of(architecture), out / f"{architecture}.safetensors")  # type: ignore[arg-type]
    print(path)


def _fetch_xrv(architecture: str, weights: str, out: Path, *, trust: bool) -> Path:
    if architecture != "densenet121":
        raise RecipeError(f"torchxrayvision's weights are taken for densenet121, not for {architecture!r}")
    if not trust:
        raise RecipeError("torchxrayvision's files are pickles, which can run code when read; say --trust to read them")
    try:
        from boxray.classification.start import fetch_xrv_start
    except ImportError as error:
        raise MissingExtra("start weights", "train") from error
    with progress_bar("fetching", None):
        return fetch_xrv_start(weights, out)


@app.command()
def calibrate(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, card beside it.")],
    data: DataFolder,
    version: NewVersion = None,
) -> None:
    """Make calibration, operating points and the place of the maps anew, and rewrite the card."""
    try:
        from boxray.classification.recalibrate import recalibrate
    except ImportError as error:
        raise MissingExtra("calibrating a classifier", "train") from error
    print(recalibrate(weights, Manifest.load(data), version=version))


@app.command()
def release(
    run: RunFolder,
    name: WeightsName,
    version: WeightsVersion,
    out: WeightsFolder = Path("classification/weights"),
    default: AsDefault = False,
) -> None:
    """Write a run's weights as ONNX, safetensors and card, calibrated on its validation part."""
    try:
        from boxray.classification.release import release as release_run
    except ImportError as error:
        raise MissingExtra("releasing a classifier", "train") from error
    print(release_run(run, name, version, out, default=default))


@app.command("fit-gate")
def fit_scope_gate(
    data: DataFolder,
    version: Annotated[str, typer.Option(help="Of the gate.")],
    recipe: Annotated[Path, typer.Option(help="How it is fitted.")] = Path(FOLDER) / "recipe.yaml",
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Where it goes.")] = Path(FOLDER),
) -> None:
    """Fit the scope gate, which refuses what is no frontal chest radiograph; print how often it errs. No torch."""
    manifest = Manifest.load(data)
    with progress_bar("describing films", 3) as progress:
        card, gate = fit_gate(
            manifest,
            load_recipe(GateRecipe, recipe, overrides or []),
            version,
            progress=steps(progress),
        )
    _print_counts("films", "refused", card.real)
    _print_counts("no chest", "passed", card.made)
    print(save_gate(gate, card, out))


def _print_counts(heading: str, wrong: str, counts: tuple[Counted, ...]) -> None:
    table = Table(heading, "part", "n", wrong, "%", "named rightly")
    for count in counts:
        share, named = f"{100 * count.wrong / count.n:.1f}", "" if count.named is None else str(count.named)
        table.add_row(count.what, count.part, str(count.n), str(count.wrong), share, named)
    Console().print(table)
