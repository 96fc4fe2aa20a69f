"""`boxray classification evaluate`, `compare`, `sanity`, `card`: what a classifier is worth."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from boxray.classification.compare import COMPARED, Compared, compare_auroc
from boxray.classification.evaluate import judge
from boxray.classification.load import LUNG_TENSORS, open_classifier, trained_network
from boxray.classification.report.evaluation import Evaluation
from boxray.classification.report.write import write_report
from boxray.classification.results import FindingResult, Judgement, Mean
from boxray.classification.score import score_all
from boxray.cli.comparison import identity_json, print_comparison
from boxray.cli.folders import make_folder
from boxray.cli.scorers import SCORER_HELP, open_scorer
from boxray.cli.show import PEOPLE, progress_bar, steps
from boxray.cli.training import DataFolder, SplitName, WithAssumed
from boxray.core.arrays import FloatArray
from boxray.core.assessed import findings_of_both
from boxray.core.findings import LabelSpace
from boxray.core.metrics import Interval
from boxray.core.plain import json_text
from boxray.core.protocols import Scorer
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.page.judged import JudgedOn

WEIGHTS_HELP: Final = "Released .onnx or .safetensors (run by torch), card beside it; or the folder of a finished run."
_Weights = Annotated[Path, typer.Argument(help=WEIGHTS_HELP)]
_Scorer = Annotated[Path, typer.Argument(help=SCORER_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
_KINDS: Final = {"auroc_within": "Within source", "auroc_pooled": "Pooled"}


def evaluate(
    weights: Annotated[
        list[Path], typer.Argument(help=f"{WEIGHTS_HELP} A run has no figure at a threshold yet. Several: one by one.")
    ],
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    as_json: AsJson = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, results.json and gallery/; of several weights a folder each in it."),
    ] = None,
) -> None:
    """AUROC within source and pooled with 95 % intervals by patient, only where something is known; figures beside."""
    if report is not None:
        make_folder("--report", report)
    whole = Manifest.load(data)
    manifest = whole.part(Split(split))
    content = []
    for one in weights:
        if one.name.endswith(LUNG_TENSORS):  # `weights/*.safetensors` names it, too
            PEOPLE.print(f"{one.name}: part of the weights beside it, which draws lungs; nothing to judge here")
            continue
        classifier = open_classifier(one)
        scores = _scores(classifier, manifest)
        with progress_bar("measuring", len(manifest.label_space)) as progress:
            judgement = judge(manifest, scores, classifier, with_assumed=with_assumed, progress=steps(progress))
        if report is not None:
            on = JudgedOn.of(manifest, fingerprint=whole.fingerprint, split=split, with_assumed=with_assumed)
            evaluation = Evaluation(classifier.card, on, judgement)
            folder = report if len(weights) == 1 else report / classifier.identity.name
            with progress_bar("writing the report", len(manifest.label_space)) as progress:
                page = write_report(folder, evaluation, manifest, scores, classifier, steps(progress))
            PEOPLE.print(f"written: {page}")
        if as_json:
            content.append({"model": identity_json(classifier.identity), **judgement.to_json()})
        else:
            _print_judgement(judgement, manifest.label_space, classifier.identity)
    if as_json:
        print(json_text(content), end="")


def compare(
    ours: _Scorer,
    theirs: _Scorer,
    data: DataFolder,
    split: SplitName = "test",
    with_assumed: WithAssumed = False,
    findings: Annotated[
        str | None, typer.Option(help="Only these, commas between them; default: all that both assess.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """AUROC of two classifiers, or of one and a detector, and the difference, on the same resampled patients."""
    named = [word.strip() for word in (findings or "").split(",") if word.strip()]
    manifest = Manifest.load(data).part(Split(split))
    with tempfile.TemporaryDirectory() as state:
        left, right = (open_scorer(weights, Path(state)) for weights in (ours, theirs))
        both = findings_of_both(left, right, named)
        scores, others = (_scores(scorer, manifest) for scorer in (left, right))
    with progress_bar("measuring", None):
        rows = compare_auroc(manifest, scores, others, both, with_assumed=with_assumed)
    models = left.identity, right.identity
    if as_json:
        said = dict(zip(("ours", "theirs"), map(identity_json, models), strict=True))
        about = {"split": split, "assumed_absences_count": with_assumed}
        print(json.dumps({**said, **about, "auroc": [row.to_json() for row in rows]}, indent=2, allow_nan=False))
    else:
        _print_comparison(rows, manifest.label_space, models)


def sanity(
    weights: _Weights,
    data: DataFolder,
    split: SplitName = "test",
    images: Annotated[int, typer.Option(min=1, help="Spread over the sources of the part.")] = 30,
    seeds: Annotated[int, typer.Option(min=1, help="How often the weights are shuffled.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Do the maps see what the network learned? Rank correlation with those of shuffled weights; near 1: no. By torch.

    Adebayo et al., 2018, Sanity Checks for Saliency Maps.
    """
    card, whole = trained_network(weights)
    from boxray.classification.sanity import card_input, map_changes

    part = Manifest.load(data).part(Split(split)).spread(images)
    with progress_bar("shuffling", len(part.images)) as progress:
        films = (card_input(part.radiograph(picture), card) for picture in part.images["picture"])
        changes = map_changes(whole.classifier, films, seeds=seeds, progress=steps(progress))
    if as_json:
        print(json_text([asdict(change) for change in changes]), end="")
        return
    table = Table("map", "shuffled", "mean rank correlation", "nine in ten", "maps")
    for change in changes:
        range_ = f"{change.low:+.2f} to {change.high:+.2f}"
        table.add_row(change.method, change.shuffled, f"{change.mean:+.2f}", range_, str(change.maps))
    Console().print(table)


def card(
    weights: Annotated[Path, typer.Argument(help="Released .onnx, card beside it.")],
    results: Annotated[Path, typer.Option(help="The results.json that evaluate --report wrote for these weights.")],
    out: Annotated[Path | None, typer.Option(help="The Markdown file; default: beside the weights.")] = None,
    robustness: Annotated[Path | None, typer.Option(help="What robustness --json wrote for these weights.")] = None,
) -> None:
    """Write the model card as a page: use, data, figures with their intervals, limits, licence."""
    from boxray.classification.model_card import write_model_card

    print(write_model_card(weights, results, out or weights.with_suffix(".md"), robustness))


def _scores(scorer: Scorer, manifest: Manifest) -> FloatArray:
    with progress_bar("scoring", len(manifest.images)) as progress:
        return score_all(scorer, manifest, steps(progress))


def _print_comparison(rows: Sequence[Compared], space: LabelSpace, models: Sequence[ModelIdentity]) -> None:
    for figure in COMPARED:
        lines = (
            (row.finding, row.ours, row.theirs, row.difference, str(row.images_with + row.images_without))
            for row in rows
            if row.figure == figure
        )
        print_comparison("AUROC (95 %)", "images", lines, space, models, _KINDS[figure])


def _print_judgement(judgement: Judgement, space: LabelSpace, model: ModelIdentity) -> None:
    """One line per finding and one for the mean; fits 80 columns."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title=f"{model.name} {model.version}")
    for heading in ("AUROC (95 %)", "within source", "images", "pooled", "images", "F1"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in {"images", "F1"} else "left")
    for result in judgement.findings:
        table.add_row(space[result.finding].display, *_cells(result))
    table.add_section()
    within, pooled, f1 = (judgement.means[name] for name in ("auroc_within", "auroc_pooled", "f1"))
    table.add_row("Mean", str(within.macro), _of(within), str(pooled.macro), _of(pooled), _digits(f1.macro))
    notes = [
        "images: with/without the finding; F1 at the stored operating point",
        "within source: only sources with both, compared with their own images alone",
    ]
    if judgement.classes is not None:
        classes = judgement.classes
        notes.append(f"accuracy over {len(classes.classes)} classes: {classes.accuracy} on {classes.images} images")
    table.caption = "\n".join(notes)
    table.caption_justify = "left"
    table.title_justify = "left"
    Console().print(table)


def _cells(result: FindingResult) -> list[str]:
    orders = result.within, result.pooled
    counts = [f"{order.counts.images_with}/{order.counts.images_without}" for order in orders]
    if not result.assessed:
        return ["not assessed", counts[0], "", counts[1], ""]
    f1 = "–" if result.at_threshold is None else _digits(result.at_threshold.figures["f1"])
    return [str(orders[0].auroc), counts[0], str(orders[1].auroc), counts[1], f1]


def _of(mean: Mean) -> str:
    return f"of {len(mean.findings)}"


def _digits(interval: Interval) -> str:
    return str(interval).partition(" ")[0]
