"""`boxray data`: sources to a built data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from boxray.cli.data_check import check
from boxray.cli.data_download import download
from boxray.cli.show import building_bar
from boxray.core.bench import bench_folder
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.core.plain import json_text
from boxray.data.audit import ASSUMED, Audit
from boxray.data.build import build as build_set
from boxray.data.card import Card, load_card
from boxray.data.coco_file import write_coco_file
from boxray.data.datasets_file import DatasetsFile, SourceEntry, read_datasets_file
from boxray.data.manifest import Manifest
from boxray.data.sources.files import PICTURES
from boxray.data.split import PARTS, Split

app = typer.Typer(help="Build, check and inspect data sets.", no_args_is_help=True)
app.command()(check)
app.command()(download)

DATASETS = Path("datasets.yaml")


@app.command()
def build(
    out: Annotated[
        Path,
        typer.Option(help="Folder of the built set: new, empty, or an earlier build, which is brought up to date."),
    ],
    datasets: Annotated[Path, typer.Option(help="Which sources, and where they lie.")] = DATASETS,
    label_space: Annotated[
        str | None,
        typer.Option(help="Another label space than the file's: a name of data/label_spaces or a YAML file."),
    ] = None,
    cards: Annotated[Path | None, typer.Option(help="A folder of your own cards.")] = None,
    corrections: Annotated[
        Path | None, typer.Option(help="Folder of what reviewers corrected (boxray review pull); default: the file's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,
) -> None:
    """Sources to one manifest, pictures and YOLO files; writes AUDIT.md: what was dropped, and why."""
    what = read_datasets_file(datasets)
    if label_space is not None:
        what = what.model_copy(update={"label_space": label_space, "names": None})
    if corrections is not None:
        if not corrections.is_dir():
            raise DataError("there is no folder of corrections there; make one with: boxray review pull")
        what = what.model_copy(update={"corrections": corrections.resolve()})
    with building_bar() as tell:
        built = build_set(what, out, cards=cards, progress=tell)
    if as_json:
        print(json_text(built.audit.to_json()), end="")
        return
    console = Console()
    console.print(_source_table(built.audit))
    console.print(_count_table(built.manifest, built.audit))
    if built.audit.corrections:
        counts = built.audit.corrections
        left_out = sum(counts["left_out"].values())
        print(
            f"corrections: {counts['edits']} edits decide on {counts['cells']} findings of images; {left_out} left out"
        )
    print(f"built set: {out}   audit: {out / 'AUDIT.md'}   fingerprint {built.manifest.fingerprint[:16]}")


@app.command()
def sources(
    datasets: Annotated[Path, typer.Option(help="Which sources, and where they lie.")] = DATASETS,
    cards: Annotated[Path | None, typer.Option(help="A folder of your own cards.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Every source there is a card for: licence, findings, and what of it is in use and on disk."""
    nothing_used = datasets == DATASETS and not datasets.is_file()  # outside a checkout there are cards all the same
    used = DatasetsFile(sources={}) if nothing_used else read_datasets_file(datasets)
    folder = cards or bench_folder("data/cards")
    rows = [_source(load_card(path.stem, cards), used) for path in sorted(folder.glob("*.yaml"))]
    if not rows:
        raise DataError(f"there is no card in {folder.name}/; a card is a file <source>.yaml, see data/README.md")
    rows.sort(key=lambda row: not row["in_use"])
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    console = Console()
    for row in rows:
        console.print(_source_grid(row))
        console.print()


def _source(card: Card, used: DatasetsFile) -> dict[str, Any]:
    """What people ask about a source before they use it."""
    boxed = set(card.boxes.values())
    labelled = {word for stated in card.labels.values() for word in stated}
    in_use = {name: _on_disk(entry) for name, entry in used.sources.items() if entry.card == card.key}
    return {
        "card": card.key,
        "name": card.name,
        "boxed": sorted(boxed),
        "every_occurrence_boxed": sorted(card.exhaustive),
        "by_label_only": sorted(labelled - boxed),
        "licence": card.licence,
        "commercial_use": card.commercial_use,
        "get": card.get,
        "images": card.expected.images,
        "in_use": in_use,
    }


def _on_disk(entry: SourceEntry) -> int | None:
    """Pictures; None where the folder is missing."""
    folder = entry.pictures or entry.root
    return sum(path.suffix.lower() in PICTURES for path in folder.rglob("*")) if folder.is_dir() else None


def _source_grid(row: dict[str, Any]) -> Table:
    """A card in some lines, which no width of terminal breaks within a word."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=20)
    grid.add_column(overflow="fold")
    grid.add_row(f"[bold]{row['card']}", f"[bold]{escape(row['name'])}")
    some = sorted(set(row["boxed"]) - set(row["every_occurrence_boxed"]))
    for how, words in (
        ("boxed", row["every_occurrence_boxed"]),
        ("boxed, not every one", some),
        ("by label only", row["by_label_only"]),
    ):
        if words:
            grid.add_row(how, ", ".join(words))
    use = "commercial use allowed" if row["commercial_use"] else "not for commercial use"
    grid.add_row("licence", escape(f"{row['licence']} ({use})"))
    of_all = f" of {row['images']}" if row["images"] else ""
    for name, n_pictures in row["in_use"].items():
        there = "its folder is missing" if n_pictures is None else f"{n_pictures}{of_all} pictures on disk"
        grid.add_row("in use", escape(f"as {name}: {there}"))
    if not row["in_use"]:
        grid.add_row("get it", escape(row["get"]))
    return grid


@app.command()
def coco(
    built: Annotated[Path, typer.Argument(help="Folder of a built set.")],
    split: Annotated[Literal["train", "val", "test"] | None, typer.Option(help="One part alone.")] = None,
) -> None:
    """Write a built set as COCO JSON beside its images; what nobody looked for is told as LVIS does."""
    whole = Manifest.load(built)
    manifest = whole if split is None else whole.part(Split(split))
    file = built / ("annotations.json" if split is None else f"annotations-{split}.json")
    write_coco_file(manifest, file)
    print(f"{len(manifest.images)} images, {len(manifest.boxes)} boxes: {file}")


@app.command("examples")
def make_examples(
    shared: Annotated[Path, typer.Option("--from", help="Folder that holds nih/, tbx11k/, siim/ and covid_lungs/.")],
    out: Annotated[Path, typer.Option(help="Where the DICOM files go.")] = Path("data/examples"),
    seed: Annotated[int, typer.Option(help="Another seed blends other films.")] = 0,
) -> None:
    """Make the synthetic example radiographs: composites of many films, no person's film among them."""
    from boxray.data.examples.make import make_examples as make

    make(shared, out, seed)


def _source_table(audit: Audit) -> Table:
    table = Table("source", "images built of named", "boxes built of named", "counts as on the card", box=SIMPLE_HEAD)
    for name, books in audit.sources.items():
        images, boxes = books["images"], books["boxes"]
        sides = [f"{side['built']} of {side['named']}" for side in (images, boxes)]
        table.add_row(name, *sides, "yes" if images["as_expected"] and boxes["as_expected"] else "NO")
    return table


def _count_table(manifest: Manifest, audit: Audit) -> Table:
    states = [*(presence.value for presence in Presence), ASSUMED]
    table = Table(title="Images by state, boxes by part", box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    table.add_column("finding", no_wrap=True)
    for state in (*states[:-1], "assumed absent"):
        table.add_column(state, justify="right")
    for split in PARTS:
        table.add_column(split.value, justify="right")
    for finding in manifest.label_space:
        counts = [sum(source[finding.key][state] for source in audit.presence.values()) for state in states]
        boxes = [audit.boxes[finding.key][split.value] for split in PARTS]
        table.add_row(finding.key, *map(str, (*counts, *boxes)))
    return table
