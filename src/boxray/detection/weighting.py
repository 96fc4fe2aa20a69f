"""What each image may teach about each finding: the weight of a cell in the classification loss.

Boxed and absent count in full, an assumed absence counts less, and what is unknown, or present without
a box, counts nothing: neither as a finding nor as background. (Image-level learning from PRESENT is
another matter; here it is left out of the loss.)
"""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.findings import Presence
from boxray.data.draw import draw_at_most
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.recipe import DetectionRecipe


def cell_weights(manifest: Manifest, recipe: DetectionRecipe) -> FloatArray:
    """Shape ``(N, F)`` in [0, 1]: images in the manifest's order, findings in the label space's."""
    columns = []
    for key in manifest.label_space.keys:
        presence = manifest.images[f"presence_{key}"]
        assumed = manifest.images[f"rule_{key}"] == Rule.ASSUMPTION.value
        weight = presence.isin([Presence.BOXED.value, Presence.ABSENT.value]).astype(float)
        columns.append(weight.where(~assumed, weight * recipe.assumption_weight))
    if recipe.unknown == "background":
        return np.ones((len(manifest.images), len(manifest.label_space)))
    return np.stack([column.to_numpy() for column in columns], axis=1)


def boxed_findings(manifest: Manifest) -> tuple[str, ...]:
    """The findings with at least one box: all that a detector trained on this can be asked about."""
    there = set(manifest.boxes["finding"])
    return tuple(key for key in manifest.label_space.keys if key in there)


def draw_images(manifest: Manifest, recipe: DetectionRecipe) -> Manifest:
    """The training images of the recipe: at most so many a source, drawn with its seed.

    Images whose every boxable finding is unknown teach nothing and are left out.
    """
    boxable = [manifest.label_space.index(key) for key in boxed_findings(manifest)]
    teaches = cell_weights(manifest, recipe)[:, boxable].max(axis=1, initial=0) > recipe.assumption_weight
    return draw_at_most(manifest, recipe.at_most, recipe.seed, teaches)


def repeats(manifest: Manifest, recipe: DetectionRecipe) -> list[int]:
    """How often each image is shown in an epoch, in the manifest's order."""
    counts = np.ones(len(manifest.images), dtype=int)
    for finding, times in recipe.repeat.items():
        boxed = manifest.images[f"presence_{finding}"] == Presence.BOXED.value
        counts[boxed.to_numpy()] = np.maximum(counts[boxed.to_numpy()], times)
    shown: list[int] = counts.tolist()
    return shown
