"""The review sheet: films with their boxes on one HTML file that needs no server, no database and no network.

A reader opens it in any browser, says of each box and finding what is right, and saves a file of verdicts, which
`boxray review pull --verdicts` takes. Nothing of a patient is in it but the film and the image's id.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray
from boxray.core.boxes import box_iou
from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.consensus import FUSE_IOU
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.presence import Rule
from boxray.imaging.draw import on_film
from boxray.imaging.shrink import shrink
from boxray.page.frame import whole_page
from boxray.review.edits import VERDICTS
from boxray.review.readings import Said

MOST_FILMS: Final = 200
"""On one sheet, unless another number is asked for: some 10 MB, which a phone still opens."""

SIDE_PX: Final = 640
"""Longer side of a film on the sheet; boxes stay in pixels of the built set's picture."""

_JPEG_QUALITY: Final = 82

LEAST_SCORE: Final = 0.05
"""Detections below are not on the sheet, wherever the slider stands."""

MOST_DETECTIONS: Final = 20
"""Of one film, the surest."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which films are on a sheet, in their order, and how that was decided."""

    images: pd.DataFrame
    said: str


def choose(manifest: Manifest, said: Mapping[str, Said], most: int) -> Chosen:
    """At most so many films of a set: where readings are given those first on which boxes and detector differ most.

    Without readings it is a sample that is the same every time, in the order of the pixels' hashes.

    Raises:
        DataError: If there is no film, or none is asked for.
    """
    images = manifest.images
    if images.empty:
        raise DataError("no image of the set is left by these filters; ask for another split, source or finding")
    if most < 1:
        raise DataError(f"a sheet has at least one film, got {most}")
    if said:
        drawn = _boxes(manifest.boxes)
        doubt = [_doubt(manifest, row, drawn, said.get(row["image_id"])) for row in images.to_dict("records")]
        order = images.assign(doubt=doubt).sort_values(["doubt", "sha256"], ascending=[False, True])
        how = "those first on which boxes and detector differ most"
    else:
        order = images.sort_values("sha256")
        how = "in an order that is drawn by lot, the same every time"
    first = order.head(most)
    return Chosen(first, f"{len(first):,} of {len(images):,} images of this choice, {how}.")


def _doubt(manifest: Manifest, row: Mapping[str, Any], drawn: Mapping[str, Any], said: Said | None) -> float:
    """How far boxes and detector differ on a film, in [0, 1]; 0 where it was not read.

    What is unknown, or only assumed absent, is no false positive.
    """
    if said is None:
        return 0.0
    doubts = [0.0]
    for key in manifest.label_space.keys:
        if key in said.not_assessed:
            continue
        corners = [box["xyxy"] for box in drawn.get(row["image_id"], ()) if box["finding"] == key]
        boxes = np.array(corners, dtype=np.float64).reshape(-1, 4)
        found = [det for det in said.detections if det.finding == key]
        met = box_iou(boxes, np.array([det.box.xyxy for det in found], dtype=np.float64).reshape(-1, 4)) >= FUSE_IOU
        scores = np.array([det.score for det in found])
        doubts += [1 - max(scores[hits], default=0.0) for hits in met]
        if row[f"presence_{key}"] in {Presence.BOXED, Presence.ABSENT} and row[f"rule_{key}"] != Rule.ASSUMPTION:
            doubts += scores[~met.any(axis=0)].tolist()
    return float(max(doubts))


def write_sheet(out: Path, manifest: Manifest, chosen: Chosen, said: Mapping[str, Said]) -> Path:
    """Write the sheet.

    Args:
        out: The HTML file; its folder is made if it is not there.
        manifest: The whole set: its fingerprint goes with every verdict.
        chosen: The films, and how they were chosen.
        said: What the models say, by image id; may be empty.

    Returns:
        The file.

    Raises:
        DataError: If a picture of the set is missing or damaged.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    room = files("boxray.review")
    script = room.joinpath("sheet.js").read_text(encoding="utf-8")
    style = room.joinpath("sheet.css").read_text(encoding="utf-8")
    content = sheet_content(manifest, chosen, said)
    body = _BODY.format(said=escape(chosen.said), films=_in_script(content))
    foot = f"Set {manifest.fingerprint[:16]}. Detector: {content['model'] or 'none'}. It asks no host for anything."
    out.write_text(whole_page("Review sheet", body, foot, style=style, script=script), encoding="utf-8")
    return out


def sheet_content(manifest: Manifest, chosen: Chosen, said: Mapping[str, Said]) -> dict[str, Any]:
    """What the sheet's script works on, as plain data. Boxes are in pixels of the built set's pictures."""
    wanted = set(chosen.images["image_id"])
    drawn = _boxes(manifest.boxes[manifest.boxes["image_id"].isin(wanted)])
    own = _readers_boxes(manifest, wanted)
    films = [
        _film(manifest, row, drawn.get(row["image_id"], []), own.get(row["image_id"], []), said.get(row["image_id"]))
        for row in chosen.images.to_dict("records")
    ]
    return {
        "schema": VERDICTS,
        "base": manifest.fingerprint,
        "model": next((each.model for each in said.values() if each.model), ""),
        "findings": [
            {"key": each.key, "display": each.display, "box": each.box, "colour": "#{:02x}{:02x}{:02x}".format(*shade)}
            for each in manifest.label_space
            for shade in [on_film(each.colour)]
        ],
        "films": films,
    }


def _film(
    manifest: Manifest,
    row: Mapping[str, Any],
    boxes: list[dict[str, Any]],
    own: list[dict[str, Any]],
    said: Said | None,
) -> dict[str, Any]:
    keys = manifest.label_space.keys
    detections = sorted(said.detections, key=lambda det: -det.score)[:MOST_DETECTIONS] if said else []
    return {
        "id": row["image_id"],
        "sha256": row["sha256"],
        "width": int(row["width"]),
        "height": int(row["height"]),
        "source": str(row["source"]),
        "split": str(row["split"]),
        "aside": str(row["aside"] or ""),
        "presence": {key: str(row[f"presence_{key}"]) for key in keys},
        "assumed": [key for key in keys if row[f"rule_{key}"] == Rule.ASSUMPTION],
        "boxes": boxes,
        "readers": own,
        "detections": [
            {
                "finding": det.finding,
                "xyxy": _rounded(det.box.xyxy),
                "score": round(float(det.score), 3),
                "speaks": said is not None and det.score >= said.thresholds.get(det.finding, 0.0),
            }
            for det in detections
            if det.score >= LEAST_SCORE
        ],
        "read": said is not None and said.code is None,
        "not_assessed": list(said.not_assessed) if said else [],
        "picture": _picture(manifest.folder / row["picture"]),
    }


def _boxes(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The consensus by image id. Corners are not rounded: they must be found again."""
    boxes: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        said = {"votes": int(row["votes"]), "n_readers": int(row["n_readers"]), "readers": str(row["readers"])}
        corners = [float(row[corner]) for corner in CORNERS]
        boxes.setdefault(row["image_id"], []).append({"finding": str(row["finding"]), "xyxy": corners} | said)
    return boxes


def _readers_boxes(manifest: Manifest, wanted: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Every reader's own boxes, of the films that several have read: elsewhere they are the consensus."""
    several = manifest.images["readers"].str.contains(" ", regex=False)
    wanted = wanted & set(manifest.images.loc[several, "image_id"])
    if not wanted:
        return {}
    table = manifest.reader_boxes()
    boxes: dict[str, list[dict[str, Any]]] = {}
    for row in table[table["image_id"].isin(wanted)].to_dict("records"):
        corners = _rounded([float(row[corner]) for corner in CORNERS])
        boxes.setdefault(row["image_id"], []).append(
            {"finding": str(row["finding"]), "xyxy": corners, "reader": str(row["reader"])}
        )
    return boxes


def _rounded(corners: Sequence[float] | FloatArray) -> list[float]:
    return [round(float(value), 1) for value in corners]


def _picture(path: Path) -> str:
    """A film of the set as a data URI."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise DataError("a picture of the set is missing or damaged; build it again")
    _, encoded = cv2.imencode(".jpg", shrink(grey, SIDE_PX), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _in_script(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


_BODY: Final = """
<p class="quiet">{said} <span id="noscript">This sheet needs JavaScript in the browser.</span></p>
<div id="sheet" hidden></div>
<script type="application/json" id="films">{films}</script>
"""
