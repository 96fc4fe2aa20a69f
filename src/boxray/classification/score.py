"""The scores of a classifier for every image of a built set: read, shrunk and run side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.protocols import Scorer
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest


def score_all(
    scorer: Scorer,
    manifest: Manifest,
    progress: Callable[[], None] = lambda: None,
    change: Callable[[Radiograph], Radiograph] = lambda rad: rad,
) -> FloatArray:
    """Shape ``(N, F)``: scores in [0, 1], in the manifest's order; NaN for findings that are not assessed.

    A classifier that was opened for many works on several images at once, and the next ones are decoded meanwhile;
    only a few are held at a time. No map is made.

    Args:
        scorer: Asked about every image.
        manifest: The images.
        progress: Called after each.
        change: Done to each radiograph first.

    Raises:
        ModelError: If the label spaces differ.
    """
    scorer.label_space.require_same(manifest.label_space)
    scores = np.full((len(manifest.images), len(manifest.label_space)), np.nan)
    radiographs = (change(manifest.radiograph(picture)) for picture in manifest.images["picture"])
    for row, answer in enumerate(scorer.score_many(radiographs)):
        for finding, score in answer.items():
            scores[row, manifest.label_space.index(finding)] = score
        progress()
    return scores
