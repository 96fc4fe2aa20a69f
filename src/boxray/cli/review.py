"""`boxray review`: what readers change in a built set, taken back, undone and compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from boxray.cli import review_agreement, review_open
from boxray.cli.exits import Exit
from boxray.cli.review_options import CORRECTIONS, DATA, BuiltSet, LogFolder, asked_for, plain_table
from boxray.cli.show import PEOPLE
from boxray.core.plain import json_text
from boxray.data.correction_log import CorrectionLog
from boxray.data.correction_log import undo as undo_batch
from boxray.data.corrections import now
from boxray.data.manifest import Manifest
from boxray.review.edits import Edits, EditSource, verdicts_from
from boxray.review.exchange import edits_from
from boxray.review.opening import reviewer_of
from boxray.review.pull import Pulled
from boxray.review.pull import pull as pull_edits
from boxray.review.readings import find_readings
from boxray.review.sheet import MOST_FILMS, choose, write_sheet
from boxray.review.words import edit_in_words, opinion_in_words

app = typer.Typer(help="Review: look, correct, pull, build again.", no_args_is_help=True)
app.command()(review_open.doctor)
app.command("open")(review_open.open_set)
app.command("agreement")(review_agreement.agree)
app.command("export")(review_open.export)

MOST_ROWS: Final = 200
"""Of a table on a screen; the files hold all."""


@app.command()
def pull(
    data: BuiltSet = DATA,
    verdicts: Annotated[
        list[Path] | None, typer.Option(help="A file of verdicts that a review sheet has saved; may be named again.")
    ] = None,
    exchange: Annotated[
        list[Path] | None, typer.Option(help="An export of CVAT (.xml) or Label Studio (.json); may be named again.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who worked there; default: this computer's user.")] = None,
    fiftyone: Annotated[
        bool | None,
        typer.Option("--from-fiftyone/--not-from-fiftyone", help="Default: from FiftyOne if no file is named."),
    ] = None,
    corrections: LogFolder = CORRECTIONS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was taken and refused as JSON.")] = False,
) -> None:
    """Take edits into the corrections: shown first, written as one batch, refused row by row where they do not fit."""
    sources: list[EditSource] = [verdicts_from(path) for path in verdicts or ()]
    if exchange:
        held = CorrectionLog.read(corrections).opinions if corrections.is_dir() else {}
        sources += [edits_from(path, reviewer_of(reviewer), held) for path in exchange]
    manifest = Manifest.load(data)
    with review_open.edits_in_fiftyone(asked=fiftyone if fiftyone is not None else not sources) as opened:
        sources += opened
        edits = _together([read(manifest) for read in sources])
        pulled = pull_edits(edits, manifest, corrections, now(), write=False)
        if not as_json:
            _show(pulled)
        if not dry_run:
            pulled = pull_edits(edits, manifest, corrections, now())
            safe = {made.id for made in (*(row.correction for row in pulled.taken), *pulled.known)}
            for source in opened:
                source.settle(safe)
    if as_json:
        print(json_text(_plain(pulled)), end="")
    else:
        _say_what_was_done(pulled)
    if pulled.refused or pulled.unread:
        raise typer.Exit(Exit.PARTLY)


@app.command()
def undo(
    batch: Annotated[str, typer.Argument(help="Number of the batch, as pull has named it.")],
    corrections: LogFolder = CORRECTIONS,
) -> None:
    """Revert a batch of corrections by another one. Nothing is deleted; an undo can be undone."""
    written = undo_batch(corrections, batch, datetime.now(UTC))
    print(f"batch {written.name} reverts batch {written.reverts}; build again: boxray data build")


def _together(edits: Sequence[Edits]) -> Edits:
    return Edits(
        tuple(made for part in edits for made in part.corrections), tuple(row for part in edits for row in part.unread)
    )


def _show(pulled: Pulled) -> None:
    """The diff, before anything is written."""
    console = Console()
    if pulled.taken:
        console.print(_diff(pulled))
    for table in (_refusals(pulled), _conflicts(pulled)):
        if table.row_count:
            console.print(table)


def _say_what_was_done(pulled: Pulled) -> None:
    n_refused = len(pulled.refused) + len(pulled.unread)
    said = f"{len(pulled.taken)} taken, {len(pulled.known)} known already, {n_refused} refused"
    if pulled.batch is not None:
        written = f"written as batch {pulled.batch.name}; undo it with: boxray review undo {pulled.batch.name}"
    else:
        written = "nothing was written"
    PEOPLE.print(f"{said}; {written}")


def _diff(pulled: Pulled) -> Table:
    table = plain_table("Corrections", "image", "finding", "edit", "holds now", "reviewer", "reason")
    for row in pulled.taken[:MOST_ROWS]:
        made = row.correction
        held = f"{opinion_in_words(row.before)} → {opinion_in_words(row.after)}"
        mark = " (second opinion)" if made.second_opinion else ""
        table.add_row(
            *map(escape, (made.image_id, made.finding, edit_in_words(made), held, made.reviewer, made.reason + mark))
        )
    _say_more(table, len(pulled.taken))
    return table


def _refusals(pulled: Pulled) -> Table:
    table = plain_table("Refused", "what", "reviewer", "why")
    rows = [
        (f"{row.correction.image_id} {row.correction.finding}", row.correction.reviewer, row.reason)
        for row in pulled.refused
    ]
    rows += [(row.place, "", row.reason) for row in pulled.unread]
    for row in rows[:MOST_ROWS]:
        table.add_row(*map(escape, row))
    _say_more(table, len(rows))
    return table


def _conflicts(pulled: Pulled) -> Table:
    table = plain_table(
        "Reviewers differ; all are kept, the build makes the consensus", "image", "finding", "reviewers"
    )
    for row in pulled.conflicts[:MOST_ROWS]:
        table.add_row(*map(escape, (row.image_id, row.finding, ", ".join(row.reviewers))))
    _say_more(table, len(pulled.conflicts))
    return table


def _say_more(table: Table, n_rows: int) -> None:
    if n_rows > MOST_ROWS:
        table.caption = f"{n_rows - MOST_ROWS} more; --json gives all"


def _plain(pulled: Pulled) -> dict[str, Any]:
    return {
        "batch": pulled.batch.name if pulled.batch else None,
        "taken": [{"id": row.correction.id, **row.correction.to_json()} for row in pulled.taken],
        "known": len(pulled.known),
        "refused": [{"id": row.correction.id, **row.correction.to_json(), "why": row.reason} for row in pulled.refused],
        "unread": [{"place": row.place, "why": row.reason} for row in pulled.unread],
        "conflicts": [
            {"image_id": row.image_id, "finding": row.finding, "reviewers": list(row.reviewers)}
            for row in pulled.conflicts
        ],
    }


@app.command()
def sheet(
    data: BuiltSet = DATA,
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("runs/review/sheet.html"),
    readings: Annotated[
        list[Path] | None, typer.Option(help="What a detector says: a file of boxray read --json, or its folder.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, val, test or aside; default: all.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    finding: Annotated[str | None, typer.Option(help="Only films that have this finding, boxed or not.")] = None,
    most: Annotated[int, typer.Option(help="Films on the sheet; each takes some 60 kB.")] = MOST_FILMS,
) -> None:
    """A review sheet as one HTML file: films, boxes, verdicts. It needs no server, no database and no network."""
    manifest = Manifest.load(data)
    said = find_readings(readings, manifest) if readings else {}
    chosen = choose(asked_for(manifest, split, source, finding), said, most)
    path = write_sheet(out, manifest, chosen, said)
    print(f"{path}: {chosen.said} {path.stat().st_size / 1e6:.1f} MB")
    PEOPLE.print("open it in a browser; what you save there is taken in with: boxray review pull --verdicts FILE")
