"""Where the cells of a layer look: a map's cell shows the middle of what was convolved into it, not of its own tile.

A network of stride 32 answers 256 px by 8 x 8 cells, and it is customary to stretch these over the square, cell 0
from 0 to 32 px. But a convolution of kernel 3, stride 2 and padding 1 looks round pixel 2 i, not between 2 i and
2 i + 1; after five of them cell i looks round pixel 32 i, and the stretched map lies half a cell too far right and
down (docs/decisions/0017).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

import torch
from torch import nn

from boxray.classification.backbones import ImageNetShades
from boxray.classification.layers import find_layer
from boxray.core.errors import ModelError
from boxray.core.frames import Cells

_WIDE_PX: Final = 640
"""Of the strip that is shown: far from its ends nothing is padded."""

_HIGH_PX: Final = 80
"""Enough for every backbone; rows are as columns."""

_FAINT: Final = 1e-4
"""Highest shade of the strip. Each shortcut doubles what comes out, and ReLU6 must not cut it."""


def cells_of(network: nn.Module, layer: str) -> Cells:
    """Where the cells of a layer look, in pixels of the network's square, along either axis.

    A copy of the network, whose filters all take means, is shown two strips whose shades are their own columns, rising
    and falling, and one of a single shade. What a cell answers is then the mean column that it sees; the falling strip
    takes back what maximum pooling adds to the rising one.

    Args:
        network: Of square kernels, such as `boxray.classification.backbones.build_classifier` gives.
        layer: Dotted name of a layer that gives ``(B, K, h, w)``.

    Raises:
        ModelError: If there is no such layer, or it gives no features with places.
    """
    probe = deepcopy(network).cpu().eval()
    held: list[torch.Tensor] = []
    find_layer(probe, layer).register_forward_hook(lambda _module, _seen, given: held.append(given))
    _take_means(probe)
    columns = (torch.arange(_WIDE_PX) + 0.5) / _WIDE_PX
    shades = torch.stack([torch.ones(_WIDE_PX), columns, 1 - columns]) * _FAINT
    with torch.inference_mode():
        probe(shades[:, None, None].expand(-1, 3, _HIGH_PX, -1))
    if len(held) != 1 or held[0].ndim != 4 or held[0].shape[3] < 8:
        raise ModelError(
            f"layer {layer!r} gives no row of cells, so nothing can be drawn of it; choose an earlier layer"
        )
    one, rising, falling = held[0].double().mean(dim=1)  # (h, w) each
    row = one.shape[0] // 2
    seen_px = _WIDE_PX * (1 + (rising[row] - falling[row]) / one[row]) / 2
    middle = seen_px.shape[0] // 2
    step = float(seen_px[middle] - seen_px[middle - 1])
    first = float(seen_px[middle]) - middle * step
    return Cells(round(first * 2) / 2, round(step))  # whole steps and half pixels are what padding and strides can make


def _take_means(network: nn.Module) -> None:
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()  # and with it its statistics
        elif isinstance(part, ImageNetShades):
            part.mean.fill_(0.5)
            part.deviation.fill_(0.5)
