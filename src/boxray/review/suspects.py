"""Which annotations are probably wrong, as the detector sees it: a box shifted, one too many or too few, misnamed.

A detector that is right half of the time cannot be believed box by box. So it is asked a question that can be checked:
which boxes look like boxes that we have moved, or given another finding, ourselves? Copies of the set's boxes are
spoiled on purpose, a model learns to tell them from those that stand there, and its answer for the latter is their
suspicion. The real errors among them are few and do it little harm (as in confident learning: Northcutt et al., 2021,
JAIR 70). What is missing is a detection of high probability where somebody looked and nobody drew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray, IntArray
from boxray.core.boxes import as_xyxy, box_iou, clip_boxes
from boxray.core.findings import Presence
from boxray.data.manifest import CORNERS, Manifest
from boxray.review.readings import Said

COLUMNS: Final = ["image_id", "finding", "kind", "suspicion", *CORNERS]
"""Of what `suspects` gives. `kind` is ``box`` for a box that stands there, ``missing`` for a place without one."""

_FEWEST: Final = 30
"""Boxes below which nothing can be learned, and the detector is believed as it is."""
_WRONG: Final = 0.15
"""Share of a set's boxes that is taken to be wrong before anything is looked at; the order does not depend on it."""
_NEAR: Final = 0.3
"""Overlap from which a detection means the same place as a box."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The detections of one image: their boxes, scores and findings."""

    boxes_xyxy: FloatArray
    scores: FloatArray
    findings: FloatArray
    """Indices into the label space."""
    size_wh: tuple[int, int]


def suspects(manifest: Manifest, said: Mapping[str, Said], seed: int = 0) -> pd.DataFrame:
    """Every box of the assessed findings and every place where one may be missing, by falling suspicion.

    Args:
        manifest: The images and the boxes that are doubted.
        said: Readings by image id; images without are left out.
        seed: Of the spoiling.

    Returns:
        `COLUMNS`; `suspicion` in [0, 1]. Findings that the detector does not assess are not in it.
    """
    keys = manifest.label_space.keys
    seen = _seen(manifest, said)
    assessed = _assessed(keys, said)
    boxes = manifest.boxes[manifest.boxes["image_id"].isin(seen) & manifest.boxes["finding"].isin(assessed)]
    boxes = boxes.reset_index(drop=True)
    doubt = _doubt(boxes, seen, keys, seed)
    standing = boxes[["image_id", "finding", *CORNERS]].assign(kind="box", suspicion=doubt)
    missing = _missing(manifest, boxes, seen, assessed)
    table = pd.concat([standing, missing], ignore_index=True)[COLUMNS]
    return table.sort_values("suspicion", ascending=False, kind="stable", ignore_index=True)


def by_image(table: pd.DataFrame) -> pd.Series:
    """Image id -> how probable it is that at least one annotation of it is wrong, by falling probability."""
    fine = 1 - table["suspicion"].clip(0, 1 - 1e-9)
    joined = 1 - np.exp(np.log(fine).groupby(table["image_id"]).sum())
    return pd.Series(joined).sort_values(ascending=False, kind="stable")


def _assessed(keys: Sequence[str], said: Mapping[str, Said]) -> list[str]:
    silent = set.intersection(*(set(each.not_assessed) for each in said.values())) if said else set(keys)
    return [key for key in keys if key not in silent]


def _seen(manifest: Manifest, said: Mapping[str, Said]) -> dict[str, _Seen]:
    space, found = manifest.label_space, {}
    images = manifest.images
    for image, width, height in zip(images["image_id"], images["width"], images["height"], strict=True):
        each = said.get(image)
        if each is None or each.status != "RESULT":
            continue
        dets = each.detections
        found[image] = _Seen(
            as_xyxy([det.box for det in dets]),
            np.array([det.score for det in dets], dtype=np.float64),
            np.array([space.index(det.finding) for det in dets], dtype=np.float64),
            (int(width), int(height)),
        )
    return found


def _features(box: FloatArray, finding: int, image: _Seen, others: FloatArray) -> list[float]:
    """What speaks for and against one box: numbers in [0, 1] but for the finding."""
    overlap = box_iou(box[None], image.boxes_xyxy)[0] if len(image.scores) else np.zeros(0)
    own = image.findings == finding
    weighed = image.scores * overlap
    best = int(np.argmax(weighed * own)) if own.any() else -1
    width, height = image.size_wh
    sides = (box[2:] - box[:2]) / (width, height)
    return [
        finding,
        float((weighed * own).max(initial=0)),
        float(overlap[best]) if best >= 0 else 0.0,
        float(image.scores[best]) if best >= 0 else 0.0,
        float((image.scores * own * (overlap >= 0.5)).max(initial=0)),
        float((image.scores * own * ((overlap > 0.05) & (overlap < 0.5))).max(initial=0)),
        float((image.scores * own).max(initial=0)),
        float((image.scores * ~own * (overlap >= 0.4)).max(initial=0)),
        float((image.scores * ~own).max(initial=0)),
        float(overlap.max(initial=0)),
        float(box_iou(box[None], others)[0].max(initial=0)) if len(others) else 0.0,
        float(len(others)),
        *(float(value) for value in sides),
        *(float(value) for value in (box[:2] + box[2:]) / 2 / (width, height)),
    ]


def _doubt(boxes: pd.DataFrame, seen: Mapping[str, _Seen], keys: Sequence[str], seed: int) -> FloatArray:
    """Shape ``(N,)`` in [0, 1]: how much each box looks like a spoiled one."""
    corners = boxes[CORNERS].to_numpy(dtype=np.float64)
    finding = np.array([keys.index(key) for key in boxes["finding"]], dtype=np.intp)
    images = boxes["image_id"].to_numpy()
    rows_of = {image: np.asarray(rows) for image, rows in boxes.groupby("image_id").indices.items()}

    def rows(at: FloatArray, of: IntArray) -> FloatArray:
        made = []
        for place in range(len(at)):
            others = rows_of[images[place]]
            made.append(_features(at[place], int(of[place]), seen[images[place]], corners[others[others != place]]))
        return np.array(made, dtype=np.float64)

    as_they_are = rows(corners, finding) if len(boxes) else np.empty((0, 16))
    if len(boxes) < _FEWEST:
        return 1 - as_they_are[:, 4] if len(boxes) else np.empty(0)
    rng = np.random.default_rng(seed)
    moved = np.stack([shifted(box, seen[image].size_wh, rng) for box, image in zip(corners, images, strict=True)])
    there = np.unique(finding)
    renamed = np.array([rng.choice(there[there != own]) if len(there) > 1 else own for own in finding])
    spoiled = [rows(moved, finding)] + ([rows(corners, renamed)] if len(there) > 1 else [])
    return _told_apart(as_they_are, np.concatenate(spoiled), np.tile(np.arange(len(boxes)), len(spoiled)), seed)


def shifted(box: FloatArray, size_wh: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """A box moved by a third to a whole of its sides in some direction, within the picture."""
    sides = box[2:] - box[:2]
    angle = rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle)]) * sides * rng.uniform(0.35, 1.0)
    low = np.clip(box[:2] + way, 0, np.array(size_wh, dtype=np.float64) - sides)
    moved: FloatArray = clip_boxes(np.concatenate([low, low + sides])[None], size_wh)[0]
    return moved


def _told_apart(fine: FloatArray, spoiled: FloatArray, owner: IntArray, seed: int) -> FloatArray:
    """Probability of being spoiled for each of `fine`, from a model that has seen neither that box nor its copies."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    fold = np.random.default_rng(seed).integers(0, 5, len(fine))
    probability = np.zeros(len(fine))
    for held in range(5):
        out = fold == held
        features = np.concatenate([fine[~out], spoiled[~out[owner]]])
        truth = np.concatenate([np.zeros((~out).sum()), np.ones((~out[owner]).sum())])
        if not out.any():
            continue
        model = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.08, random_state=seed, max_leaf_nodes=15)
        odds = model.fit(features, truth).predict_proba(fine[out])[:, 1]
        # As many were spoiled as there are, or twice as many; of those that stand there some in a hundred are wrong.
        odds = _WRONG * odds / np.maximum(1 - odds, 1e-9) * (1 - truth).sum() / truth.sum()
        probability[out] = odds / (1 + odds)
    return probability


def _missing(
    manifest: Manifest, boxes: pd.DataFrame, seen: Mapping[str, _Seen], assessed: Sequence[str]
) -> pd.DataFrame:
    """Detections where the readers looked for the finding and drew nothing near."""
    keys = manifest.label_space.keys
    drawn = {key: part[CORNERS].to_numpy(dtype=np.float64) for key, part in boxes.groupby(["image_id", "finding"])}
    there = {Presence.BOXED.value, Presence.ABSENT.value}
    looked = {key: manifest.images[f"presence_{key}"].isin(there).to_numpy() for key in assessed}
    made = []
    for place, image in enumerate(manifest.images["image_id"]):
        here = seen.get(image)
        if here is None:
            continue
        for key in assessed:
            index = keys.index(key)
            if not looked[key][place]:
                continue
            own = here.findings == index
            if not own.any():
                continue
            readers = drawn.get((image, key), np.empty((0, 4)))
            near = box_iou(here.boxes_xyxy[own], readers).max(axis=1, initial=0)
            for score, box, overlap in zip(here.scores[own], here.boxes_xyxy[own], near, strict=True):
                if overlap < _NEAR and score >= 0.05:
                    made.append((image, key, "missing", float(score), *box.tolist()))
    # Without a row its columns would be of no type, and with it those of all suspects.
    return pd.DataFrame(made, columns=COLUMNS).astype(dict.fromkeys(("suspicion", *CORNERS), "float64"))
