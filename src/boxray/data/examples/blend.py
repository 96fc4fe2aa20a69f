"""Blend aligned films so that nobody's film remains, and measure how well that was done.

Every scale of detail is blended by itself. Coarse shades are the mean of all films. Fine detail is a
mixture over places: at each place several films share, in proportions drawn at random for each scale, and
none may have more than `WEIGHT_LIMIT`. A mean has less detail than a film; what is left is raised to the
strength that detail of this scale has in the films at that place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from boxray.core.arrays import FloatArray

WEIGHT_LIMIT = 0.20
"""No film has a larger share than this, at any place and any scale."""
SCALES_PX = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Standard deviations between which the bands of detail lie, in pixels of a canvas of 1024."""
N_MIXED = 4
"""The finest bands are mixed over places; the others are means."""
_GRID_PX = 128
_PATCH = (7.0, 7.0, 8.0, 9.0)
_GAIN_LIMIT = (3.0, 3.0, 3.0, 3.0, 1.5, 1.0, 1.0)


def bands(pixels: FloatArray) -> list[FloatArray]:
    """Differences of Gaussians, finest first, and the coarse rest; they add up to `pixels`, shape ``(H, W)``."""
    smoother = [pixels, *(cv2.GaussianBlur(pixels, (0, 0), sigma) for sigma in SCALES_PX)]
    return [a - b for a, b in zip(smoother, smoother[1:], strict=False)] + [smoother[-1]]


def limited(shares: FloatArray, limit: float = WEIGHT_LIMIT) -> FloatArray:
    """Shares that add up to 1 at every place and never exceed the limit; what is cut off goes to the others.

    Args:
        shares: Shape ``(N, h, w)``, > 0. Needs ``N * limit >= 1``.
        limit: In (0, 1].
    """
    if len(shares) * limit < 1:
        raise ValueError(f"{len(shares)} films cannot share a place with at most {limit} each")
    shares = shares / shares.sum(axis=0)
    for _ in range(100):
        excess = np.maximum(shares - limit, 0).sum(axis=0)
        if excess.max() <= 1e-12:
            break
        shares = np.minimum(shares, limit)
        open_to_more = np.where(shares < limit, shares, 0)
        shares = shares + open_to_more * excess / np.maximum(open_to_more.sum(axis=0), 1e-30)
    # Rounding, or places where all but a few films have no say: the last remainder is spread evenly.
    shares = np.minimum(shares, limit)
    room = limit - shares
    return shares + room * (1 - shares.sum(axis=0)) / np.maximum(room.sum(axis=0), 1e-30)


def draw_shares(say: FloatArray, rng: Generator, patch: float, contrast: float) -> FloatArray:
    """Shares for one band: each film's say at a place, times a smooth random field of its own. Shape ``(N, h, w)``."""
    fields = rng.normal(size=say.shape).astype(np.float32)
    fields = np.stack([cv2.GaussianBlur(field, (0, 0), patch) for field in fields])
    return limited(say * np.exp(contrast * fields / fields.std()))


def say_of(films: Sequence[FloatArray], valid: Sequence[FloatArray], allowed: Sequence[FloatArray]) -> FloatArray:
    """How much each film may say at each place: nothing beyond its edge, or where it shows what the others do not.

    Burned-in letters, markers, wires and pacemakers are such places: something much brighter than its
    surroundings where the median film has nothing.

    Returns:
        Shape ``(N, 128, 128)``, > 0: where nobody has a say, all share alike.
    """
    small = np.stack([cv2.resize(film, (512, 512), interpolation=cv2.INTER_AREA) for film in films])
    usual = _detail(np.median(small, axis=0))
    kernel = np.ones((9, 9), np.uint8)
    says = []
    for film, there, may in zip(small, valid, allowed, strict=True):
        odd = _detail(film) - usual
        spread = cv2.GaussianBlur(np.abs(odd), (0, 0), 40) * 1.25 + 0.01
        foreign = cv2.dilate((odd > 5 * spread).astype(np.float32), kernel)
        foreign = np.clip(cv2.GaussianBlur(foreign, (0, 0), 4) * 1.6, 0, 1)
        inside = cv2.erode(_coarse(there), np.ones((3, 3), np.uint8))
        inside = np.clip(cv2.GaussianBlur(inside, (0, 0), 2), 0, 1)
        says.append(((1 - _coarse(foreign)) ** 2 * inside**3 + 2e-4) * np.clip(_coarse(may), 0, 1) + 1e-6)
    return np.stack(says)


@dataclass(frozen=True, slots=True)
class Blend:
    """A composite on the template, and what is needed to judge it."""

    pixels: FloatArray
    mean: FloatArray
    """The plain mean: what the films have in common."""
    largest_share: float
    films_per_place: float
    """Median over places of the effective number of films in the mixed bands, 1 / sum of squared shares."""


def blend(
    films: Sequence[FloatArray],
    say: FloatArray,
    fine_say: FloatArray,
    rng: Generator,
    contrast: float,
) -> Blend:
    """Blend aligned films, band by band.

    Args:
        films: Aligned and equally exposed, shape ``(H, W)`` each.
        say: As `say_of` gives it, for all bands but the two finest.
        fine_say: The same for the two finest bands, which small films cannot fill.
        rng: Draws the shares.
        contrast: Of the random fields: 0 is a plain mean everywhere.
    """
    n_bands = len(SCALES_PX) + 1
    means = [limited(fine_say if band < 2 else say) for band in range(n_bands)]
    shares = [
        draw_shares(fine_say if band < 2 else say, rng, _PATCH[band], contrast) if band < N_MIXED else means[band]
        for band in range(n_bands)
    ]
    shape = films[0].shape
    mixed = [np.zeros(shape, np.float32) for _ in range(n_bands)]
    power = [np.zeros(shape, np.float32) for _ in range(n_bands)]
    mean = np.zeros(shape, np.float32)
    for number, film in enumerate(films):
        for band, detail in enumerate(bands(film)):
            plain = _fine(means[band][number], shape)
            mixed[band] += _fine(shares[band][number], shape) * detail
            power[band] += plain * detail * detail
            mean += plain * detail
    raised = [_raised(mixed[band], power[band], band) for band in range(n_bands - 1)]
    effective = np.median([np.median(1 / (shares[band] ** 2).sum(axis=0)) for band in range(N_MIXED)])
    largest = max(float(share.max()) for share in shares)
    return Blend(np.sum([*raised, mixed[-1]], axis=0), mean, largest, float(effective))


def remains_of(blended: Blend, film: FloatArray, window: Callable[[FloatArray], FloatArray] | None = None) -> float:
    """How much of one film's own detail is in the composite: correlation of what either has beyond the mean.

    Both have the common anatomy taken off, and everything coarser than 16 px; what is left of a film is the
    course of its own vessels and bone edges, by which one would recognise it. 1 would be the film itself.

    Args:
        blended: The composite.
        film: Aligned as the composite's films are.
        window: Cuts the part that is compared; None compares everything.

    Returns:
        In [-1, 1].
    """
    own, rest = _own_detail(film, blended.mean), _own_detail(blended.pixels, blended.mean)
    if window is not None:
        own, rest = window(own), window(rest)
    return float((own * rest).sum() / np.sqrt((own * own).sum() * (rest * rest).sum() + 1e-12))


def _own_detail(pixels: FloatArray, mean: FloatArray) -> FloatArray:
    own = pixels - mean
    own = own - cv2.GaussianBlur(own, (0, 0), 16)
    # Equal contrast everywhere, so that one bright edge does not decide.
    strength = np.sqrt(np.maximum(cv2.GaussianBlur(own * own, (0, 0), 24), 0))
    detail: FloatArray = own / (strength + 1e-3)
    return detail


def _raised(mixed: FloatArray, power: FloatArray, band: int) -> FloatArray:
    sigma = max(3 * SCALES_PX[band], 12)
    natural = np.sqrt(np.maximum(cv2.GaussianBlur(power, (0, 0), sigma), 0))
    present = np.sqrt(np.maximum(cv2.GaussianBlur(mixed * mixed, (0, 0), sigma), 0))
    gained: FloatArray = mixed * np.clip(natural / (present + 1e-5), 1, _GAIN_LIMIT[band])
    return gained


def _detail(film: FloatArray) -> FloatArray:
    detail: FloatArray = cv2.GaussianBlur(film, (0, 0), 1.2) - cv2.GaussianBlur(film, (0, 0), 12)
    return detail


def _coarse(canvas: FloatArray) -> FloatArray:
    small: FloatArray = cv2.resize(canvas, (_GRID_PX, _GRID_PX), interpolation=cv2.INTER_AREA)
    return small


def _fine(share: FloatArray, shape_hw: tuple[int, ...]) -> FloatArray:
    large: FloatArray = cv2.resize(
        share.astype(np.float32), (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_LINEAR
    )
    return large
