"""A light decoder: from what the backbone sees at several sizes to two lung maps.

Each size is brought to a few channels, the coarser is laid over the finer from the coarsest on (feature pyramid, Lin et
al., CVPR 2017, section 3). On MobileNetV2 at 256 px that is 4 % of the classifier's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from boxray.classification.backbones import GraphOutputs, PooledClassifier, WithMaps
from boxray.classification.lung_field import LUNGS
from boxray.tensors import State

OUTPUTS: Final = (*GraphOutputs._fields, LUNGS)
"""Of `WithLungs`."""
N_LUNGS: Final = 2
"""Right and left."""


@dataclass(frozen=True, slots=True)
class Level:
    """The last block of a backbone that works at one size."""

    block: int
    """Its place among the backbone's blocks."""
    channels: int
    size: int
    """Cells along each side."""


def find_levels(features: nn.Sequential, side_px: int) -> tuple[Level, ...]:
    """The levels of a backbone for squares of `side_px`, fine to coarse; the last is its output.

    Sizes above a quarter of the square are left out: they show edges and cost most.
    """
    learns = features.training
    values = torch.zeros(1, 3, side_px, side_px)
    found: dict[int, Level] = {}
    with torch.no_grad():
        for number, block in enumerate(features.eval()):
            values = block(values)
            found[values.shape[-1]] = Level(number, values.shape[1], values.shape[-1])
    features.train(learns)
    *finer, last = found.values()
    return (*(level for level in finer if 4 * level.size <= side_px), last)


def at_levels(features: nn.Sequential, levels: Sequence[Level], pixels: torch.Tensor) -> list[torch.Tensor]:
    """What the backbone makes of ``(B, 3, S, S)`` at each level: ``(B, K, h, w)``."""
    outputs = []
    for block in features:
        pixels = block(pixels)
        outputs.append(pixels)
    return [outputs[level.block] for level in levels]


class LungDecoder(nn.Module):
    """Levels of a backbone to logits of the two lungs, at the size of the finest level."""

    def __init__(self, levels: Sequence[Level], width: int) -> None:
        super().__init__()
        self.sizes = [level.size for level in levels]  # fixed, as a graph's are; read off a tensor they would be traced
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(level.channels, width, 1, bias=False), nn.BatchNorm2d(width)) for level in levels
        )
        self.mix = nn.ModuleList(_mixing(width) for _ in levels)
        self.out = nn.Conv2d(width, N_LUNGS, 1)

    def forward(self, found: Sequence[torch.Tensor]) -> torch.Tensor:
        """Levels ``(B, K_i, h_i, w_i)``, fine to coarse, to logits ``(B, 2, h_0, w_0)``."""
        narrow = [layer(level) for layer, level in zip(self.narrow, found, strict=True)]
        mixed: torch.Tensor = self.mix[-1](narrow[-1])
        for finer, size, mix in zip(narrow[-2::-1], self.sizes[-2::-1], list(self.mix)[-2::-1], strict=True):
            mixed = mix(nn.functional.interpolate(mixed, (size, size), mode="bilinear", align_corners=False) + finer)
        logits: torch.Tensor = self.out(mixed)
        return logits


def _mixing(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class Hybrid(nn.Module):
    """Two heads on one backbone, as they are trained."""

    def __init__(self, classifier: PooledClassifier, levels: Sequence[Level], width: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.levels = tuple(levels)
        self.decoder = LungDecoder(levels, width)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(B, 3, S, S)`` to the lungs' logits ``(B, 2, h, w)``; the findings' are the classifier's own."""
        lungs: torch.Tensor = self.decoder(self.at_levels(pixels))
        return lungs

    def at_levels(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """What the backbone sees at each level, fine to coarse."""
        return at_levels(self.classifier.features, self.levels, pixels)


class WithLungs(nn.Module):
    """What is released: what is released without the decoder, and the lungs, in one pass."""

    def __init__(self, hybrid: Hybrid) -> None:
        super().__init__()
        self.hybrid = hybrid
        self.with_maps = WithMaps(hybrid.classifier)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """``(B, 3, S, S)`` to all of `GraphOutputs`, and last the lungs' probabilities ``(B, 2, h, w)``."""
        found = self.hybrid.at_levels(pixels)
        return (*self.with_maps.of_features(found[-1]), torch.sigmoid(self.hybrid.decoder(found)))


def with_lungs(classifier: PooledClassifier, decoder: State, width: int, side_px: int) -> WithLungs:
    """A released classifier and the tensors of its decoder as what was released, in evaluation mode."""
    hybrid = build_hybrid(classifier, width, side_px)
    hybrid.decoder.load_state_dict(decoder)
    return WithLungs(hybrid).eval()


def build_hybrid(classifier: PooledClassifier, width: int, side_px: int) -> Hybrid:
    """An untrained decoder on a classifier, fitted to the channels that its backbone has at each size."""
    return Hybrid(classifier, find_levels(classifier.features, side_px), width)
