"""Drawing a part of a manifest: so many images of a source, the same ones every time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from boxray.core.arrays import BoolArray
from boxray.data.manifest import Manifest


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
