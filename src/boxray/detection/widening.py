"""A network twice as wide that answers as the narrow one does: YOLOv8s from YOLOv8n.

Net2WiderNet (Chen, Goodfellow & Shlens, ICLR 2016): every channel is doubled, and what a channel gave to the next layer
is shared between its two twins. The shares are unequal, so that the twins are pulled apart in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

INPUT_AXIS: Final = 1
"""Of a convolution's weights ``(out, in, k, k)``."""

UNEVEN: Final = 0.25
"""A twin's share of what the channel gave lies between 0.5 - this and 0.5 + this."""


def doubled_axes(narrow: torch.Size, wide: torch.Size) -> tuple[int, ...] | None:
    """The axes along which `wide` is twice `narrow`; None where the shapes differ otherwise."""
    if len(narrow) != len(wide):
        return None
    pairs = list(zip(narrow, wide, strict=True))
    if any(after not in (before, 2 * before) for before, after in pairs):
        return None
    return tuple(axis for axis, (before, after) in enumerate(pairs) if before != after)


def widened(
    narrow: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size], seed: int = 0
) -> dict[str, torch.Tensor]:
    """The tensors of a narrow network as those of one that is at most twice as wide, with the same answers.

    Twins lie side by side, so that the parts of a concatenation and the halves of a split find theirs.

    Args:
        narrow: State of the narrow network.
        shapes: Of the wide network's tensors, by the same names.
        seed: Of the shares.

    Returns:
        The tensors that fit, those of equal shape untouched.
    """
    import torch

    draws = torch.Generator().manual_seed(seed)
    wide = {}
    for key, tensor in narrow.items():
        axes = doubled_axes(tensor.shape, shapes[key]) if key in shapes else None
        if axes is None:
            continue
        for axis in axes:
            tensor = tensor.repeat_interleave(2, dim=axis)  # noqa: PLW2901 - grows axis by axis
            if axis == INPUT_AXIS:
                tensor = tensor * _shares(tensor.shape, draws)  # noqa: PLW2901
        wide[key] = tensor
    return wide


def _shares(shape: torch.Size, draws: torch.Generator) -> torch.Tensor:
    """Of twins along the input's axis: positive, one in all for each pair."""
    import torch

    out_channels, in_channels, *kernel = shape
    uneven = UNEVEN * (2 * torch.rand(out_channels, in_channels // 2, *kernel, generator=draws) - 1)
    return torch.stack([0.5 + uneven, 0.5 - uneven], dim=INPUT_AXIS + 1).reshape(shape)
