"""Does a map depend on what the network learned? Adebayo et al., 2018, Sanity Checks for Saliency Maps, section 3.

A map that stays the same when the weights are thrown away shows the picture's edges, not the network's reasons.
Needs torch.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from boxray.classification.layers import find_layer, layer_maps
from boxray.core.arrays import FloatArray


def map_change_when_randomized(
    network: nn.Module,
    pixels: torch.Tensor,
    method: str = "grad_cam",
    *,
    part: str | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> FloatArray:
    """Rank correlation of each map before and after the weights are shuffled.

    Args:
        network: Gives logits ``(B, F)``; a copy of it is shuffled.
        pixels: Shape ``(B, 3, S, S)``, what the network takes.
        method: Of `boxray.classification.explain.GRADIENT_METHODS`.
        part: Dotted name of what is shuffled, such as ``head``; None means all.
        layer: As `layer_maps` has it.
        seed: Of the shuffling.

    Returns:
        Shape ``(B, F)``, Spearman's, in [-1, 1]. Near 0: the map follows the weights. Near 1: it does not see them,
        as Eigen-CAM does not see the head. 0 where the map has no order any more (all zeros, say), NaN where it had
        none before, so that nothing could change.

    Raises:
        ModelError: If there is no such part or layer.
        ValueError: If there is no such method.
    """
    before = layer_maps(network, pixels, (method,), layer)[method]
    after = layer_maps(with_shuffled_weights(network, part, seed), pixels, (method,), layer)[method]
    correlations = np.full(before.shape[:2], np.nan)
    for place in np.ndindex(correlations.shape):
        if np.ptp(before[place]) > 0:
            correlations[place] = rank_correlation(before[place], after[place]) if np.ptp(after[place]) > 0 else 0.0
    return correlations


def with_shuffled_weights(network: nn.Module, part: str | None = None, seed: int = 0) -> nn.Module:
    """A copy in which each tensor's numbers stand in another order.

    So every layer keeps the distribution of its weights, and the signal about its size through fifty layers, but what
    was learned is gone. New random numbers of another size would change more than that.

    Raises:
        ModelError: If there is no such part.
    """
    copy = deepcopy(network)
    shuffled = copy if part is None else find_layer(copy, part)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in shuffled.parameters():
            order = torch.randperm(weights.numel(), generator=draw).to(weights.device)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return copy


def rank_correlation(one: FloatArray, other: FloatArray) -> float:
    """Spearman's coefficient of two arrays of one shape, ties at their mean rank; NaN if one has a single value."""
    ranks = np.stack([_ranks(one.ravel()), _ranks(other.ravel())])
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(axis=1))
    return float(ranks[0] @ ranks[1] / lengths.prod()) if lengths.all() else float("nan")


def _ranks(values: FloatArray) -> FloatArray:
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(times) - (times - 1) / 2)[place]
    return ranks
