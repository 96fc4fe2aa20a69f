"""From presence to targets: 1, 0, or no part in the loss at all."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.findings import Presence
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule


def targets_and_weights(
    manifest: Manifest, assumption_weight: float, *, unknown_is_absent: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Two arrays of shape ``(N, F)``: the target (0 or 1), and its weight in [0, 1].

    Boxed and present are 1, absent is 0; an absence that a card only assumes weighs less; what is
    unknown weighs nothing, so that its target does not matter; or, to measure what that is worth, as much as absent.
    """
    keys = manifest.label_space.keys
    presence = np.stack([manifest.images[f"presence_{key}"].to_numpy() for key in keys], axis=1)
    rule = np.stack([manifest.images[f"rule_{key}"].to_numpy() for key in keys], axis=1)
    targets = np.isin(presence, [Presence.BOXED.value, Presence.PRESENT.value]).astype(np.float32)
    weights = np.ones(presence.shape, dtype=np.float32)
    if not unknown_is_absent:
        weights[presence == Presence.UNKNOWN.value] = 0
    weights[rule == Rule.ASSUMPTION.value] *= assumption_weight
    return targets, weights


def trained_findings(targets: FloatArray, weights: FloatArray, label_space_keys: tuple[str, ...]) -> tuple[str, ...]:
    """Findings with at least one known positive and one known negative: all that can be learned."""
    known = weights > 0
    learnable = ((targets == 1) & known).any(axis=0) & ((targets == 0) & known).any(axis=0)
    return tuple(key for key, ok in zip(label_space_keys, learnable, strict=True) if ok)
