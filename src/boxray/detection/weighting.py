"""What each image may teach about each finding, and how often it is shown.

Boxed and absent count in full, an assumed absence counts less. What is unknown counts nothing, neither as a
finding nor as background. What is present without a box is no background either; it has a loss of its own,
over the whole film (`boxray.detection.partial_loss`).
"""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.errors import RecipeError
from boxray.core.findings import Presence
from boxray.data.draw import draw_at_most
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.recipe import DetectionRecipe


def cell_weights(manifest: Manifest, recipe: DetectionRecipe) -> FloatArray:
    """Shape ``(N, F)`` in [0, 1]: images in the manifest's order, findings in the label space's."""
    if not recipe.partial_labels:
        return np.ones((len(manifest.images), len(manifest.label_space)))
    return _known(manifest, recipe.assumption_weight)


def present_cells(manifest: Manifest, recipe: DetectionRecipe) -> BoolArray:
    """Shape ``(N, F)``: where a finding is present and nobody drew a box; nowhere where partial labels are off."""
    return _present(manifest) & recipe.partial_labels


def boxed_findings(manifest: Manifest) -> tuple[str, ...]:
    """The findings with at least one box: all that a detector trained on this can be asked about."""
    there = set(manifest.boxes["finding"])
    return tuple(key for key in manifest.label_space.keys if key in there)


def draw_images(manifest: Manifest, recipe: DetectionRecipe) -> Manifest:
    """The training images of the recipe: at most so many a source, drawn with its seed.

    Images in which nobody looked for any boxable finding are left out. They are the same images whether partial
    labels are on or off, so that the two can be compared.
    """
    boxable = [manifest.label_space.index(key) for key in boxed_findings(manifest)]
    teaches = _known(manifest, 0.0)[:, boxable].max(axis=1, initial=0) > 0
    if recipe.present_weight > 0:
        teaches |= _present(manifest)[:, boxable].any(axis=1)
    return draw_at_most(manifest, recipe.at_most, recipe.seed, teaches)


def repeats(manifest: Manifest, recipe: DetectionRecipe) -> IntArray:
    """How often each image is shown in an epoch, shape ``(N,)``, before sources are weighed."""
    counts = np.ones(len(manifest.images), dtype=int)
    for finding, times in recipe.repeat.items():
        boxed = (manifest.images[f"presence_{finding}"] == Presence.BOXED.value).to_numpy()
        counts[boxed] = np.maximum(counts[boxed], times)
    return counts


def showings(manifest: Manifest, recipe: DetectionRecipe) -> list[IntArray]:
    """One item per showing of an epoch: the images of which one is drawn for it, by their place in the manifest.

    Where the recipe does not weigh a source, each showing has one image to draw from.

    Raises:
        RecipeError: If `sampling` names a source of which there is no image.
    """
    times = repeats(manifest, recipe)
    sources = manifest.images["source"].to_numpy()
    missing = sorted(set(recipe.sampling) - set(sources))
    if missing:
        raise RecipeError(
            f"sampling: there are no training images of {missing}; the sources are {sorted(set(sources))}"
        )
    shown: list[IntArray] = []
    for source in dict.fromkeys(sources):
        places = np.flatnonzero(sources == source)
        repeated = np.repeat(places, times[places])
        weight = recipe.sampling.get(source)
        if weight is None:
            shown += list(repeated[:, None])
        else:
            shown += [repeated] * max(1, round(weight * len(repeated)))
    return shown


def _present(manifest: Manifest) -> BoolArray:
    columns = [manifest.images[f"presence_{key}"] == Presence.PRESENT.value for key in manifest.label_space.keys]
    present: BoolArray = np.stack([column.to_numpy(dtype=bool) for column in columns], axis=1)
    return present


def _known(manifest: Manifest, assumption_weight: float) -> FloatArray:
    columns = []
    for key in manifest.label_space.keys:
        presence = manifest.images[f"presence_{key}"]
        assumed = manifest.images[f"rule_{key}"] == Rule.ASSUMPTION.value
        weight = presence.isin([Presence.BOXED.value, Presence.ABSENT.value]).astype(float)
        columns.append(weight.where(~assumed, weight * assumption_weight).to_numpy())
    return np.stack(columns, axis=1)
