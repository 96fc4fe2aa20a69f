"""What is learned from: findings side by side, or classes that exclude each other; what is unknown teaches nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from boxray.core.arrays import FloatArray


def positive_balance(targets: FloatArray, weights: FloatArray) -> FloatArray:
    """Weight of a positive: the square root of negatives over positives, from 1 to 10.

    Args:
        targets: Shape ``(N, F)``, 0 or 1.
        weights: Shape ``(N, F)``; 0 where unknown.

    Returns:
        Shape ``(F,)``; 1 for a finding without positives.
    """
    positives = (targets * weights).sum(axis=0)
    negatives = ((1 - targets) * weights).sum(axis=0)
    ratio = np.divide(negatives, positives, out=np.ones_like(positives), where=positives > 0)
    balance: FloatArray = np.sqrt(ratio).clip(1, 10)
    return balance


def masked_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, balance: torch.Tensor
) -> torch.Tensor:
    """Mean over findings of the weighted cross entropy; unknown has no loss and no share in the mean.

    All of shape ``(B, F)`` but `balance`, ``(F,)``. A batch in which nothing is known gives 0.
    """
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=balance)
    known = weights.sum(dim=0)
    per_finding = (losses * weights).sum(dim=0) / known.clamp(min=1e-6)
    return per_finding.sum() / (known > 0).sum().clamp(min=1)


def exclusive_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, balance: torch.Tensor
) -> torch.Tensor:
    """Mean cross entropy of the softmax over images whose class is known, each weighted by its class.

    Shapes as for `masked_loss`. An image of which only some classes are ruled out teaches the network to give those
    nothing: its loss is the negative logarithm of what the others get together. One of which nothing is known has no
    loss; a batch of such images gives 0.
    """
    there = (targets > 0) & (weights > 0)
    possible = torch.where(there.any(dim=1, keepdim=True), there, (targets > 0) | (weights == 0))
    shares = torch.log_softmax(logits, dim=1).masked_fill(~possible, -torch.inf)
    told = ~possible.all(dim=1) & possible.any(dim=1)
    losses = -torch.logsumexp(shares[told], dim=1)
    of_class = torch.where(there, balance, 0).amax(dim=1)[told]
    weight = torch.where(of_class > 0, of_class, torch.ones_like(of_class))
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)
