"""Backbones that end in pooling and one linear layer, so that Grad-CAM needs no backward pass.

With features A of shape ``(K, h, w)``, global average pooling and logits ``W pool(A) + b``, the gradient of a logit by
``A[k, y, x]`` is ``W[f, k] / (h w)`` everywhere. Grad-CAM (Selvaraju et al., 2017, eq. 1 and 2) is then
``relu(sum_k W[f, k] A[k]) / (h w)``: the graph gives scores and maps in one pass.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import torch
from torch import nn
from torchvision import models

from boxray.classification.recipe import Shades
from boxray.core.errors import ModelError


class PooledClassifier(nn.Module):
    """Features, global average pooling, dropout, one linear layer."""

    def __init__(self, features: nn.Sequential, n_features: int, n_findings: int) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(n_features, n_findings)

    @property
    def blocks(self) -> list[nn.Module]:
        """The backbone's own, in the order in which they act; a change of shades before them is none."""
        return [block for block in self.features.children() if not isinstance(block, ImageNetShades)]

    def keep_statistics(self) -> None:
        """Go on to normalize by the statistics at hand, not by each batch's."""
        for part in self.features.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to logits ``(B, F)``."""
        return self.pooled(self.features(pixels))

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """What the features ``(B, K, h, w)`` say of the whole picture: logits ``(B, F)``."""
        logits: torch.Tensor = self.head(self.dropout(features.mean(dim=(2, 3))))
        return logits

    def by_cell(self, features: torch.Tensor) -> torch.Tensor:
        """What each cell says by itself, ``(B, F, h, w)``; but for the bias their mean is the picture's logits."""
        return nn.functional.conv2d(features, self.head.weight[:, :, None, None])


class GraphOutputs(NamedTuple):
    """What the released graph gives, under these names and in this order; all raw."""

    logits: torch.Tensor
    """Shape ``(B, F)``."""
    maps: torch.Tensor
    """Grad-CAM, shape ``(B, F, h, w)``, >= 0."""
    features: torch.Tensor
    """What is pooled, shape ``(B, K, h, w)``: for the other maps (`boxray.classification.explain`)."""
    head: torch.Tensor
    """Weights of the linear layer, shape ``(F, K)``, the same for every picture."""


class WithMaps(nn.Module):
    """What is released: logits, raw Grad-CAM maps, and what other maps are made of, in one pass."""

    def __init__(self, classifier: PooledClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: torch.Tensor) -> GraphOutputs:
        """``(B, 3, S, S)`` to all of `GraphOutputs`."""
        return self.of_features(self.classifier.features(pixels))

    def of_features(self, features: torch.Tensor) -> GraphOutputs:
        """The same from the last feature map ``(B, K, h, w)``."""
        head = self.classifier.head
        logits = head(features.mean(dim=(2, 3)))
        cells = features.shape[2] * features.shape[3]
        maps = torch.relu(self.classifier.by_cell(features)) / cells
        return GraphOutputs(logits, maps, features, head.weight.detach())


def build_classifier(architecture: str, n_findings: int, *, shades: Shades = "symmetric") -> PooledClassifier:
    """An untrained classifier.

    Args:
        architecture: One of `BACKBONES`.
        n_findings: Outputs of the head.
        shades: What the start weights of the backbone were trained on.

    Raises:
        ModelError: If the architecture is not known.
    """
    if architecture not in BACKBONES:
        raise ModelError(f"there is no backbone {architecture!r}; there are: {', '.join(BACKBONES)}")
    backbone = BACKBONES[architecture]
    blocks = backbone.blocks()
    if shades == "imagenet":
        blocks = {"shades": ImageNetShades(), **blocks}
    return PooledClassifier(nn.Sequential(OrderedDict(blocks)), backbone.n_features, n_findings)


def load_start(classifier: PooledClassifier, state: Mapping[str, torch.Tensor]) -> None:
    """Load the features of a network in torchvision's layout; its own head is left behind.

    Raises:
        ModelError: If a tensor is missing or has another shape.
    """
    blocks = {name for name, _ in classifier.features.named_children()}
    within = "features."  # where some of torchvision's networks keep their blocks
    under = any(key.startswith(within) for key in state)
    # A published DenseNet is older than torchvision's names for its parts: `norm.1` is today's `norm1`.
    named = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): value for key, value in state.items()}
    found = {key.removeprefix(within): value for key, value in named.items() if key.startswith(within) == under}
    features = {name: value for name, value in found.items() if name.split(".")[0] in blocks}
    try:
        classifier.features.load_state_dict(features, strict=True)
    except RuntimeError as error:
        raise ModelError(f"start weights do not fit the backbone: {' '.join(str(error).split())[:200]}") from error


class ImageNetShades(nn.Module):
    """From [-1, 1] to the shades that torchvision's own weights were trained on: mean 0 and deviation 1 on ImageNet."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1), persistent=False)
        deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(B, 3, S, S)``, same shape."""
        shifted: torch.Tensor = ((pixels + 1) / 2 - self.mean) / self.deviation
        return shifted


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network of torchvision up to its pooling."""

    blocks: Callable[[], dict[str, nn.Module]]
    """Its blocks with random weights, by torchvision's names, in the order in which they act."""
    n_features: int
    """Channels of the last feature map."""


def _vgg16() -> dict[str, nn.Module]:
    # Without its three dense layers: they are 89 % of its weights, and with them no map is had in closed form.
    return dict(models.vgg16(weights=None).features.named_children())


def _mobilenet_v2() -> dict[str, nn.Module]:
    return dict(models.mobilenet_v2(weights=None).features.named_children())


def _densenet121() -> dict[str, nn.Module]:
    # torchvision rectifies after the last normalization, in `forward`.
    return {**dict(models.densenet121(weights=None).features.named_children()), "rectify": nn.ReLU()}


def _resnet50() -> dict[str, nn.Module]:
    return _without(models.resnet50(weights=None), "avgpool", "fc")


def _inception_v3() -> dict[str, nn.Module]:
    network = models.inception_v3(weights=None, aux_logits=False, init_weights=True)
    return _without(network, "AuxLogits", "avgpool", "dropout", "fc")


def _without(network: nn.Module, *heads: str) -> dict[str, nn.Module]:
    return {name: block for name, block in network.named_children() if name not in heads}


BACKBONES: Final[Mapping[str, Backbone]] = MappingProxyType(
    {
        "mobilenet_v2": Backbone(_mobilenet_v2, 1280),
        "vgg16": Backbone(_vgg16, 512),
        "inception_v3": Backbone(_inception_v3, 2048),
        "resnet50": Backbone(_resnet50, 2048),
        "densenet121": Backbone(_densenet121, 1024),
    }
)
