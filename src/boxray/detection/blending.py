"""Weights between two trainings of one network.

Trained on for something new, a network forgets a part of what it could. Weights on the straight line between before
and after often keep both (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models", CVPR: WiSE-FT).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from boxray.core.errors import ModelError

if TYPE_CHECKING:
    import torch


def blended(
    start: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor], kept: float
) -> dict[str, torch.Tensor]:
    """``kept * start + (1 - kept) * trained``, tensor by tensor, statistics of normalization too.

    Args:
        start: What the training began with.
        trained: What it came to; of its type are the tensors that come back. Counts, which are whole numbers, are its.
        kept: In [0, 1].

    Raises:
        ModelError: If they are not of one network with the same findings.
    """
    if {key: value.shape for key, value in start.items()} != {key: value.shape for key, value in trained.items()}:
        raise ModelError(
            "the start weights are of another network or of other findings, so that nothing lies between them and what "
            "was trained; set keep_start=0"
        )
    return {
        key: (kept * start[key].float() + (1 - kept) * value.float()).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in trained.items()
    }
