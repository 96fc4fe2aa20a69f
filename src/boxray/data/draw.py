"""Drawing a part of a manifest, and hiding a part of its labels: the same every time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.errors import RecipeError
from boxray.core.findings import Presence
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule


def draw_at_most(
    manifest: Manifest, at_most: Mapping[str, int], seed: int, eligible: BoolArray | None = None
) -> Manifest:
    """The eligible images, but of each source that `at_most` names only so many.

    Args:
        manifest: To draw from.
        at_most: Images per source; sources that are not in it are kept whole.
        seed: Decides which ones.
        eligible: Shape ``(N,)``; None means all.
    """
    n_images = len(manifest.images)
    keep = np.ones(n_images, dtype=bool) if eligible is None else eligible.copy()
    rng = np.random.default_rng(seed)
    for source, limit in sorted(at_most.items()):
        of_source = np.flatnonzero(keep & (manifest.images["source"] == source).to_numpy())
        keep[rng.permutation(of_source)[limit:]] = False
    return manifest.only(pd.Series(keep, index=manifest.images.index))


def hide_findings(
    manifest: Manifest, shares: Mapping[str, float], seed: int, look: FloatArray | None = None
) -> Manifest:
    """A manifest in which nobody knows of a finding in a share of the images: its boxes go, its presence is UNKNOWN.

    For experiments in which the truth must be known: what was hidden stands in the manifest that was given.

    Args:
        manifest: Not changed.
        shares: Finding to the share of patients for whom it is hidden, in [0, 1]: of those in whom it is boxed,
            and as large a share of the others, so that few boxes are still halved exactly.
        seed: Decides which ones. For each finding the patients are drawn apart from the other findings'.
        look: Shape ``(N,)``, a number of each image. The patients of each source whose films have the highest are taken
            in place of random ones, as where those whom nobody looked at look different, too.

    Raises:
        RecipeError: If the label space has no such finding.
    """
    images, boxes = manifest.images.copy(), manifest.boxes
    for finding, share in sorted(shares.items()):
        if finding not in manifest.label_space:
            raise RecipeError(f"hide: {finding!r} is none of the findings {', '.join(manifest.label_space.keys)}")
        rng = np.random.default_rng([seed, manifest.label_space.index(finding)])
        with_box = images["presence_" + finding] == Presence.BOXED.value
        boxed = set(images["patient"][with_box])
        hidden = _drawn(images, boxed, share, rng) if look is None else _highest(images, boxed, share, look)
        concerned = images["patient"].isin(hidden)
        images.loc[concerned, f"presence_{finding}"] = Presence.UNKNOWN.value
        images.loc[concerned, f"rule_{finding}"] = Rule.NONE.value
        gone = boxes["image_id"].isin(images["image_id"][concerned]) & (boxes["finding"] == finding)
        boxes = boxes[~gone].reset_index(drop=True)
    return Manifest(manifest.folder, manifest.label_space, images, boxes)


def _drawn(images: pd.DataFrame, boxed: set[str], share: float, rng: np.random.Generator) -> set[str]:
    """A share of the boxed patients, and as large a one of the others."""
    hidden: set[str] = set()
    for group in (boxed, set(images["patient"]) - boxed):
        drawn = rng.permutation(np.array(sorted(group), dtype=object))
        hidden |= set(drawn[: round(share * len(drawn))])
    return hidden


def _highest(images: pd.DataFrame, boxed: set[str], share: float, look: FloatArray) -> set[str]:
    """The same shares of each source, of those whose images look most so on the mean."""
    shown = images[["patient", "source"]].assign(look=look, boxed=images["patient"].isin(boxed))
    patients = shown.groupby("patient").agg({"source": "first", "boxed": "first", "look": "mean"})
    alike = patients.groupby(["source", "boxed"])["look"]
    place = alike.rank(method="first", ascending=False)
    return set(patients.index[place <= (share * alike.transform("size")).round()])
