"""A light decoder: from what the backbone sees at several sizes to two lung maps.

Each size is brought to a few channels, the coarser is laid over the finer from the coarsest on (feature pyramid, Lin et
al., CVPR 2017, section 3). On MobileNetV2 that is 1 % of the classifier's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from boxray.classification.backbones import PooledClassifier, WithMaps

LUNGS = 2
"""Right and left."""


def levels(features: nn.Module, pixels: torch.Tensor) -> list[torch.Tensor]:
    """What the backbone has at each size, fine to coarse; the last is its output.

    Sizes above a quarter of the square are left out: they show edges and cost most.

    Args:
        features: Blocks that act one after the other.
        pixels: Shape ``(B, 3, S, S)``.

    Returns:
        Of each size the last ``(B, K, h, w)``.
    """
    found: dict[int, torch.Tensor] = {}
    values = pixels
    for block in features.children():
        values = block(values)
        found[values.shape[-1]] = values
    return [level for size, level in found.items() if 4 * size <= pixels.shape[-1] or level is values]


class LungDecoder(nn.Module):
    """Levels of a backbone to logits of the two lungs, at the size of the finest level."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n_channels, width, 1, bias=False), nn.BatchNorm2d(width)) for n_channels in channels
        )
        self.mix = nn.ModuleList(_mixing(width) for _ in channels)
        self.out = nn.Conv2d(width, LUNGS, 1)

    def forward(self, found: Sequence[torch.Tensor]) -> torch.Tensor:
        """Levels ``(B, K_i, h_i, w_i)``, fine to coarse, to logits ``(B, 2, h_0, w_0)``."""
        narrow = [layer(level) for layer, level in zip(self.narrow, found, strict=True)]
        mixed: torch.Tensor = self.mix[-1](narrow[-1])
        for finer, mix in zip(narrow[-2::-1], list(self.mix)[-2::-1], strict=True):
            size = [int(side) for side in finer.shape[-2:]]
            mixed = mix(nn.functional.interpolate(mixed, size, mode="bilinear", align_corners=False) + finer)
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

    def __init__(self, classifier: PooledClassifier, decoder: LungDecoder) -> None:
        super().__init__()
        self.classifier = classifier
        self.decoder = decoder

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(B, 3, S, S)`` to the lungs' logits ``(B, 2, h, w)``; the findings' are the classifier's own."""
        lungs: torch.Tensor = self.decoder(levels(self.classifier.features, pixels))
        return lungs


class WithLungs(nn.Module):
    """What is released: logits and maps as without the decoder, and the lungs, in one pass."""

    def __init__(self, hybrid: Hybrid) -> None:
        super().__init__()
        self.hybrid = hybrid
        self.with_maps = WithMaps(hybrid.classifier)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``(B, 3, S, S)`` to logits ``(B, F)``, maps ``(B, F, h, w)``, probabilities of lungs ``(B, 2, H, W)``."""
        found = levels(self.hybrid.classifier.features, pixels)
        logits, maps = self.with_maps.of_features(found[-1])
        return logits, maps, torch.sigmoid(self.hybrid.decoder(found))


def build_hybrid(classifier: PooledClassifier, width: int, side_px: int) -> Hybrid:
    """An untrained decoder on a classifier, fitted to the channels that its backbone has at each size."""
    learns = classifier.training
    classifier.eval()
    with torch.no_grad():
        found = levels(classifier.features, torch.zeros(1, 3, side_px, side_px))
    classifier.train(learns)
    return Hybrid(classifier, LungDecoder([level.shape[1] for level in found], width))
