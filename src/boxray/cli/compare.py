"""`boxray compare`: the detector's boxes against the classifier's maps against readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from boxray.classification.classify import CamClassifier
from boxray.classification.load import open_classifier
from boxray.cli.folders import make_folder
from boxray.cli.read import DetectorChoice
from boxray.cli.show import PEOPLE, progress_bar, steps
from boxray.cli.training import DataFolder, SplitName
from boxray.core.assessed import MEAN
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import YoloDetector
from boxray.engines import JUDGING
from boxray.localization.compare import Comparison
from boxray.localization.compare import compare as compare_models
from boxray.localization.compare.asking import DETECTOR
from boxray.localization.compare.comparison import method_title
from boxray.localization.compare.summary import LOCALIZATION, POINTING
from boxray.localization.compare.write import require_room, write_comparison
from boxray.weights import released_card

SLOW: Final = "occlusion"
"""Asks the network again for each place of its patch; taken only where it is named."""


def compare(
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="New or empty folder, or an older comparison, which is replaced.")],
    split: SplitName = "test",
    methods: Annotated[
        str | None,
        typer.Option(help="Of the maps, commas between them, the first for the verdict; default: all quick."),
    ] = None,
    detector: DetectorChoice = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="Name of a released classifier, path of a card, .safetensors or folder of a run (both by torch)."
        ),
    ] = None,
) -> None:
    """Boxes against heat maps against readers on the same images: tables, plots, and a page of films side by side."""
    require_room(out)
    make_folder("--out", out)
    manifest = Manifest.load(data)
    boxes = YoloDetector.load(released_card("detection", detector), JUDGING, many=True)
    maps = _opened(classifier)
    named = [word.strip() for word in (methods or "").split(",") if word.strip()]
    with ExitStack() as bars:
        comparison = compare_models(
            boxes,
            maps,
            manifest,
            split=Split(split),
            methods=named or [method for method in maps.methods if method != SLOW],
            lanes=max(boxes.session.lanes, maps.session.lanes),
            progress=_bars(bars),
        )
    with progress_bar("drawing", len(comparison.findings)) as progress:
        page = write_comparison(out, comparison, manifest, maps, steps(progress))
    _print_table(comparison)
    for sentence in comparison.verdict:
        print(sentence)
    PEOPLE.print(f"written: {page}")


def _opened(classifier: str | None) -> CamClassifier:
    if classifier is not None and Path(classifier).is_dir():
        return open_classifier(Path(classifier))
    return open_classifier(released_card("classification", classifier))


def _bars(stack: ExitStack) -> Callable[[str, int], Callable[[], None]]:
    """One bar after the other: each is taken away when the next begins."""

    def begin(what: str, total: int) -> Callable[[], None]:
        stack.close()
        progress: Progress = stack.enter_context(progress_bar(what, total))
        return steps(progress)

    return begin


def _print_table(comparison: Comparison) -> None:
    """One line per finding, measure and method would be too much: pointing and T(IoU) = 0.3 of the first method."""
    method = comparison.methods[0]
    for measure, words in ((POINTING, "pointing"), (LOCALIZATION, "IoU of .3")):
        table = Table(box=SIMPLE, padding=0, pad_edge=False)
        for heading in (f"{words} (95%)", "detector", method_title(method), "detector - map", "n"):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "n" else "left")
        for finding in (*comparison.findings, *([MEAN] if comparison.averaged else [])):
            table.add_row(*_cells(comparison, finding, measure))
        Console().print(table)


def _cells(comparison: Comparison, finding: str, measure: str) -> Sequence[str]:
    summary, method = comparison.summary, comparison.methods[0]
    name = "Mean" if finding == MEAN else comparison.label_space[finding].display
    figures = [str(comparison.figure(finding, who, measure)) for who in (DETECTOR, method)]
    n_images = summary.loc[summary["finding"] == finding, "n_images"].iloc[0]
    return name, *figures, comparison.difference(finding, method, measure).signed, str(n_images)
