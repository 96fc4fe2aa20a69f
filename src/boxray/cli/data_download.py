"""`boxray data download`: the files of a source, resumed where a line was cut, and verified."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from boxray.cli.exits import Exit
from boxray.cli.show import progress_bar

if TYPE_CHECKING:  # the room loads an HTTP client, which no other command needs
    from boxray.data.download import Outcome
    from boxray.data.download.listing import Plan


def download(
    source: Annotated[str, typer.Argument(help="Which source: nih.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the source; default: data/raw/SOURCE.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="One file by its name; may be given several times.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List files, sizes and free space; fetch nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False,
) -> None:
    """Fetch a source, verify and unpack it. Cut off, run it again: it goes on. Exit code 3: a file is not there yet."""
    from boxray.data.download import download as fetch
    from boxray.data.download import load_listing, plan

    listing = load_listing(source).only(only or [])
    folder = out or Path("data/raw") / source
    planned = plan(listing, folder)
    if dry_run:
        _print_plan(planned, as_json)
        planned.require_room()
        return
    total = sum(stock.file.bytes or stock.bytes_here for stock in planned.stocks if stock.state != "by hand")
    with progress_bar("MB", total // 10**6) as bar:
        outcomes = fetch(
            listing,
            folder,
            progress=lambda name, n: bar.update(0, advance=n / 1e6, description=f"{name} MB"),  # type: ignore[arg-type]
        )
    _print_outcomes(outcomes, as_json)
    if any(outcome.note is None for outcome in outcomes):
        raise typer.Exit(Exit.PARTLY)


def _print_plan(planned: Plan, as_json: bool) -> None:
    if as_json:
        files = [
            {"name": stock.file.name, "bytes": stock.file.bytes, "bytes_here": stock.bytes_here, "state": stock.state}
            for stock in planned.stocks
        ]
        needed = {"bytes_to_fetch": planned.bytes_to_fetch, "bytes_needed": planned.bytes_needed}
        print(json.dumps({"files": files, **needed, "bytes_free": planned.bytes_free}, indent=2))
        return
    table = Table(Column("file", no_wrap=True), "MB", "here", "state", "published to verify by")
    for stock in planned.stocks:
        file = stock.file
        known = [what for what, value in (("length", file.bytes), ("sha256", file.sha256), ("md5", file.md5)) if value]
        table.add_row(
            file.name,
            "unknown" if file.bytes is None else _mega(file.bytes),
            _mega(stock.bytes_here) if stock.bytes_here else "–",
            stock.state,
            ", ".join(known) or "nothing",
        )
    Console().print(table)
    print(
        f"to fetch {_giga(planned.bytes_to_fetch)}; needed with pictures {_giga(planned.bytes_needed)}; "
        f"free on the disk {_giga(planned.bytes_free)}"
    )


def _print_outcomes(outcomes: Sequence[Outcome], as_json: bool) -> None:
    if as_json:
        rows = [asdict(outcome) | {"note": outcome.note.model_dump() if outcome.note else None} for outcome in outcomes]
        print(json.dumps(rows, indent=2))
        return
    table = Table(Column("file", no_wrap=True), "what", "MB", "pictures", "verified by")
    for outcome in outcomes:
        note = outcome.note
        if note is None:
            table.add_row(outcome.name, outcome.what, "", "", "see below")
            continue
        pictures = "" if note.pictures is None else str(note.pictures)
        by = ", ".join(note.verified_by) or "nothing: no length or hash is published"
        table.add_row(outcome.name, outcome.what, _mega(note.bytes), pictures, by)
    Console().print(table)
    for outcome in outcomes:
        if outcome.reason:
            print(outcome.reason)


def _mega(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f}"


def _giga(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
