"""`boxray review doctor` and `boxray review open`: FiftyOne, and why it will not start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from boxray.cli.exits import Exit
from boxray.cli.show import PEOPLE, progress_bar, steps
from boxray.core.errors import DataError
from boxray.data.correction_log import CorrectionLog
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.review.checkup import examine
from boxray.review.database import database, state_folder
from boxray.review.exchange import label_config, out_images, write_cvat, write_label_studio
from boxray.review.from_fiftyone import FiftyOneEdits
from boxray.review.naming import dataset_name
from boxray.review.opening import AT_MOST, PORT, chosen, open_review, reviewer_of, show
from boxray.review.read_set import read_set
from boxray.review.readings import Readings, find_readings

READINGS: Final = Path("runs/review")
"""Where readings that were made for a review are kept, a folder for each built set."""


def doctor() -> None:
    """Why FiftyOne or its database will not start, and what to do. Exit code 1: something is wrong."""
    sound = True
    for ok, what, said in examine():
        sound = sound and ok
        print(f"{'ok  ' if ok else 'BAD '} {what}: {said}", flush=True)
    raise typer.Exit(Exit.DONE if sound else Exit.ERROR)


def open_set(
    data: Annotated[Path, typer.Option("--data", help="Folder of a built set.")] = Path("data/built/real"),
    readings: Annotated[
        list[Path] | None,
        typer.Option(help="File or folder of what boxray read --json wrote of its pictures; may be named again."),
    ] = None,
    read: Annotated[
        bool, typer.Option("--read", help="Read what has no reading yet, and keep it under runs/review.")
    ] = False,
    split: Annotated[Split | None, typer.Option(help="Only this part.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be named again.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="At most so many images, drawn at random.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who reviews; default: this computer's user.")] = None,
    corrections: Annotated[Path, typer.Option(help="Folder of the corrections.")] = Path("data/corrections"),
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Let FiftyOne evaluate the readings on what was opened.")
    ] = False,
    view: Annotated[str | None, typer.Option(help="The saved view to begin with.")] = None,
    port: Annotated[int, typer.Option(help="Of the App, on this machine's own address.")] = PORT,
    app: Annotated[
        bool, typer.Option("--app/--no-browser", help="--no-browser: prepare, say what there is, end.")
    ] = True,
    remote: Annotated[
        bool, typer.Option("--remote", help="Serve the App, and open no browser here: reach it by ssh -L.")
    ] = False,
) -> None:
    """Open a built set in FiftyOne: boxes, presence, detections, maps, and views of what to look at first."""
    whole = Manifest.load(data)
    part = chosen(whole, split=split, sources=source or (), sample=sample)
    if len(part.images) > AT_MOST and sample is None:
        part = chosen(part, sample=AT_MOST)
        PEOPLE.print(f"{len(whole.images)} images: {AT_MOST} of them, drawn at random; --sample N asks for more")
    name = reviewer_of(reviewer)
    places = list(readings or ())
    kept = READINGS / dataset_name(whole.folder, "").strip("-")
    state = state_folder()
    notes = state / "readings" / f"{kept.name}.json"
    if read:
        with progress_bar("reading", len(part.images)) as bar:
            read_set(part, kept, steps(bar), notes=notes)
    if kept.is_dir():
        places.insert(0, kept)
    said = find_readings(places, part, notes) if places else Readings()
    with database(state):
        with progress_bar("opening", len(part.images)) as bar:
            review = open_review(part, whole, said, corrections, name, state, steps(bar))
        if view is not None and view not in review.views:
            raise DataError(f"there is no view {view!r}; there are: {', '.join(review.views)}")
        print(f"data set {review.name}: {len(part.images)} images, {said.n_read} of them with a reading")
        print(
            f"{review.added} added, {review.renewed} brought up to date, {review.unchanged} unchanged, "
            f"{review.kept_edits} edited findings kept"
        )
        for image in review.gone:
            print(f"no more in the set, but edited, so kept with the tag 'gone': {image}")
        print(f"views: {', '.join(review.views)}")
        if evaluate:
            _evaluate(review.dataset, part)
        if not said:
            PEOPLE.print("no readings: views that ask a model are empty; make them with --read, or name --readings")
        if not app:
            return
        session = show(review, port, browser=not remote, view=view)
        PEOPLE.print(f"FiftyOne: http://127.0.0.1:{port}/  as {name}; Ctrl-C ends it, no edit is lost")
        for ending in (signal.SIGINT, signal.SIGTERM):  # both leave by the same door, which ends the database too
            signal.signal(ending, signal.default_int_handler)
        try:
            session.wait(-1)
        except KeyboardInterrupt:
            PEOPLE.print("take the edits: boxray review pull")
        finally:
            session.close()


@contextmanager
def edits_in_fiftyone(*, asked: bool) -> Iterator[list[FiftyOneEdits]]:
    """The edits in FiftyOne's database as a source, while it runs; none where it is not asked."""
    if not asked:
        yield []
        return
    with database() as uri:
        yield [FiftyOneEdits(uri)]


def export(
    out: Annotated[Path, typer.Option(help="The file: .xml for CVAT, .json for Label Studio.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of a built set.")] = Path("data/built/real"),
    readings: Annotated[list[Path] | None, typer.Option(help="The detector's boxes go out too, with scores.")] = None,
    split: Annotated[Split | None, typer.Option(help="Only this part.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be named again.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="At most so many images, drawn at random.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who will review; default: this computer's user.")] = None,
    corrections: Annotated[Path, typer.Option(help="Folder of the corrections.")] = Path("data/corrections"),
) -> None:
    """Write a built set for CVAT or Label Studio: every image, boxes with ids, presence, scores."""
    if out.suffix.lower() not in {".xml", ".json"}:
        raise typer.BadParameter("the file ends in .xml (CVAT) or .json (Label Studio)")
    part = chosen(Manifest.load(data), split=split, sources=source or (), sample=sample)
    said = find_readings(readings, part) if readings else {}
    held = CorrectionLog.read(corrections).opinions if corrections.is_dir() else {}
    images = out_images(part, said, held, reviewer_of(reviewer))
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".xml":
        write_cvat(images, out)
    else:
        write_label_studio(images, out)
        print(f"labelling configuration of the project: {label_config(part.label_space.keys)}")
    print(f"written: {out}, {len(images)} images; the pictures lie in {data / 'images'}")
    print(f"when it comes back: boxray review pull --exchange FILE --reviewer {reviewer_of(reviewer)}")


def _evaluate(dataset: Any, part: Manifest) -> None:
    from boxray.review.evaluation import evaluate_inside
    from boxray.review.fields import IMAGE_ID

    wanted = dataset.select_by(IMAGE_ID, part.images["image_id"].tolist())
    with progress_bar("evaluating", len(part.label_space)) as bar:
        rows = evaluate_inside(wanted, part.label_space, steps(bar))
    for row in rows:
        figure = "no box to find" if row.ap50 is None else f"AP50 {row.ap50:.4f}"
        print(f"{row.finding}: {figure}, with {row.images_with}, without {row.images_without}")
