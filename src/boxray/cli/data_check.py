"""`boxray data check`: every fault of a data set, one line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from boxray.cli.exits import Exit
from boxray.cli.show import progress_bar
from boxray.data.check import REMARKS, CheckReport
from boxray.data.check import check as check_set


def check(
    folder: Annotated[Path, typer.Argument(help="Folder or zip file of a YOLO or COCO data set.")],
    pixels: Annotated[bool, typer.Option("--pixels", help="Decode every picture; slow.")] = False,
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Take links for what they lead to.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look for faults and change nothing. Exit code 1: there are some; remarks alone leave a set clean."""
    with progress_bar("files", None) as bar:
        report = check_set(
            folder,
            pixels=pixels,
            follow_links=follow_links,
            progress=lambda done, total: bar.update(0, completed=done, total=total),  # type: ignore[arg-type]
        )
    if as_json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _print(report)
    raise typer.Exit(Exit.DONE if report.clean else Exit.ERROR)


def _print(report: CheckReport) -> None:
    for fault in (*report.faults, *report.remarks):
        print(fault)
    for code, n in report.counts.items():
        print(f"{n:8d}  {code}{'  (a remark)' if code in REMARKS else ''}")
    print(
        f"{report.n_pictures} pictures, {report.n_label_files} label files, {report.n_boxes} boxes: "
        f"{'clean' if report.clean else f'{len(report.faults)} faults'}"
    )
