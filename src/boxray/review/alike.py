"""Films of two patients that look like one: what the build's `boxray.data.likeness` found too unlike to be copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from boxray.core.arrays import ByteArray, IntArray
from boxray.data.likeness import AT_MOST_BITS, SIDE_PX, candidate_pairs, confirm, fingerprint_of
from boxray.data.manifest import Manifest

FROM: Final = 0.6
"""Correlation from which a pair is shown. From 0.9 on the build has merged them; see `boxray.data.likeness.ALIKE_FROM`
for what lies between: the highest of two patients that are named, 0.70."""


def near_copies_of_others(manifest: Manifest, cache: Path, progress: Callable[[], None] = lambda: None) -> pd.DataFrame:
    """For each image that has one: the film of another patient that looks most like it.

    Args:
        manifest: The images.
        cache: A ``.npz`` file of fingerprints by the pictures' hashes; made, and added to.
        progress: Called after each picture, known ones included.

    Returns:
        Columns `image_id`, `other` and `alike`, the correlation in [`FROM`, 1].
    """
    hashes, thumbnails = _fingerprints(manifest, cache, progress)
    pairs = candidate_pairs(hashes, AT_MOST_BITS)
    patients = manifest.images["patient"].to_numpy()
    pairs = pairs[patients[pairs[:, 0]] != patients[pairs[:, 1]]]
    alike = confirm(thumbnails[pairs[:, 0]], thumbnails[pairs[:, 1]])
    kept = alike >= FROM
    ids = manifest.images["image_id"].to_numpy()
    both = np.concatenate([pairs[kept], pairs[kept][:, ::-1]])
    table = pd.DataFrame(
        {"image_id": ids[both[:, 0]], "other": ids[both[:, 1]], "alike": np.tile(alike[kept], 2)}
    ).sort_values("alike", ascending=False, kind="stable")
    return table.drop_duplicates("image_id").reset_index(drop=True)


def _fingerprints(manifest: Manifest, cache: Path, progress: Callable[[], None]) -> tuple[IntArray, ByteArray]:
    """Shapes ``(N,)``, uint64, and ``(N, SIDE_PX, SIDE_PX)``, in the manifest's order."""
    known: dict[str, tuple[np.uint64, ByteArray]] = {}
    if cache.is_file():
        with np.load(cache) as kept:
            known = {
                name: (hash64, thumbnail)
                for name, hash64, thumbnail in zip(kept["sha256"], kept["hashes"], kept["thumbnails"], strict=True)
            }
    wanted = manifest.images["sha256"].to_numpy()
    before = len(known)
    for picture, sha256 in zip(manifest.images["picture"], wanted, strict=True):
        if sha256 not in known:
            grey = np.rint(manifest.radiograph(picture).pixels * 255).astype(np.uint8)
            made = fingerprint_of(grey)
            known[sha256] = made.hash64, made.thumbnail
        progress()
    if len(known) > before:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            cache,
            sha256=np.array(list(known)),
            hashes=np.array([each[0] for each in known.values()], dtype=np.uint64),
            thumbnails=np.stack([each[1] for each in known.values()]),
        )
    hashes: IntArray = np.array([known[name][0] for name in wanted], dtype=np.uint64)
    thumbnails = np.stack([known[name][1] for name in wanted]) if len(wanted) else np.empty((0, SIDE_PX, SIDE_PX))
    return hashes, thumbnails.astype(np.uint8)
