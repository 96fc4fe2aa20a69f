"""The audit: every image and box that the tables name is in the manifest or counted here with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from boxray.core.findings import Presence
from boxray.data.books import Books
from boxray.data.manifest import Manifest
from boxray.data.merge import Merged
from boxray.data.presence import Rule
from boxray.data.reader_agreement import reader_agreement
from boxray.data.split import PARTS, Deal, Split

TINY_SHARE: Final = 0.001
"""Of the picture's area. A box below it is a slip of the mouse, or a nodule: worth a look either way."""

AGREE_IOU: Final = 0.4
"""Overlap from which two readers agree, as in VinDr-CXR's own comparisons; a detector's AP at .4 stands beside it."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What is in a built set, and what is odd about it. Everything here is counted, nothing is estimated."""

    sources: dict[str, dict[str, Any]]
    """Books of each source beside its card's counts."""
    splits: dict[str, dict[str, int]]
    """Split -> images, patients and boxes."""
    presence: dict[str, dict[str, dict[str, int]]]
    """Source whose reading or card decided -> finding -> state -> images; what a card only assumes absent is a state
    of its own."""
    rules: dict[str, dict[str, int]]
    """Finding -> rule that decided -> images."""
    boxes: dict[str, dict[str, int]]
    """Finding -> split -> boxes."""
    geometry: dict[str, dict[str, float]]
    """Finding -> boxes, quartiles of the share of the picture and of width over height, tiny boxes."""
    together: dict[str, dict[str, int]]
    """Finding -> finding -> images that have both (boxed or present)."""
    copies: dict[str, int]
    """Kept source and source of the copy -> copies."""
    readers: dict[str, dict[str, float]]
    """Finding -> how far readers of the same films agree (`reader_agreement` at `AGREE_IOU`): a detector's ceiling.
    Findings that no two readers boxed are not in it."""
    contradictions: dict[str, int]
    """Finding -> images of which one reading has it and another has not."""
    leaks: dict[str, int]
    """What is in two splits: all must be 0."""
    dealt: dict[str, int]
    """Patients whom the rules beyond the hash moved, by reason."""
    decoded: int
    """Files decoded anew by this build; the others are as they were."""
    corrections: dict[str, Any] = field(default_factory=dict)
    """What reviewers corrected (`corrected.Corrected.counts`); empty without corrections."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


ASSUMED: Final = "absent by assumption"


def audit_of(
    manifest: Manifest,
    books: Mapping[str, Books],
    merged: Merged,
    looked: pd.DataFrame,
    dealt: Deal,
    corrections: dict[str, Any],
    *,
    decoded: int,
) -> Audit:
    """Count a built set.

    Args:
        manifest: The set.
        books: Of each source, closed.
        merged: What the copies were.
        looked: Who looked for which finding, of `who_looked`.
        dealt: How patients were dealt.
        corrections: What reviewers corrected, counted.
        decoded: Files decoded anew.
    """
    images, keys = manifest.images, manifest.label_space.keys
    of_split = manifest.boxes.merge(images[["image_id", "split"]], on="image_id")
    return Audit(
        sources={name: of_source.to_json() for name, of_source in books.items()},
        splits={split.value: _size(manifest.part(split)) for split in Split},
        presence=_presence(manifest),
        rules={key: _counts(images[f"rule_{key}"], Rule) for key in keys},
        boxes={key: _counts(of_split["split"][of_split["finding"] == key], PARTS) for key in keys},
        geometry={key: _geometry(manifest, key) for key in keys},
        together=_together(images, keys),
        copies={
            f"{kept} <- {gone}": int(n)
            for (kept, gone), n in merged.copies.groupby(["kept_source", "copy_source"]).size().items()
        },
        readers=_agreement(merged.boxes, looked),
        contradictions=dict(merged.contradictions.most_common()),
        leaks=_leaks(images),
        dealt=dict(dealt.remarks),
        decoded=decoded,
        corrections=corrections,
    )


def _size(part: Manifest) -> dict[str, int]:
    return {"images": len(part.images), "patients": part.images["patient"].nunique(), "boxes": len(part.boxes)}


def _counts(column: pd.Series, values: Any) -> dict[str, int]:
    seen = column.value_counts()
    return {value.value: int(seen.get(value.value, 0)) for value in values}


def _presence(manifest: Manifest) -> dict[str, dict[str, dict[str, int]]]:
    states: dict[str, dict[str, dict[str, int]]] = {}
    ruled_by = {key: manifest.ruled_by(key) for key in manifest.label_space.keys}
    for name in sorted({source for who in ruled_by.values() for source in who.unique()}):
        states[name] = {}
        for key, who in ruled_by.items():
            part = manifest.images.loc[(who == name).to_numpy(), [f"presence_{key}", f"rule_{key}"]]
            states[name][key] = _states(part, key)
    return states


def _states(part: pd.DataFrame, key: str) -> dict[str, int]:
    assumed = part[f"rule_{key}"] == Rule.ASSUMPTION.value
    known = _counts(part[f"presence_{key}"][~assumed], Presence)
    return known | {ASSUMED: int(assumed.sum())}


def _geometry(manifest: Manifest, key: str) -> dict[str, float]:
    rows = manifest.boxes[manifest.boxes["finding"] == key]
    if rows.empty:
        return {"boxes": 0}
    sizes = rows[["image_id"]].merge(manifest.images[["image_id", "width", "height"]], on="image_id", how="left")
    width, height = (rows["x2"] - rows["x1"]).to_numpy(), (rows["y2"] - rows["y1"]).to_numpy()
    share = width * height / (sizes["width"] * sizes["height"]).to_numpy()
    low, middle, high = np.quantile(share, (0.25, 0.5, 0.75))
    flat, usual, tall = np.quantile(width / height, (0.25, 0.5, 0.75))
    return {
        "boxes": len(rows),
        "share_25": float(low),
        "share_50": float(middle),
        "share_75": float(high),
        "aspect_25": float(flat),
        "aspect_50": float(usual),
        "aspect_75": float(tall),
        "tiny": int((share < TINY_SHARE).sum()),
        "one_of_several_readers": int(((rows["votes"] == 1) & (rows["n_readers"] > 1)).sum()),
    }


def _agreement(reader_boxes: pd.DataFrame, looked: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Finding by finding, for of each only those count who looked for it."""
    agreement = {}
    for finding, part in reader_boxes.groupby("finding"):
        who = looked.loc[looked["finding"] == finding, ["image_id", "reader"]]
        (row,) = reader_agreement(part, who, AGREE_IOU).to_dict("records")
        if row["boxes"]:
            agreement[str(finding)] = {name: row[name] for name in ("images", "boxes", "f1", "f1_low", "f1_high")}
    return agreement


def _together(images: pd.DataFrame, keys: tuple[str, ...]) -> dict[str, dict[str, int]]:
    there = np.array(
        [images[f"presence_{key}"].isin([Presence.BOXED.value, Presence.PRESENT.value]).to_numpy() for key in keys],
        dtype=np.int64,
    )
    both = there @ there.T
    return {
        key: {other: int(n) for other, n in zip(keys, row, strict=True)} for key, row in zip(keys, both, strict=True)
    }


def _leaks(images: pd.DataFrame) -> dict[str, int]:
    dealt = images[images["split"] != Split.ASIDE.value]
    return {
        "patients in two splits": _in_two_splits(dealt, "patient"),
        "pictures in two splits, pixel by pixel": _in_two_splits(dealt, "sha256"),
    }


def _in_two_splits(dealt: pd.DataFrame, what: str) -> int:
    pairs = dealt[[what, "split"]].drop_duplicates()
    return int(pairs[what][pairs[what].duplicated()].nunique())
