"""Lungs from boxes, and from masks where somebody drew them.

A box tells where a lung ends on four sides and that there is none of it outside; which cells inside belong to it, the
shades have to tell. Three terms (BoxInst, Tian et al., CVPR 2021, sections 3.1 and 3.2), each a mean over the lungs
whose box is known; a lung of which nothing is known has no loss and no share in the mean. Shapes: ``(B, 2, h, w)`` for
``B`` images, right lung first, with cells as the decoder makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

STEPS_YX: Final = ((0, 2), (2, 0), (2, 2), (2, -2))
"""From a cell to half of its eight neighbours two cells on; the other half are the same pairs seen from there."""
TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Extent:
    """Which share of each column and row of cells a lung's box covers, in [0, 1]. All 0: nothing is known."""

    x: torch.Tensor
    """Shape ``(B, 2, w)``."""
    y: torch.Tensor
    """Shape ``(B, 2, h)``."""

    @classmethod
    def of(cls, boxes: torch.Tensor, size: int) -> Extent:
        """Of boxes ``(B, 2, 4)`` in fractions of the square, x1, y1, x2, y2; NaN where none is known."""
        cells = torch.arange(size, dtype=boxes.dtype, device=boxes.device)
        edges = boxes.nan_to_num()[..., None] * size  # (B, 2, 4, 1)

        def covered(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
            return (torch.minimum(high, cells + 1) - torch.maximum(low, cells)).clamp(0, 1)

        return cls(covered(edges[:, :, 0], edges[:, :, 2]), covered(edges[:, :, 1], edges[:, :, 3]))

    @property
    def known(self) -> torch.Tensor:
        """Shape ``(B, 2)``, 1 where there is a box."""
        return ((self.x.amax(dim=-1) > 0) & (self.y.amax(dim=-1) > 0)).float()

    @property
    def touched(self) -> torch.Tensor:
        """Shape ``(B, 2, h, w)``: 1 for a cell of which the box covers any part."""
        return ((self.y[..., :, None] > 0) & (self.x[..., None, :] > 0)).float()


def projection_loss(lungs: torch.Tensor, extent: Extent) -> torch.Tensor:
    """The shadow that a lung throws on each axis is its box's: 0 for one that fills the box, or only reaches its sides.

    Args:
        lungs: Probabilities ``(B, 2, h, w)``.
        extent: Of the boxes.

    Returns:
        Mean of the two Dice losses over the known lungs, in [0, 1]; 0 where none is known.

    Source: BoxInst, eq. 2.
    """
    on_x, on_y = dice_loss(lungs.amax(dim=2), extent.x), dice_loss(lungs.amax(dim=3), extent.y)
    return _mean((on_x + on_y) / 2, extent.known)


def outside_loss(logits: torch.Tensor, extent: Extent) -> torch.Tensor:
    """Cross entropy of the cells that the box does not touch: none of the lung is there. Mean over the known lungs."""
    outside = 1 - extent.touched
    of_each = (nn.functional.softplus(logits) * outside).sum(dim=(2, 3)) / outside.sum(dim=(2, 3)).clamp(min=1)
    return _mean(of_each, extent.known)


def likeness_loss(logits: torch.Tensor, shades: torch.Tensor, extent: Extent, alike_below: float) -> torch.Tensor:
    """Neighbours of like shade are both lung or both none: minus the logarithm of the probability that they are.

    Args:
        logits: Shape ``(B, 2, h, w)``.
        shades: Shape ``(B, h, w)``, of 255.
        extent: Of the boxes; pairs with neither cell touched by the box say nothing.
        alike_below: Difference of shades below which two cells are alike.

    Returns:
        Mean over the pairs of each known lung, then over these lungs; 0 where no pair is alike.

    Source: BoxInst, eq. 3 and 5, with a step in place of its threshold on an exponential.
    """
    touched = extent.touched
    inside, outside = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
    total, pairs = torch.zeros_like(extent.known), torch.zeros_like(extent.known)
    for step in STEPS_YX:
        (in_a, in_b), (out_a, out_b) = _pair(inside, step), _pair(outside, step)
        shade_a, shade_b = _pair(shades[:, None], step)
        box_a, box_b = _pair(touched, step)
        counts = ((shade_a - shade_b).abs() < alike_below) * torch.maximum(box_a, box_b)
        total = total - (torch.logaddexp(in_a + in_b, out_a + out_b) * counts).sum(dim=(2, 3))
        pairs = pairs + counts.sum(dim=(2, 3))
    return _mean(total / pairs.clamp(min=1), extent.known)


def mask_loss(logits: torch.Tensor, masks: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Cross entropy and Dice loss against masks that somebody drew.

    Args:
        logits: Shape ``(B, 2, h, w)``.
        masks: The same shape, in [0, 1].
        drawn: Shape ``(B, 2)``, 1 where there is a mask.

    Returns:
        Mean of their sum over the drawn lungs; 0 where there is none.
    """
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(dim=(2, 3))
    return _mean(entropy + dice_loss(torch.sigmoid(logits).flatten(2), masks.flatten(2)), drawn)


def dice_loss(ours: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """One minus twice what both share over what both have, along the last axis (Milletari et al., 3DV 2016, eq. 4)."""
    shared = (ours * truth).sum(dim=-1)
    return 1 - (2 * shared + TINY) / ((ours**2).sum(dim=-1) + (truth**2).sum(dim=-1) + TINY)


def _pair(values: torch.Tensor, step_yx: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Values ``(…, h, w)`` at each cell that has a neighbour so far on, and at that neighbour."""
    down, right = step_yx
    height, width = values.shape[-2:]
    here = values[..., : height - down, max(0, -right) : width - max(0, right)]
    there = values[..., down:, max(0, right) : width - max(0, -right)]
    return here, there


def _mean(of_each: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return (of_each * known).sum() / known.sum().clamp(min=1)
