"""Does a map depend on what the network learned? Adebayo et al., 2018, Sanity Checks for Saliency Maps, section 3.

A map that stays the same when the weights are thrown away shows the picture's edges, not the network's reasons.
Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from boxray.classification.explain import GRADIENT_METHODS
from boxray.classification.layers import find_layer, layer_maps
from boxray.classification.preprocess import equalized_square, network_input
from boxray.core.arrays import FloatArray
from boxray.core.frames import Letterbox
from boxray.core.radiograph import Radiograph
from boxray.weights import ModelCard

SHUFFLED: Final = {"head": "head", "all": None}
"""What is shuffled, and its part of a `PooledClassifier`: what tells findings apart, then all that was learned."""


@dataclass(frozen=True, slots=True)
class MapChange:
    """How alike a method's maps are to those of shuffled weights."""

    method: str
    shuffled: str
    """One of `SHUFFLED`."""
    maps: int
    """That could change: one for each film, finding and seed whose map was not empty before."""
    mean: float
    """Rank correlation, in [-1, 1]; NaN without a map."""
    low: float
    high: float
    """Between them lie the middle nine in ten of the maps."""


def map_changes(
    network: nn.Module,
    pixels: Iterable[torch.Tensor],
    methods: Sequence[str] = GRADIENT_METHODS,
    seeds: int = 2,
    progress: Callable[[], None] = lambda: None,
) -> list[MapChange]:
    """`map_change_when_randomized` over films, methods and seeds, with the head shuffled and with all.

    Args:
        network: A `PooledClassifier`.
        pixels: One film after the other, each of shape ``(1, 3, S, S)``: memory does not grow with them.
        methods: Of `GRADIENT_METHODS`.
        seeds: How many shufflings.
        progress: Called after each film.

    Raises:
        ModelError: If the network has no part named ``head``.
    """
    networks = {
        (shuffled, seed): with_shuffled_weights(network, part, seed)
        for shuffled, part in SHUFFLED.items()
        for seed in range(seeds)
    }
    found: dict[tuple[str, str], list[float]] = {(method, shuffled): [] for method in methods for shuffled in SHUFFLED}
    for film in pixels:
        before = layer_maps(network, film, methods)
        for (shuffled, _), other in networks.items():
            after = layer_maps(other, film, methods)
            for method in methods:
                found[method, shuffled] += _correlations(before[method], after[method]).ravel().tolist()
        progress()
    return [_map_change(method, shuffled, values) for (method, shuffled), values in found.items()]


def card_input(rad: Radiograph, card: ModelCard) -> torch.Tensor:
    """A radiograph as the classifier of the card takes it, shape ``(1, 3, S, S)``."""
    square = equalized_square(rad, Letterbox.fit(rad.size_wh, card.side_px), card.clahe)
    return torch.from_numpy(network_input(square[None]))


def _map_change(method: str, shuffled: str, correlations: Sequence[float]) -> MapChange:
    there = np.array([value for value in correlations if not np.isnan(value)])
    if not len(there):
        return MapChange(method, shuffled, 0, np.nan, np.nan, np.nan)
    low, high = np.percentile(there, (5, 95))
    return MapChange(method, shuffled, len(there), float(there.mean()), float(low), float(high))


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
    return _correlations(before, after)


def _correlations(before: FloatArray, after: FloatArray) -> FloatArray:
    """Of maps ``(B, F, h, w)``, shape ``(B, F)``."""
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
