"""The questions that a reviewer's time is worth, answered as numbers per image: the higher, the sooner to be looked at.

Only findings for which somebody looked can be missed or overdone: UNKNOWN never counts. What the detector was never
trained to box is asked of the classifier alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from boxray.core.arrays import FloatArray
from boxray.core.boxes import as_xyxy
from boxray.core.findings import Presence
from boxray.core.metrics import match_image
from boxray.core.reading import Case
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.review.readings import Said
from boxray.review.shown import reader_boxes
from boxray.review.suspects import by_image, suspects

MISSED: Final = "missed_boxes"
FALSE: Final = "false_positive"
DISAGREE: Final = "readers_disagree"
MAP: Final = "box_against_map"
DOUBT: Final = "label_error"
DRAW: Final = "to_draw"
QUESTIONS: Final = (MISSED, FALSE, DISAGREE, MAP, DOUBT, DRAW)
ASK: Final = "ask_"
"""Begins the columns that rank, for each finding, the images most worth asking about: 1 is the first."""

READERS_AGREE_IOU: Final = 0.4
"""As `boxray.data.audit.AGREE_IOU`."""
MOST_ASKED: Final = 100
"""Images per finding: some evenings of work."""
_HIT_IOU: Final = 0.5


def answers(manifest: Manifest, said: Mapping[str, Said]) -> pd.DataFrame:
    """One row an image, in the manifest's order, with the columns named above; NaN where a question does not arise.

    Args:
        manifest: The images, their boxes, and what is known.
        said: Readings by image id; without one, what asks a model stays NaN.
    """
    ids = manifest.images["image_id"]
    table = pd.DataFrame({"image_id": ids})
    missed, false = _misses(manifest, said)
    doubt = by_image(suspects(manifest, said)) if said else pd.Series(dtype=float)
    columns = {
        MISSED: missed,
        FALSE: false,
        DISAGREE: _disagreement(manifest),
        MAP: {image: value for image in ids if (value := _against_map(said.get(image))) is not None},
        DOUBT: doubt.to_dict(),
        DRAW: _to_draw(manifest, said),
    }
    for name, values in columns.items():
        table[name] = ids.map(values).astype(float)
    for key in manifest.label_space.keys:
        table[f"{ASK}{key}"] = ids.map(worth_asking(manifest, said, key)).astype(float)
    return table


def _misses(manifest: Manifest, said: Mapping[str, Said]) -> tuple[dict[str, float], dict[str, float]]:
    """How many readers' boxes the detector missed, and the score of its surest box that no reader drew."""
    missed: dict[str, float] = {}
    false: dict[str, float] = {}
    none = np.empty((0, 4))
    for key in manifest.label_space.keys:
        truth_of = manifest.boxes_of(key)
        images = manifest.images
        columns = (images["image_id"], images[f"presence_{key}"], images[f"rule_{key}"])
        for image, presence, rule in zip(*columns, strict=True):
            each = said.get(image)
            if each is None or each.status != "RESULT" or key in each.not_assessed:
                continue
            if presence not in {Presence.BOXED.value, Presence.ABSENT.value} or rule == Rule.ASSUMPTION.value:
                continue
            dets = [det for det in each.speaking() if det.finding == key]
            truth = truth_of.get(image, none)
            scores = np.array([det.score for det in dets], dtype=np.float64)
            hits = match_image(as_xyxy([det.box for det in dets]), scores, truth, _HIT_IOU)
            if len(truth) > hits.sum():
                missed[image] = missed.get(image, 0) + float(len(truth) - hits.sum())
            if (~hits).any():
                false[image] = max(false.get(image, 0.0), float(scores[~hits].max()))
    return missed, false


def _disagreement(manifest: Manifest) -> dict[str, float]:
    """1 - F1 of the readers of an image, over the findings that both of a pair box anywhere; several readers only."""
    drawn = reader_boxes(manifest)
    looks_for = {reader: {finding for boxes in of.values() for finding, _, _ in boxes} for reader, of in drawn.items()}
    found: dict[str, float] = {}
    images = manifest.images
    for image, readers in zip(images["image_id"], images["readers"], strict=True):
        names = str(readers).split()
        if len(names) < 2:
            continue
        n_boxes = n_matched = 0
        for one, other in combinations(names, 2):
            for key in looks_for.get(one, set()) & looks_for.get(other, set()):
                mine, theirs = (
                    np.array([box for finding, box, _ in drawn[who].get(image, []) if finding == key]).reshape(-1, 4)
                    for who in (one, other)
                )
                n_boxes += len(mine) + len(theirs)
                n_matched += int(match_image(mine, np.ones(len(mine)), theirs, READERS_AGREE_IOU).sum())
        if n_boxes:
            found[image] = 1 - 2 * n_matched / n_boxes
    return found


def _against_map(said: Said | None) -> float | None:
    """How far box and map contradict each other, in [0, 1], for the finding where they do so most."""
    if said is None or not said.agreement:
        return None
    worst = 0.0
    for key, row in said.agreement.items():
        score = said.scores.get(key, 0.0)
        best = max((det.score for det in said.detections if det.finding == key), default=0.0)
        if row["case"] == Case.BOTH.value:
            inside = float(row["energy_inside"] or 0.0)
            value = (1 - inside) * (1.0 if not row["pointing_hit"] else 0.5)
        elif row["case"] == Case.BOX_ONLY.value:
            value = best * (1 - score)
        else:
            value = score * (1 - best) if row["case"] == Case.MAP_ONLY.value else 0.0
        worst = max(worst, value)
    return worst


def _to_draw(manifest: Manifest, said: Mapping[str, Said]) -> dict[str, float]:
    """Images where a finding is there and nobody drew it: by the score of the box that could be accepted."""
    found: dict[str, float] = {}
    for key in manifest.label_space.keys:
        there = manifest.images[f"presence_{key}"] == Presence.PRESENT.value
        for image in manifest.images["image_id"][there]:
            each = said.get(image)
            dets = each.detections if each else ()
            best = max((det.score for det in dets if det.finding == key), default=0.0)
            found[image] = max(found.get(image, 0.0), best)
    return found


def worth_asking(manifest: Manifest, said: Mapping[str, Said], key: str, most: int = MOST_ASKED) -> dict[str, float]:
    """Where a finding is unknown: the images from whose answer most is learned; 1 is the first.

    Each next one is the image whose uncertainty times its distance from all that were chosen before is the greatest:
    uncertain ones that look alike are asked once (k-centre, Sener and Savarese, ICLR 2018, weighed by the entropy).

    Args:
        manifest: The images.
        said: Their readings; the classifier's score is the uncertainty, the detector's features the distance. Without
            features uncertainty alone decides.
        key: Of the finding.
        most: How many.
    """
    unknown = manifest.images["image_id"][manifest.images[f"presence_{key}"] == Presence.UNKNOWN.value]
    asked = [image for image in unknown if key in getattr(said.get(image), "scores", {})]
    if not asked:
        return {}
    entropy = _entropy(np.array([said[image].scores[key] for image in asked], dtype=np.float64))
    features = features_of(asked, said)
    if features is None:
        order = np.argsort(-entropy, kind="stable")[:most].tolist()
    else:
        order = _spread(entropy, features, min(most, len(asked)))
    return {asked[place]: float(rank) for rank, place in enumerate(order, start=1)}


def features_of(images: Sequence[str], said: Mapping[str, Said]) -> FloatArray | None:
    """Shape ``(N, C)``, rows of length 1; None where one image has none."""
    rows = [said[image].features if image in said else None for image in images]
    if not rows or any(row is None for row in rows):
        return None
    stacked = np.stack([row for row in rows if row is not None]).astype(np.float32)
    lengths: FloatArray = stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-9)
    return lengths


def _entropy(probability: FloatArray) -> FloatArray:
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    bits: FloatArray = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return bits


def _spread(weight: FloatArray, features: FloatArray, most: int) -> list[int]:
    chosen = [int(np.argmax(weight))]
    distance = 1 - features @ features[chosen[0]]
    while len(chosen) < most:
        worth = weight * distance
        worth[chosen] = -1
        chosen.append(int(np.argmax(worth)))
        distance = np.minimum(distance, 1 - features @ features[chosen[-1]])
    return chosen
