"""`boxray demo`: read the bundled examples, or files of your own, into a page that one can look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from boxray.cli.exits import Exit
from boxray.cli.folders import DEMO, make_folder, older_run, replaced
from boxray.cli.read import ClassifierChoice, DetectorChoice, to_read
from boxray.cli.show import best_boxes, over_threshold, progress_bar, steps, written
from boxray.core.bench import bench_folder
from boxray.core.errors import InputError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, Reading
from boxray.imaging.read import read_radiograph
from boxray.localization.overlay import overlay
from boxray.localization.page import Item, write_page
from boxray.localization.reader import released_reader


def demo(
    files: Annotated[list[Path] | None, typer.Argument(help="Your own files; none: the bundled examples.")] = None,
    out: Annotated[
        Path,
        typer.Option(
            help="For page, pictures and readings: a new or empty folder, or an older demo's, which is replaced."
        ),
    ] = Path("runs/demo"),
    detector: DetectorChoice = None,
    classifier: ClassifierChoice = None,
) -> int:
    """Read radiographs into runs/demo: a page, overlay pictures, readings.jsonl; and print the findings."""
    paths = to_read(files) if files else examples()
    make_folder("--out", out)
    older = older_run(out, paths, DEMO)
    started = perf_counter()
    reader = released_reader(detector=detector, classifier=classifier)
    items = []
    with progress_bar("reading", len(paths)) as progress:
        for path in paths:
            name, rad = written(Path(path.name)), None
            try:
                rad = read_radiograph(path)
                reading = reader.read_radiograph(rad, name)
            except InputError as error:
                reading = Reading.not_answered(name, error)
            items.append(Item(reading, overlay(rad, reading, reader.label_space)))
            steps(progress)()
    with replaced(out, older) as record:  # before the pictures: it says whose they are
        for item in items:
            record.write(json.dumps(item.reading.to_json(), ensure_ascii=False) + "\n")
    page = write_page(out, items, reader.label_space)
    Console().print(_table([item.reading for item in items], reader.label_space))
    seconds = perf_counter() - started
    n_read = sum(item.reading.status is Outcome.RESULT for item in items)
    print(f"{n_read} of {len(items)} read, models loaded and pictures drawn in {seconds:.1f} s. {DISCLAIMER}")
    print(f"page:  {page}")
    print("app:   python app_gradio.py   (in this environment; or: boxray serve app)")
    all_read = n_read == len(items)
    return Exit.DONE if all_read or not files else Exit.PARTLY


def examples() -> list[Path]:
    """The bundled example radiographs, by name."""
    return sorted(bench_folder("data/examples").glob("*.dcm"))


def _table(readings: list[Reading], label_space: LabelSpace) -> Table:
    table = Table("radiograph", "detector: best box of each finding", "classifier: scores over their thresholds")
    for reading in readings:
        table.add_row(escape(reading.file), *_said(reading, label_space))
    silent = {key for reading in readings for key in reading.not_assessed.get("detector", ())}
    names = ", ".join(finding.display for finding in label_space if finding.key in silent)
    table.caption = f"Not assessed by the detector: {names}" if names else None
    return table


def _said(reading: Reading, label_space: LabelSpace) -> tuple[str, str]:
    if reading.status is not Outcome.RESULT:
        return f"{reading.status.value} {reading.code}", ""
    boxed, scored = _named(best_boxes(reading), label_space), _named(over_threshold(reading), label_space)
    return boxed or "no box", scored or "none"


def _named(scores: Mapping[str, float], label_space: LabelSpace) -> str:
    return "\n".join(f"{label_space[key].display} {score:.2f}" for key, score in scores.items())
