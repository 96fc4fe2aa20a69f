"""Write a comparison into a folder: rows.csv, summary.csv, summary.json, summary.md and compare.html, whole or not."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray
from boxray.core.assessed import MEAN
from boxray.core.errors import DataError
from boxray.core.plain import json_text
from boxray.core.protocols import Explainer
from boxray.core.reading import DISCLAIMER, ModelIdentity
from boxray.data.manifest import Manifest
from boxray.localization.compare.asking import DETECTOR
from boxray.localization.compare.comparison import Comparison, method_title
from boxray.localization.compare.gallery import case_picture, cases_of
from boxray.localization.compare.page import Shown, compare_page
from boxray.localization.compare.second_reader import SECOND_READER
from boxray.localization.compare.summary import LOCALIZATION, POINTING
from boxray.localization.compare.words import HEADLINES, READER_NOTE, cautions, how_to_read, title_of

SCHEMA: Final = "boxray.compare/1"
FILES: Final = ("rows.csv", "summary.csv", "summary.json", "summary.md", "compare.html")
_JPEG_QUALITY: Final = 85


def require_room(folder: Path) -> None:
    """Nothing but an older comparison may be in the way. Asked before the work, so that no work is lost.

    Raises:
        DataError: If `folder` is a file, or holds something else.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError("--out is a file; name a folder that is new, empty, or holds an older comparison")
    there = {path.name for path in folder.iterdir()}
    if there and not (there <= set(FILES) and _is_comparison(folder)):
        others = len(there - set(FILES)) or len(there)
        raise DataError(
            f"--out holds {others} files that are no comparison's; name a folder that is new, empty, "
            "or holds an older comparison, which is then replaced"
        )


def _is_comparison(folder: Path) -> bool:
    try:
        content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("schema") == SCHEMA


def write_comparison(
    folder: Path,
    comparison: Comparison,
    manifest: Manifest,
    explainer: Explainer,
    progress: Callable[[], None] = lambda: None,
) -> Path:
    """Write all files beside the folder and then put them in its place: it is the old one or the new one.

    Args:
        folder: New, empty, or an older comparison.
        comparison: What is told.
        manifest: The built set, for pictures.
        explainer: Asked again for the maps of the pictures.
        progress: Called after every finding.

    Returns:
        The path of ``compare.html``.

    Raises:
        DataError: If something else is in the way.
    """
    require_room(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        made.chmod(0o755)  # mkdtemp's is for its owner alone
        comparison.rows.to_csv(made / "rows.csv", index=False)
        comparison.summary.to_csv(made / "summary.csv", index=False)
        (made / "summary.json").write_text(json_text(to_json(comparison)), encoding="utf-8")
        (made / "summary.md").write_text(to_markdown(comparison), encoding="utf-8")
        gallery = {}
        for finding in comparison.findings:
            cases = cases_of(comparison, finding)
            pictures = [case_picture(case, comparison, manifest, explainer) for case in cases]
            gallery[finding] = [
                Shown(case, _data_uri(picture), (picture.shape[1], picture.shape[0]))
                for case, picture in zip(cases, pictures, strict=True)
            ]
            progress()
        (made / "compare.html").write_text(compare_page(comparison, gallery), encoding="utf-8")
        _put(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder / "compare.html"


def _put(made: Path, folder: Path) -> None:
    require_room(folder)  # once more: the work took minutes
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        folder.rename(aside / folder.name)
        try:
            made.rename(folder)
        except OSError:
            (aside / folder.name).rename(folder)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    else:
        made.rename(folder)


def _data_uri(picture: ByteArray) -> str:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Everything but the rows, as plain data."""
    return {
        "schema": SCHEMA,
        "disclaimer": DISCLAIMER,
        "verdict": list(comparison.verdict),
        "cautions": cautions(comparison),
        "models": {"detector": _model(comparison.detector), "classifier": _model(comparison.explainer)},
        "maps_taught_by_boxes": comparison.taught_by_boxes,
        "data": {
            "fingerprint": comparison.fingerprint,
            "split": comparison.split.value,
            "images": comparison.n_images,
            "patients": comparison.n_patients,
            "sources": comparison.sources,
        },
        "findings": list(comparison.findings),
        "mean_over": list(comparison.averaged),
        "not_compared": dict(comparison.left_out),
        "methods": list(comparison.methods),
        "bootstrap_rounds": comparison.rounds,
        "map_thresholds": [asdict(each) | {"how": each.how} for each in comparison.shares],
        "summary": _records(comparison.summary),
        "disagreements": _records(comparison.disagreements),
    }


def _model(model: ModelIdentity) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data: numpy's numbers as Python's."""
    return [
        {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def to_markdown(comparison: Comparison) -> str:
    """The sentence, the table at a glance, one table of all methods per finding, and how to read them."""
    method = comparison.methods[0]
    lines = ["# Boxes against heat maps against readers", "", f"**{DISCLAIMER}**", ""]
    for sentence in comparison.verdict:
        lines += [f"> {sentence}", ">"]
    lines = [*lines[:-1], "", *(f"- {line}" for line in cautions(comparison)), ""]
    about = (
        f"Detector {comparison.detector.name} {comparison.detector.version}, classifier {comparison.explainer.name} "
        f"{comparison.explainer.version}; {comparison.n_images} images of {comparison.n_patients} patients, split "
        f"{comparison.split.value}; {comparison.rounds} resamples of patients."
    )
    lines += [about, ""]
    lines += _glance(comparison, method)
    for finding in (*comparison.findings, *([MEAN] if comparison.averaged else [])):
        lines += _finding(comparison, finding)
    lines += ["## How to read this", "", *(f"- **{title}.** {text}" for title, text in how_to_read(comparison)), ""]
    return "\n".join(lines)


def _glance(comparison: Comparison, method: str) -> list[str]:
    title = method_title(method)
    measures = {POINTING: "pointing", LOCALIZATION: "best box, T(IoU) 0.3"}
    head = ["Finding", "Images"]
    for words in measures.values():
        head += [f"{words}: detector", title, "detector − map"]
    lines = [_line(head), _line(["---"] * len(head))]
    for finding in (*comparison.findings, *([MEAN] if comparison.averaged else [])):
        rows = comparison.summary[
            (comparison.summary["finding"] == finding) & (comparison.summary["method"] == DETECTOR)
        ]
        cells = [_name(comparison, finding), str(rows["n_images"].iloc[0])]
        for measure in measures:
            cells += [str(comparison.figure(finding, who, measure)) for who in (DETECTOR, method)]
            cells.append(comparison.difference(finding, method, measure).signed)
        lines.append(_line(cells))
    return [*lines, ""]


def _finding(comparison: Comparison, finding: str) -> list[str]:
    of_finding = comparison.summary[comparison.summary["finding"] == finding]
    methods = list(dict.fromkeys(of_finding["method"]))
    lines = [
        f"## {_name(comparison, finding)}",
        "",
        _line(["", *map(title_of, methods)]),
        _line(["---"] * (len(methods) + 1)),
    ]
    for measure, words in HEADLINES.items():
        lines.append(_line([words, *(str(comparison.figure(finding, method, measure)) for method in methods)]))
    return [*lines, "", *([READER_NOTE, ""] if SECOND_READER in methods else [])]


def _name(comparison: Comparison, finding: str) -> str:
    return f"Mean of {len(comparison.averaged)}" if finding == MEAN else comparison.label_space[finding].display


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
