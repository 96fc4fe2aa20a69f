"""`boxray detection`: train, evaluate and release the detector."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from boxray.cli.detection_compare import WEIGHTS_HELP, compare
from boxray.cli.detection_sizes import SIDE_HELP, resize, sizes, whole_grid
from boxray.cli.folders import make_folder
from boxray.cli.robustness import robustness
from boxray.cli.show import PEOPLE, progress_bar, steps, training_bar
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
    WithAssumed,
)
from boxray.core.errors import MissingExtra, ModelError
from boxray.core.findings import LabelSpace
from boxray.core.metrics import Interval
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.evaluate import detect_all, judge_all
from boxray.detection.load import ENGINES, DetectorEngine, open_detector
from boxray.detection.parity import Parity, measure_parity
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.report.evaluation import whole_evaluation
from boxray.detection.report.write import write_report
from boxray.detection.results import FindingResult
from boxray.detection.shift import FEWEST_PATIENTS, SourceTold, tell_sources
from boxray.page.judged import JudgedOn
from boxray.runs.recipe import load_recipe, recipe_path

app = typer.Typer(help="Train, evaluate and release the detector.", no_args_is_help=True)
app.command()(compare)
app.command()(sizes)
app.command()(resize)
app.command()(robustness)


@app.command()
def train(recipe: RecipeName, overrides: Overrides = None, resume: Resume = False, threads: Threads = None) -> None:
    """Train by a recipe; the run folder is printed. Cut off, it goes on with --resume."""
    from boxray.detection.train import train as train_detector

    path = recipe_path("detection", recipe)
    asked = load_recipe(DetectionRecipe, path, overrides or [])
    with training_bar() as tell:
        run = train_detector(asked, path.stem, resume=resume, threads=threads, tell=tell)
    print(run.folder)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help=f"{WEIGHTS_HELP} A run has no figure at a threshold yet.")],
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list on stdout.")] = False,
    report: Annotated[Path | None, typer.Option(help="Folder for report.html, results.json and gallery/.")] = None,
    source_check: Annotated[
        bool,
        typer.Option(help="In the report: tell the source from the detector's features (a half pass more, by torch)."),
    ] = True,
) -> None:
    """Figures per finding with 95 % intervals by patient, only where somebody looked."""
    if report is not None:
        make_folder("--report", report)
    whole = Manifest.load(data)
    manifest = whole.part(Split(split))
    with tempfile.TemporaryDirectory() as state:
        detector = open_detector(weights, Path(state))
        detector.label_space.require_same(manifest.label_space)
        with progress_bar("detecting", len(manifest.images)) as progress:
            detections = list(detect_all(detector, manifest, steps(progress)))
        told, told_note = None, "not asked for"
        if report is not None and source_check:
            told, told_note = _tell_sources(weights, manifest, Path(state))
    with progress_bar("measuring", len(manifest.label_space)) as progress:
        results = judge_all(manifest, detections, detector, with_assumed=with_assumed, progress=steps(progress))
    if report is not None:
        with progress_bar("writing the report", len(manifest.label_space)) as progress:
            evaluation = whole_evaluation(
                manifest,
                detections,
                results,
                detector.identity,
                JudgedOn.of(manifest, fingerprint=whole.fingerprint, split=split, with_assumed=with_assumed),
                told=told,
                told_note=told_note,
            )
            page = write_report(report, evaluation, manifest, detections, steps(progress))
        PEOPLE.print(f"written: {page}")
    if as_json:
        print(json.dumps([result.to_json() for result in results], indent=2))
    else:
        _print_table(results, manifest.label_space)


def _tell_sources(weights: Path, manifest: Manifest, state: Path) -> tuple[SourceTold | None, str]:
    """How well the source is told from features, or why that is not known: the report is worth having without it."""
    try:
        from boxray.detection.features import pooled_features

        with progress_bar("looking at features", len(manifest.images)) as progress:
            features = pooled_features(weights, manifest, state, steps(progress))
    except (MissingExtra, ModelError) as error:
        return None, str(error)
    images = manifest.images
    told = tell_sources(features, images["source"].astype(str).tolist(), images["patient"].tolist())
    return told, "" if told else f"no two sources of this split have {FEWEST_PATIENTS} patients each"


def _print_table(results: list[FindingResult], space: LabelSpace) -> None:
    """One line per finding; fits 80 columns."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("finding", "AP50 (95 %)", "AP40", "AP50:95", "sens@1", "boxes", "with/without"):
        table.add_column(heading, no_wrap=True, justify="left" if heading in {"finding", "AP50 (95 %)"} else "right")
    for result in results:
        counts = result.counts
        at_one = result.sensitivity_at.get(1.0, Interval.nothing())
        figures = ["not assessed", "", "", ""]
        if result.assessed:
            figures = [str(result.ap50), *(_digits(each) for each in (result.ap40, result.ap50_95, at_one))]
        there = f"{counts.images_with}/{counts.images_without}"
        table.add_row(space[result.finding].display, *figures, str(counts.boxes), there)
    table.caption = "sens@1: share of boxes found at 1 false positive per image (IoU 0.5)"
    table.caption_justify = "left"
    Console().print(table)


def _digits(interval: Interval) -> str:
    return str(interval).partition(" ")[0]


@app.command()
def release(
    run: RunFolder,
    name: WeightsName,
    version: WeightsVersion,
    out: WeightsFolder = Path("detection/weights"),
    fewest_boxes: Annotated[int, typer.Option(help="A finding trained with fewer boxes is not assessed.")] = 20,
    side: Annotated[
        int | None, typer.Option(help=f"{SIDE_HELP} Default: the last stage's.", callback=whole_grid)
    ] = None,
    default: AsDefault = False,
) -> None:
    """Write a run's weights as ONNX, safetensors and card; calibration and thresholds from its validation part."""
    from boxray.detection.release import release as release_run

    print(release_run(run, name, version, out, fewest_boxes=fewest_boxes, side_px=side, default=default))


@app.command()
def calibrate(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, card beside it.")],
    data: DataFolder,
    version: NewVersion = None,
) -> None:
    """Make calibration and operating points anew on the validation part, and rewrite the card."""
    from boxray.detection.recalibrate import recalibrate
    from boxray.weights import load_card

    manifest = Manifest.load(data)
    with progress_bar("detecting", len(manifest.part(Split.VAL).images)) as progress:
        path = recalibrate(weights, manifest, steps(progress), version=version)
    card, _ = load_card(path, check=".onnx")
    assert card.calibrated_on is not None, "recalibrate wrote the card"
    table = Table("finding", "slope", "offset", "threshold", "how")
    for finding, said in card.calibrated_on.findings.items():
        scale = card.scale(finding)
        numbers = f"{scale.slope:.2f}", f"{scale.offset:+.2f}", f"{card.thresholds[finding]:.3f}"
        table.add_row(card.space[finding].display, *numbers, said)
    Console().print(table)
    print(path)


@app.command()
def card(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, card beside it.")],
    results: Annotated[Path, typer.Option(help="The results.json that evaluate --report wrote for these weights.")],
    out: Annotated[Path | None, typer.Option(help="The Markdown file; default: beside the weights.")] = None,
    robustness: Annotated[Path | None, typer.Option(help="What robustness --json wrote for these weights.")] = None,
) -> None:
    """Write the model card as a page: use, data, figures with their intervals, limits, licence."""
    from boxray.detection.model_card import write_model_card

    print(write_model_card(weights, results, out or weights.with_suffix(".md"), robustness))


@app.command()
def quantize(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, card beside it.")],
    data: DataFolder,
    images: Annotated[int, typer.Option(min=1, help="Of the validation part: they set the ranges.")] = 100,
    split: SplitName = "test",
) -> None:
    """Make an int8 graph in a folder int8 beside the weights, and show its AP50 beside that of float32."""
    from boxray.detection.quantize import quantize as quantize_weights
    from boxray.detection.quantize import require_unseen, with_accuracy
    from boxray.weights import load_card

    require_unseen(Split(split))
    manifest = Manifest.load(data)
    with progress_bar("calibrating", images) as progress:
        card = quantize_weights(weights, manifest, images=images, progress=steps(progress))
    with progress_bar("detecting", 2 * len(manifest.part(Split(split)).images)) as progress:
        with_accuracy(card, weights, manifest, Split(split), progress=steps(progress))
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
    part = Manifest.load(data).part(Split.TEST).spread(images)
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
