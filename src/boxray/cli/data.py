"""`boxray data`: sources to a built data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from boxray.cli.show import progress_bar
from boxray.core.findings import Presence
from boxray.data.audit import SourceAudit
from boxray.data.build import build as build_manifest
from boxray.data.card import load_card
from boxray.data.datasets_file import read_datasets_file
from boxray.data.manifest import Manifest
from boxray.data.split import Split

app = typer.Typer(help="Build and inspect data sets.", no_args_is_help=True)

DATASETS = Path("datasets.yaml")


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the built set.")],
    datasets: Annotated[Path, typer.Option(help="Which sources, and where they lie.")] = DATASETS,
    cards: Annotated[Path | None, typer.Option(help="A folder of your own cards.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,
) -> None:
    """Sources to one manifest, pictures and YOLO files; prints the audit: what was dropped, and why."""
    with progress_bar("images", None) as progress:
        manifest, audits = build_manifest(
            read_datasets_file(datasets),
            out,
            cards=cards,
            progress=lambda source, n: progress.update(0, advance=n, description=source),  # type: ignore[arg-type]
        )
    report = [audit.to_json() for audit in audits]
    if as_json:
        print(json.dumps(report, indent=2))
        return
    console = Console()
    for audit in audits:
        console.print(_audit_table(audit))
    console.print(_count_table(manifest))
    print(f"built set: {out}   fingerprint {manifest.fingerprint[:16]}")


@app.command()
def sources(datasets: Annotated[Path, typer.Option(help="Which sources, and where they lie.")] = DATASETS) -> None:
    """The sources in use: licence, boxed findings, and whether the folder is there."""
    table = Table("source", "what", "boxed findings", "commercial use", "on disk")
    for name, entry in read_datasets_file(datasets).sources.items():
        card = load_card(entry.card)
        boxed = ", ".join(sorted(set(card.boxes.values())))
        table.add_row(
            name, card.name, boxed, "yes" if card.commercial_use else "no", "yes" if entry.root.is_dir() else "no"
        )
    Console().print(table)


@app.command("examples")
def make_examples(
    shared: Annotated[Path, typer.Option("--from", help="Folder that holds nih/, tbx11k/, siim/ and covid_lungs/.")],
    out: Annotated[Path, typer.Option(help="Where the DICOM files go.")] = Path("data/examples"),
    seed: Annotated[int, typer.Option(help="Another seed blends other films.")] = 0,
) -> None:
    """Make the synthetic example radiographs: composites of many films, no person's film among them."""
    from boxray.data.examples.make import make_examples as make

    make(shared, out, seed)


def _audit_table(audit: SourceAudit) -> Table:
    books = audit.to_json()
    table = Table("what", "images", "boxes", title=f"{audit.card.name}", title_justify="left")
    images, boxes = books["images"], books["boxes"]
    table.add_row("stated by the card", str(images["expected"] or "–"), str(boxes["expected"] or "–"))
    table.add_row("named by the tables", str(images["named"]), str(boxes["named"]))
    for reason, n_images in images["dropped"].items():
        table.add_row(f"  left out: {reason}", str(n_images), "")
    for reason, n_boxes in boxes["dropped"].items():
        table.add_row(f"  left out: {reason}", "", str(n_boxes))
    table.add_row("built", str(images["built"]), str(boxes["built"]))
    for remark, n in books["remarks"].items():
        table.add_row(f"  remark: {remark}", "", str(n))
    return table


def _count_table(manifest: Manifest) -> Table:
    table = Table("finding", *Presence, *(f"boxes {split}" for split in Split), title="Images and boxes")
    per_split = manifest.boxes.merge(manifest.images[["image_id", "split"]], on="image_id")
    for finding in manifest.label_space:
        presence = manifest.images[f"presence_{finding.key}"].value_counts()
        boxes = per_split[per_split["finding"] == finding.key]["split"].value_counts()
        cells = [str(presence.get(value.value, 0)) for value in Presence]
        table.add_row(finding.display, *cells, *(str(boxes.get(split.value, 0)) for split in Split))
    return table
