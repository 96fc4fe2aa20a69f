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
        as Eigen-CAM does not see the head. NaN where a map is the same everywhere, so that it has no order.

    Raises:
        ModelError: If there is no such part or layer.
        ValueError: If there is no such method.
    """
    before = layer_maps(network, pixels, (method,), layer)[method]
    after = layer_maps(with_shuffled_weights(network, part, seed), pixels, (method,), layer)[method]
    pairs = zip(before.reshape(-1, before[0, 0].size), after.reshape(-1, before[0, 0].size), strict=True)
    return np.array([rank_correlation(one, other) for one, other in pairs]).reshape(before.shape[:2])


def with_shuffled_weights(network: nn.Module, part: str | None = None, seed: int = 0) -> nn.Module:
    """A copy in which each tensor's numbers stand in another order.

    So every layer keeps the distribution of its weights, and the signal its size through fifty layers, but what was
    learned is gone: a stricter change of the answer alone than new random numbers of another size.

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
