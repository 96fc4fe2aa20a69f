"""The audit: every image and box that the tables name is in the manifest or counted here with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from boxray.core.errors import DataError
from boxray.core.findings import Presence
from boxray.data.card import Card
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.data.split import PARTS, Deal, Split

if TYPE_CHECKING:
    from boxray.data.merge import Merged

TINY_SHARE: Final = 0.001
"""Of the picture's area. A box below it is a slip of the mouse, or a nodule: worth a look either way."""


@dataclass(slots=True)
class SourceAudit:
    """The books of one source. Images and boxes are drawn up apart; both must close."""

    card: Card
    images_named: int = 0
    boxes_named: int = 0
    images_built: int = 0
    boxes_built: int = 0
    images_dropped: Counter[str] = field(default_factory=Counter)
    boxes_dropped: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    """What was changed but kept (a clipped box), or seen beside the tables (a picture without a row)."""

    def drop_image(self, reason: str, n_boxes: int) -> None:
        """Leave out an image and the boxes on it."""
        self.images_dropped[reason] += 1
        if n_boxes:
            self.boxes_dropped[f"on an image left out: {reason}"] += n_boxes

    def close(self) -> None:
        """Check that nothing is lost.

        Raises:
            DataError: If named differs from built plus dropped.
        """
        for what, named, built, dropped in (
            ("images", self.images_named, self.images_built, self.images_dropped),
            ("boxes", self.boxes_named, self.boxes_built, self.boxes_dropped),
        ):
            if named != built + dropped.total():
                raise DataError(
                    f"{self.card.key}: {named} {what} named, {built} built and {dropped.total()} dropped: "
                    "the importer loses some without a reason; this is a fault of the importer"
                )

    def to_json(self) -> dict[str, Any]:
        """Counts beside the card's, and a word where they differ."""
        expected = self.card.expected
        return {
            "source": self.card.key,
            "licence": self.card.licence,
            "images": self._side(expected.images, self.images_named, self.images_built, self.images_dropped),
            "boxes": self._side(expected.boxes, self.boxes_named, self.boxes_built, self.boxes_dropped),
            "remarks": dict(self.remarks.most_common()),
        }

    @staticmethod
    def _side(expected: int | None, named: int, built: int, dropped: Counter[str]) -> dict[str, Any]:
        return {
            "expected": expected,
            "named": named,
            "as_expected": expected is None or expected == named,
            "built": built,
            "dropped": dict(dropped.most_common()),
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """What is in a built set, and what is odd about it. Everything here is counted, nothing is estimated."""

    sources: dict[str, dict[str, Any]]
    """Books of each source beside its card's counts."""
    splits: dict[str, dict[str, int]]
    """Split -> images, patients and boxes."""
    presence: dict[str, dict[str, dict[str, int]]]
    """Source -> finding -> state -> images; what a card only assumes absent is a state of its own."""
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
    contradictions: dict[str, int]
    """Finding -> images of which one reading has it and another has not."""
    leaks: dict[str, int]
    """What is in two splits: all must be 0."""
    dealt: dict[str, int]
    """Patients whom the rules beyond the hash moved, by reason."""
    decoded: int
    """Files decoded anew by this build; the others are as they were."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


ASSUMED: Final = "absent by assumption"


def audit_of(
    manifest: Manifest, audits: Mapping[str, SourceAudit], merged: Merged, dealt: Deal, *, decoded: int
) -> Audit:
    """Count a built set.

    Args:
        manifest: The set.
        audits: Closed books per source.
        merged: What the copies were.
        dealt: How patients were dealt.
        decoded: Files decoded anew.
    """
    images, keys = manifest.images, manifest.label_space.keys
    of_split = manifest.boxes.merge(images[["image_id", "split"]], on="image_id")
    return Audit(
        sources={name: audit.to_json() for name, audit in audits.items()},
        splits={split.value: _size(manifest.part(split)) for split in Split},
        presence={
            name: {key: _states(part, key) for key in keys} for name, part in images.groupby("source", observed=True)
        },
        rules={key: _counts(images[f"rule_{key}"], Rule) for key in keys},
        boxes={key: _counts(of_split["split"][of_split["finding"] == key], PARTS) for key in keys},
        geometry={key: _geometry(manifest, key) for key in keys},
        together=_together(images, keys),
        copies={f"{kept} <- {gone}": n for (kept, gone), n in sorted(merged.across.items())},
        contradictions=dict(merged.contradictions.most_common()),
        leaks=_leaks(images),
        dealt=dict(dealt.remarks),
        decoded=decoded,
    )


def _size(part: Manifest) -> dict[str, int]:
    return {"images": len(part.images), "patients": part.images["patient"].nunique(), "boxes": len(part.boxes)}


def _counts(column: pd.Series, values: Any) -> dict[str, int]:
    seen = column.value_counts()
    return {value.value: int(seen.get(value.value, 0)) for value in values}


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
