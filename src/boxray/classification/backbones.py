"""Backbones that end in pooling and one linear layer, so that Grad-CAM needs no backward pass.

With features A of shape ``(K, h, w)``, global average pooling and logits ``W pool(A) + b``, the gradient of a logit by
``A[k, y, x]`` is ``W[f, k] / (h w)`` everywhere. Grad-CAM (Selvaraju et al., 2017, eq. 1 and 2) is then
``relu(sum_k W[f, k] A[k]) / (h w)``: the graph gives scores and maps in one pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from boxray.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


class PooledClassifier(nn.Module):
    """Features, global average pooling, dropout, one linear layer."""

    def __init__(self, features: nn.Sequential, n_features: int, n_findings: int) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(n_features, n_findings)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(B, 3, S, S)`` in [-1, 1] to logits ``(B, F)``."""
        features = self.features(pixels)  # (B, K, h, w)
        logits: torch.Tensor = self.head(self.dropout(features.mean(dim=(2, 3))))
        return logits


class WithMaps(nn.Module):
    """What is released: logits and raw Grad-CAM maps in one pass."""

    def __init__(self, classifier: PooledClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(B, 3, S, S)`` to logits ``(B, F)`` and maps ``(B, F, h, w)``, both raw."""
        return self.of_features(self.classifier.features(pixels))

    def of_features(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same from the last feature map ``(B, K, h, w)``."""
        head = self.classifier.head
        logits = head(features.mean(dim=(2, 3)))
        cells = features.shape[2] * features.shape[3]
        maps = torch.relu(nn.functional.conv2d(features, head.weight[:, :, None, None])) / cells
        return logits, maps


def build_classifier(architecture: str, n_findings: int) -> PooledClassifier:
    """An untrained classifier.

    Raises:
        ModelError: If the architecture is not known.
    """
    if architecture != "mobilenet_v2":
        raise ModelError(f"there is no backbone {architecture!r}; there is: mobilenet_v2")
    return PooledClassifier(mobilenet_v2(weights=None).features, 1280, n_findings)


def load_start(classifier: PooledClassifier, state: Mapping[str, torch.Tensor]) -> None:
    """Load the features of a network in torchvision's layout; its own head is left behind.

    Raises:
        ModelError: If a tensor is missing or has another shape.
    """
    features = dict(_features(state))
    try:
        classifier.features.load_state_dict(features, strict=True)
    except RuntimeError as error:
        raise ModelError(f"start weights do not fit the backbone: {str(error).splitlines()[0]}") from error


def _features(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in state.items():
        if key.startswith("features."):
            yield key.removeprefix("features."), value
