"""`boxray read`: files in, one line each out, in order."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Final, Literal

import typer

from boxray.cli.exits import Exit
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
from boxray.serve.dicom import header_of, presentation_state, require_writer, structured_report

DetectorChoice = Annotated[
    str | None,
    typer.Option(
        "--detector", help="Name of a released detector, or path of a card; default: the one whose card says so."
    ),
]

_LONGEST_STEM_BYTES: Final = 230
"""Of the 255 that a file system gives a name."""

MANY = 4
"""From so many files on, each core works on one of its own."""


def read(
    files: Annotated[list[Path], typer.Argument(help="DICOM, PNG or JPEG files, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Write overlays and readings.jsonl here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on stdout.")] = False,
    only: Annotated[Literal["detector", "classifier"] | None, typer.Option(help="Ask one model only.")] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of boxes' probability; default: the stored operating points.")
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="What runs the networks.")] = "openvino",
    detector: DetectorChoice = None,
    sr: Annotated[
        Path | None, typer.Option(help="Write DICOM SR and GSPS of each DICOM file here (extra \\[pacs]).")
    ] = None,
    scope_check: Annotated[
        bool, typer.Option("--scope-check/--no-scope-check", help="Refuse what is no frontal chest radiograph.")
    ] = True,
) -> int:
    """Read radiographs with the released weights. Exit code 3: some were refused or failed."""
    if detector is not None and only == "classifier":
        raise typer.BadParameter("--detector names weights that --only classifier does not ask; leave one of them out")
    if sr is not None:
        require_writer()
    for folder in (out, sr):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    paths = list(expand(files))
    if not paths:
        PEOPLE.print("no file to read: the folders are empty, or hold hidden files and a system's own alone")
    reader = released_reader(engine, only, many=len(paths) >= MANY, detector=detector, scope_check=scope_check)
    not_read = 0
    with (
        progress_bar("reading", len(paths)) as progress,
        _record(out) as record,
        DecodingChildren(reader.lanes) as children,
    ):

        def read_numbered(numbered: tuple[int, Path]) -> Reading:
            number, path = numbered
            name = f"{number:04d}-{_stem(path)}"
            picture = out and out / f"{name}.png"
            reading = read_one(reader, path, min_score, picture, children)
            if sr is not None:
                write_objects(sr / name, path, reading, reader.label_space)
            return reading

        for reading in in_order(read_numbered, enumerate(paths, start=1), threads=reader.threads):
            not_read += reading.status is not Outcome.RESULT
            line = json.dumps(reading.to_json(), ensure_ascii=False)
            print(line if as_json else line_of(reading, reader.label_space), flush=True)
            if record is not None:
                record.write(line + "\n")
            steps(progress)()
    return Exit.PARTLY if not_read else Exit.DONE


def _stem(path: Path) -> str:
    """A file's name without its suffix, cut so that number and ending fit beside it."""
    return os.fsdecode(os.fsencode(path.stem)[:_LONGEST_STEM_BYTES])


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
    reader: Reader, path: Path, min_score: float | None, picture: Path | None, children: DecodingChildren
) -> Reading:
    """Read one file and draw it where asked to."""
    name = written(path)
    if picture is None:
        return reader.read(path, name, min_score=min_score, children=children)
    try:
        rad = read_radiograph(path, children=children)
    except InputError as error:
        return Reading.not_answered(name, error)
    reading = reader.read_radiograph(rad, name, min_score=min_score)
    picture.write_bytes(encode_png(overlay(rad, reading, reader.label_space)))
    return reading


def write_objects(begin: Path, path: Path, reading: Reading, label_space: LabelSpace) -> None:
    """Write report and presentation state of a DICOM file that gave a result; of all others nothing, with a word.

    Args:
        begin: Of the objects' paths; ``.sr.dcm`` and ``.gsps.dcm`` are added.
        path: Of the radiograph.
        reading: Of it.
        label_space: Names and codes of the findings.
    """
    header = header_of(path.read_bytes()) if reading.status is Outcome.RESULT else None
    if header is None or "detector" not in reading.models:
        PEOPLE.print(f"no object of {path.name}: it gave no boxes, or is no DICOM file with its UIDs", markup=False)
        return
    try:
        for ending, write in ((".sr.dcm", structured_report), (".gsps.dcm", presentation_state)):
            begin.with_name(begin.name + ending).write_bytes(write(header, reading, label_space))
    except InputError as error:
        PEOPLE.print(f"no object of {path.name}: {error.reason}", markup=False)


@contextmanager
def _record(folder: Path | None) -> Iterator[IO[str] | None]:
    if folder is None:
        yield None
        return
    with (folder / "readings.jsonl").open("w", encoding="utf-8") as file:
        yield file
