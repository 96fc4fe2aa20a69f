"""What the loss does with what is not known: arithmetic on logits, without ultralytics.

B pictures, A anchors, F findings, K films a picture. The place of an anchor is its centre: an anchor belongs to the
film on which its centre lies, and learns what that film knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

TOP_ANCHORS: Final = 10
"""As many as the stock assigner gives to a box (its `topk`), so that a finding without a box asks for as much."""


def film_under(centres_xy: torch.Tensor, rects: torch.Tensor, to_canvas: torch.Tensor) -> torch.Tensor:
    """Which film lies under each anchor's centre.

    Args:
        centres_xy: Shape ``(A, 2)`` in pixels of the picture.
        rects: Shape ``(B, K, 4)`` on the canvas; a film that is not there has a rectangle without area.
        to_canvas: Shape ``(B, 2, 3)``.

    Returns:
        Shape ``(B, A)``, int64; K where no film lies.
    """
    centres = centres_xy @ to_canvas[:, :, :2].transpose(1, 2) + to_canvas[:, None, :, 2]  # (B, A, 2)
    x, y = centres[..., 0, None], centres[..., 1, None]  # (B, A, 1)
    x1, y1, x2, y2 = rects[:, None].unbind(-1)  # each (B, 1, K)
    inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)  # (B, A, K); at most one, as rectangles do not overlap
    nowhere = ~inside.any(dim=-1)
    return inside.int().argmax(dim=-1).masked_fill(nowhere, rects.shape[1])


def anchor_weights(cells: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    """The weight of every anchor and finding.

    Grey padding is background for all findings: nothing can be there, and a detector that reads a letterboxed
    film must be silent on it.

    Args:
        cells: Shape ``(B, K, F)``.
        under: Shape ``(B, A)``, of `film_under`.

    Returns:
        Shape ``(B, A, F)``.
    """
    padding = cells.new_ones(cells.shape[0], 1, cells.shape[2])
    with_padding = _cat([cells, padding])
    return with_padding.gather(1, under[..., None].expand(-1, -1, cells.shape[2]))


def same_film(film_of_box: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    """Whether an anchor may be given to a box: only if its centre lies on the box's film.

    The upright rectangle round a turned box reaches over the seam, where another film knows other things.

    Args:
        film_of_box: Shape ``(B, n)``.
        under: Shape ``(B, A)``, of `film_under`.

    Returns:
        Shape ``(B, n, A)``, bool.
    """
    return film_of_box[:, :, None] == under[:, None, :]


def present_losses(logits: torch.Tensor, present: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    """Of each finding that is present without a box: how far its film's best anchors are from firing.

    The mean logit of the film's `TOP_ANCHORS` best anchors stands for the film, and is told that the finding is there:
    multiple-instance learning (Dietterich et al., 1997) with a soft maximum. All other anchors feel nothing.

    Args:
        logits: Shape ``(B, A, F)``.
        present: Shape ``(B, K, F)``, bool.
        under: Shape ``(B, A)``, of `film_under`.

    Returns:
        Shape ``(P,)``: binary cross entropy for each present finding of which the picture shows an anchor.
    """
    from torch.nn import functional

    picture, film, finding = present.nonzero(as_tuple=True)  # (P,) each
    on_film = under[picture] == film[:, None]  # (P, A)
    hidden = logits.new_tensor(float("-inf"))
    candidates = logits[picture, :, finding].where(on_film, hidden)
    best = candidates.topk(min(TOP_ANCHORS, candidates.shape[1]), dim=1).values
    counted = best > hidden
    n_counted = counted.sum(dim=1)
    means = best.where(counted, best.new_zeros(())).sum(dim=1) / n_counted.clamp(min=1)
    return functional.softplus(-means[n_counted > 0])


def _cat(parts: list[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat(parts, dim=1)
