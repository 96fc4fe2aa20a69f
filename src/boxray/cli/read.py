"""`boxray read`: files in, one line each out, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from boxray.cli.exits import Exit
from boxray.cli.folders import (
    OBJECTS,
    READ,
    appearing,
    begin_of,
    make_folder,
    older_run,
    replaced,
    require_no_objects,
)
from boxray.cli.show import PEOPLE, line_of, progress_bar, steps, written
from boxray.core.ahead import in_order
from boxray.core.errors import InputError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.reading import Reading
from boxray.engines import EngineName
from boxray.imaging.children import DecodingChildren
from boxray.imaging.draw import encode_png
from boxray.imaging.read import read_radiograph
from boxray.imaging.sniff import is_of_the_system
from boxray.localization.overlay import overlay
from boxray.localization.reader import Reader, released_reader
from boxray.serve.dicom import presentation_state, require_writer, required_header, structured_report

DetectorChoice = Annotated[
    str | None,
    typer.Option(
        "--detector", help="Name of a released detector, or path of a card; default: the one whose card says so."
    ),
]
ClassifierChoice = Annotated[
    str | None,
    typer.Option(
        "--classifier", help="Name of a released classifier, or path of a card; default: the one whose card says so."
    ),
]

MANY = 4
"""From so many files on, each core works on one of its own."""


def read(
    files: Annotated[list[Path], typer.Argument(help="DICOM, PNG or JPEG files, or folders of them.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write overlays and readings.jsonl here: a new or empty folder, or an older run's, which is replaced."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on stdout.")] = False,
    only: Annotated[Literal["detector", "classifier"] | None, typer.Option(help="Ask one model only.")] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of boxes' probability; default: the stored operating points.")
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = "openvino",
    detector: DetectorChoice = None,
    classifier: ClassifierChoice = None,
    sr: Annotated[
        Path | None, typer.Option(help="Write DICOM SR and GSPS of each DICOM file here (extra \\[pacs]).")
    ] = None,
    scope_check: Annotated[
        bool, typer.Option("--scope-check/--no-scope-check", help="Refuse what is no frontal chest radiograph.")
    ] = True,
) -> int:
    """Read radiographs with the released weights. Exit code 3: some were refused or failed; 2: there was no file."""
    for named, job, other in ((detector, "detector", "classifier"), (classifier, "classifier", "detector")):
        if named is not None and only == other:
            raise typer.BadParameter(f"--{job} names weights that --only {other} does not ask; leave one of them out")
    paths = to_read(files)
    if sr is not None:
        require_writer()
    older: list[Path] = []
    if out is not None:
        make_folder("--out", out)
        older = older_run(out, paths, READ)
    begins = [begin_of(number, written(path)) for number, path in enumerate(paths, start=1)]
    if sr is not None:
        make_folder("--sr", sr)
        if out is None or not sr.samefile(out):  # there they are an older run's, which is replaced
            require_no_objects(sr, begins)
    reader = released_reader(
        engine, only, many=len(paths) >= MANY, detector=detector, classifier=classifier, scope_check=scope_check
    )
    not_read = 0
    with (
        progress_bar("reading", len(paths)) as progress,
        replaced(out, older) if out else nullcontext() as record,
        DecodingChildren(reader.lanes) as children,
    ):

        def read_named(named: tuple[str, Path]) -> tuple[Reading, dict[Path, bytes]]:
            name, path = named
            reading, picture = read_one(reader, path, min_score, children, draw=out is not None)
            drawn = {} if out is None or picture is None else {out / f"{name}.png": picture}
            if sr is not None:
                objects = made_objects(path, reading, reader.label_space)
                drawn |= {sr / f"{name}{ending}": made for ending, made in objects.items()}
            return reading, drawn

        readings = in_order(read_named, zip(begins, paths, strict=True), threads=reader.threads)
        with closing(readings):  # where this is cut off, what is being read ends first
            for reading, drawn in readings:
                not_read += reading.status is not Outcome.RESULT
                line = json.dumps(reading.to_json(), ensure_ascii=False)
                with appearing(drawn):
                    print(line if as_json else line_of(reading, reader.label_space), flush=True)
                    if record is not None:
                        record.write(line + "\n")
                steps(progress)()
    return Exit.PARTLY if not_read else Exit.DONE


def to_read(files: list[Path]) -> list[Path]:
    """`expand`, and a wrong use where nothing comes of it: a batch of none would look like one that went well.

    Raises:
        BadParameter: If there is no file.
    """
    paths = list(expand(files))
    if not paths:
        raise typer.BadParameter(
            "no file to read: what was named is empty, or holds hidden files and a system's own alone; name "
            "DICOM, PNG or JPEG files, or folders of them"
        )
    return paths


def expand(files: list[Path]) -> Iterator[Path]:
    """Files as given, folders as the files in and below them by name; hidden ones and a system's own are left out.

    A file that does not exist stays in: it gets its record like any other.
    """
    for path in files:
        if path.is_dir():
            inside = (file for file in sorted(path.rglob("*")) if file.is_file())
            yield from (file for file in inside if not is_of_the_system(file.relative_to(path).parts))
        else:
            yield path


def read_one(
    reader: Reader, path: Path, min_score: float | None, children: DecodingChildren, *, draw: bool
) -> tuple[Reading, bytes | None]:
    """Read one file; the overlay as PNG where it is wanted and the file could be decoded."""
    name = written(path)
    if not draw:
        return reader.read(path, name, min_score=min_score, children=children), None
    try:
        rad = read_radiograph(path, children=children)
    except InputError as error:
        return Reading.not_answered(name, error), None
    reading = reader.read_radiograph(rad, name, min_score=min_score)
    return reading, encode_png(overlay(rad, reading, reader.label_space))


def made_objects(path: Path, reading: Reading, label_space: LabelSpace) -> dict[str, bytes]:
    """Report and presentation state of a DICOM file that gave a result; of all others nothing, and the reason is said.

    Args:
        path: Of the radiograph.
        reading: Of it.
        label_space: Names and codes of the findings.

    Returns:
        `OBJECTS`, the ending of each file's name -> what it holds.
    """
    why_none = _why_no_object(reading)
    if why_none is None:
        try:
            header = required_header(path.read_bytes())
            made = (write(header, reading, label_space) for write in (structured_report, presentation_state))
            return dict(zip(OBJECTS, made, strict=True))
        except InputError as error:
            why_none = error.reason
    PEOPLE.print(f"no object of {path.name}: {why_none}", markup=False)
    return {}


def _why_no_object(reading: Reading) -> str | None:
    """What of a reading forbids its objects; None where the file alone decides."""
    if reading.status is not Outcome.RESULT:
        return f"it was not read ({reading.code})"
    if "detector" not in reading.models:
        return "the detector was not asked, and an object tells its boxes"
    return None
