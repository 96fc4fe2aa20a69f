"""The audit as people read it: AUDIT.md, and a sheet of pictures per source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray
from boxray.core.findings import LabelSpace, Presence
from boxray.data.audit import AGREE_IOU, ASSUMED, TINY_SHARE, Audit
from boxray.data.card import Card
from boxray.data.corrections import SOURCE as REVIEWERS
from boxray.data.csv_cells import harmless
from boxray.data.manifest import CORNERS, Manifest
from boxray.data.split import PARTS, Split
from boxray.imaging.draw import encode_png, on_film

CORRECTIONS_FILE = "corrections.csv"
LISTED = 40
"""Edits in AUDIT.md itself."""

SHEET_ROWS, SHEET_COLUMNS, TILE_PX = 3, 6, 256


def write_audit(
    audit: Audit, manifest: Manifest, copies: pd.DataFrame, edits: pd.DataFrame, deck: Mapping[str, Card]
) -> None:
    """Write `AUDIT.md`, `copies.csv`, `corrections.csv` and `samples/<source>.png` into the built set.

    Args:
        audit: The counts.
        manifest: The set.
        copies: Of `Merged`.
        edits: Of `Corrected`; without any there is no file of them.
        deck: Card per source.
    """
    if len(edits):
        edits.map(harmless).to_csv(manifest.folder / CORRECTIONS_FILE, index=False)
    else:
        (manifest.folder / CORRECTIONS_FILE).unlink(missing_ok=True)
    copies.to_csv(manifest.folder / "copies.csv", index=False)
    lines = [*_head(audit, manifest), *_books(audit, deck), *_matrices(audit, manifest.label_space, deck)]
    lines += [*_oddities(audit, manifest.label_space), *_readers(audit, manifest.label_space)]
    lines += _corrections(audit, edits)
    folder = manifest.folder / "samples"
    folder.mkdir(exist_ok=True)
    lines += ["## Samples", "", "Research use only. Drawn: the consensus of the readers.", ""]
    for source in deck:
        part = manifest.only(manifest.images["source"] == source)
        if len(part.images):
            (folder / f"{source}.png").write_bytes(encode_png(sample_sheet(part)))
            lines += [f"### {source}", "", f"![Films of {source} with their boxes](samples/{source}.png)", ""]
    (manifest.folder / "AUDIT.md").write_text("\n".join(lines), encoding="utf-8")


def _head(audit: Audit, manifest: Manifest) -> list[str]:
    rows = [[split, *audit.splits[split].values()] for split in Split]
    leaks = [f"- {what}: **{n}**" for what, n in audit.leaks.items()]
    moved = [f"- {what}: {n}" for what, n in audit.dealt.items()]
    return [
        f"# Audit of a built set: {manifest.label_space.name}",
        "",
        f"Fingerprint `{manifest.fingerprint}`. {audit.decoded} files were decoded anew for this build.",
        "",
        *_table(["split", "images", "patients", "boxes"], rows),
        *leaks,
        *moved,
        "",
    ]


def _books(audit: Audit, deck: Mapping[str, Card]) -> list[str]:
    lines = ["## Sources", "", "What the tables name is built or left out, and every one left out has its reason.", ""]
    for name, books in audit.sources.items():
        card = deck[name]
        images, boxes = books["images"], books["boxes"]
        rows = [["stated by the card", _count(images["expected"]), _count(boxes["expected"])]]
        rows += [["named by the tables", images["named"], boxes["named"]]]
        rows += [[f"left out: {reason}", n, ""] for reason, n in images["dropped"].items()]
        rows += [[f"left out: {reason}", "", n] for reason, n in boxes["dropped"].items()]
        rows += [["**built**", images["built"], boxes["built"]]]
        lines += [f"### {name}: {card.name}", "", f"Licence: {card.licence}. {_use(card)}", ""]
        lines += _table(["", "images", "boxes"], rows)
        if not (images["as_expected"] and boxes["as_expected"]):
            lines += ["**The tables do not name what the card states.** Another release, or a part of it?", ""]
        lines += [f"- {remark}: {n}" for remark, n in books["remarks"].items()]
        lines += [f"- assumed absent: **{word}**, because: {why}" for word, why in card.absent_by_assumption.items()]
        lines += [f"- absent: **{word}**, because: {why}" for word, why in card.absent_because.items()]
        lines += [""]
    return lines


def _use(card: Card) -> str:
    return "Commercial use is allowed." if card.commercial_use else "**Not for commercial use.**"


def _matrices(audit: Audit, space: LabelSpace, deck: Mapping[str, Card]) -> list[str]:
    states = [*(presence.value for presence in Presence), ASSUMED]
    said = "Unknown is not absent. Images by state, and by the source whose reading or card decided:"
    lines = ["## What is known of each finding", "", said, ""]
    for source in (*deck, REVIEWERS):
        if source in audit.presence:
            rows = [
                [space[key].display, *(counts[state] for state in states)]
                for key, counts in audit.presence[source].items()
            ]
            lines += [f"**{source}**", "", *_table(["finding", *states], rows)]
    rules = list(next(iter(audit.rules.values())))
    lines += ["Which rule decided, in images:", ""]
    lines += _table(
        ["finding", *rules], [[space[key].display, *counts.values()] for key, counts in audit.rules.items()]
    )
    lines += ["Boxes after the consensus of readers, by split:", ""]
    rows = [[space[key].display, *(counts[split.value] for split in PARTS)] for key, counts in audit.boxes.items()]
    return lines + _table(["finding", *PARTS], rows)


def _oddities(audit: Audit, space: LabelSpace) -> list[str]:
    rows = []
    for key, shape in audit.geometry.items():
        if shape["boxes"]:
            share = " / ".join(f"{shape[f'share_{q}']:.1%}" for q in (25, 50, 75))
            aspect = " / ".join(f"{shape[f'aspect_{q}']:.2f}" for q in (25, 50, 75))
            rows.append(
                [space[key].display, shape["boxes"], share, aspect, shape["tiny"], shape["one_of_several_readers"]]
            )
    head = ["finding", "boxes", "share of the picture, quartiles", "width / height, quartiles"]
    lines = ["## Boxes", "", *_table([*head, f"tiny (< {TINY_SHARE:.1%})", "seen by one of several readers"], rows)]
    names = [space[key].display for key in audit.together]
    lines += ["Images in which two findings are (boxed or present):", ""]
    lines += _table(["", *names], [[space[key].display, *row.values()] for key, row in audit.together.items()])
    said = "The same film under two names is one image here, with the readers of both; the pairs stand in `copies.csv`."
    lines += ["## Copies", "", said, ""]
    lines += _table(["kept <- copy", "copies"], list(audit.copies.items())) if audit.copies else ["None.", ""]
    if audit.contradictions:
        lines += [
            "Films of which one reading has it and another has not (a box holds; words against words are unknown):",
            "",
        ]
        lines += _table(["finding", "images"], [[space[key].display, n] for key, n in audit.contradictions.items()])
    return lines


def _readers(audit: Audit, space: LabelSpace) -> list[str]:
    lines = ["## Readers against readers", ""]
    if not audit.readers:
        return [*lines, "No image here has two readers who boxed the same finding.", ""]
    rows = [
        [space[key].display, r["images"], r["boxes"], f"{r['f1']:.2f} ({r['f1_low']:.2f}–{r['f1_high']:.2f})"]
        for key, r in audit.readers.items()
    ]
    lines += [f"Pairwise F1 at IoU {AGREE_IOU}, 95 % bootstrap by image: a detector is measured against this.", ""]
    return lines + _table(["finding", "images that two looked at", "boxes", "F1"], rows)


def _corrections(audit: Audit, edits: pd.DataFrame) -> list[str]:
    if not audit.corrections:
        return []
    counts = audit.corrections
    if not len(edits):
        return ["## Corrections", "", f"No edit is in force ({counts['undone']} batches undone).", ""]
    said = (
        f"{counts['edits']} edits of {counts['batches']} batches are in force ({counts['undone']} batches undone). "
        f"They decide on {counts['cells']} findings of images, on {counts['disputed']} of which reviewers differ; "
        f"{counts['boxes_replaced']} published boxes gave way to {counts['boxes_drawn']} of reviewers. "
        f"Every edit stands in `{CORRECTIONS_FILE}`."
    )
    lines = ["## Corrections", "", said, ""]
    lines += _table(["edit", "edits"], list(counts["kinds"].items()))
    if counts["findings"]:
        lines += _table(["finding", "findings of images decided by reviewers"], list(counts["findings"].items()))
    if counts["left_out"]:
        lines += _table(["left out, because", "opinions of reviewers"], list(counts["left_out"].items()))
    shown = ["image", "finding", "edit", "before", "after", "reviewer", "reason", "built"]
    rows = [[_one_line(cell) for cell in row] for row in edits[shown].head(LISTED).itertuples(index=False)]
    lines += [f"The first {len(rows)}:" if len(edits) > LISTED else "All of them:", "", *_table(shown, rows)]
    return lines


def _one_line(text: Any) -> str:
    """A cell of a table in Markdown, whatever a reviewer has written."""
    line = " ".join(str(text).split()).replace("\\", "\\\\")
    for sign in "|<>[]`*_":
        line = line.replace(sign, f"\\{sign}")
    return line


def _count(expected: int | None) -> str:
    return "–" if expected is None else str(expected)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def sample_sheet(part: Manifest) -> ByteArray:
    """A sheet of films with their boxes, those with boxes first; the same films every time.

    Returns:
        RGB, shape ``(H, W, 3)``.
    """
    boxed = part.images["image_id"].isin(part.boxes["image_id"])
    order = part.images.assign(boxed=boxed).sort_values(["boxed", "sha256"], ascending=[False, True])
    n_tiles = SHEET_ROWS * SHEET_COLUMNS
    chosen = pd.concat([order[order["boxed"]].head(n_tiles - 4), order[~order["boxed"]].head(n_tiles)]).head(n_tiles)
    tiles = [_tile(part, row) for row in chosen.itertuples(index=False)]
    blank = np.zeros((TILE_PX, TILE_PX, 3), dtype=np.uint8)
    tiles += [blank] * (-len(tiles) % SHEET_COLUMNS)
    rows = [np.hstack(tiles[start : start + SHEET_COLUMNS]) for start in range(0, len(tiles), SHEET_COLUMNS)]
    return np.vstack(rows)


def _tile(part: Manifest, image: Any) -> ByteArray:
    grey = cv2.imread(str(part.folder / image.picture), cv2.IMREAD_GRAYSCALE)
    assert grey is not None, "the build has just written it"
    scale = TILE_PX / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    tile = np.zeros((TILE_PX, TILE_PX, 3), dtype=np.uint8)
    tile[:height, :width] = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)[:, :, None]
    for box in part.boxes[part.boxes["image_id"] == image.image_id].itertuples(index=False):
        colour = on_film(part.label_space[box.finding].colour)
        x1, y1, x2, y2 = (round(getattr(box, corner) * scale) for corner in CORNERS)
        cv2.rectangle(tile, (x1, y1), (x2 - 1, y2 - 1), colour, 1)
        cv2.putText(
            tile, box.finding, (x1 + 2, min(y1 + 10, TILE_PX - 2)), cv2.FONT_HERSHEY_PLAIN, 0.8, colour, 1, cv2.LINE_AA
        )
    return tile
