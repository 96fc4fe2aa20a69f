"""Blend aligned films so that nobody's film remains, and measure how well that was done.

Every scale of detail is blended by itself. Coarse shades are the mean of all films. Fine detail is a
mixture over places: at each place several films share, in proportions drawn at random, and none may have
more than `WEIGHT_LIMIT`. A mean has less detail than a film; what is left is raised to the strength that
detail of this scale has in the films at that place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.random import Generator

from boxray.core.arrays import FloatArray

WEIGHT_LIMIT = 0.15
"""No film has a larger share than this, at any place and any scale."""
SCALES_PX = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Standard deviations between which the bands of detail lie, in pixels of a canvas of 1024."""
N_MIXED = 4
"""The finest bands are mixed over places; the others are means."""
_GRID_PX = 128
_PATCH = 7.0
"""Size of the places over which shares change: a Gaussian's standard deviation on a grid of 128 x 128."""
_GAIN_LIMIT = (3.0, 3.0, 3.0, 3.0, 1.5, 1.0, 1.0)


def bands(pixels: FloatArray) -> list[FloatArray]:
    """Differences of Gaussians, finest first, and the coarse rest; they add up to `pixels`, shape ``(H, W)``."""
    smoother = [pixels, *(smoothed(pixels, sigma) for sigma in SCALES_PX)]
    return [a - b for a, b in pairwise(smoother)] + [smoother[-1]]


def smoothed(pixels: FloatArray, sigma_px: float) -> FloatArray:
    """Gaussian smoothing, shape kept; wide ones on a smaller grid, where they look the same and cost less."""
    height, width = pixels.shape
    factor = 1
    while sigma_px / (2 * factor) >= 3 and min(height, width) // (2 * factor) >= 8:
        factor *= 2
    if factor == 1:
        plain: FloatArray = cv2.GaussianBlur(pixels, (0, 0), sigma_px)
        return plain
    small = cv2.resize(pixels, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor)
    large: FloatArray = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return large


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
    even: FloatArray = shares + room * (1 - shares.sum(axis=0)) / np.maximum(room.sum(axis=0), 1e-30)
    return even


def draw_preferences(rng: Generator, n_films: int, contrast: float) -> FloatArray:
    """A smooth random field per film, shape ``(N, 128, 128)``, > 0: where it is preferred to others.

    A contrast of 0 prefers nobody anywhere. All scales share one draw, so that an edge stays an edge.
    """
    fields = rng.normal(size=(n_films, _GRID_PX, _GRID_PX)).astype(np.float32)
    fields = np.stack([cv2.GaussianBlur(field, (0, 0), _PATCH) for field in fields])
    preferences: FloatArray = np.exp(contrast * fields / fields.std())
    return preferences


def say_of(films: Sequence[FloatArray], valid: Sequence[FloatArray], allowed: Sequence[FloatArray]) -> FloatArray:
    """How much each film may say at each place: nothing beyond its edge, or where it shows what the others do not.

    Burned-in letters, markers, wires and pacemakers are such places: something much brighter than its
    surroundings where the median film has nothing.

    Returns:
        Shape ``(N, 128, 128)``, > 0: where nobody has a say, all share alike.
    """
    small = np.stack([cv2.resize(film, (512, 512), interpolation=cv2.INTER_AREA) for film in films])
    details = np.stack([_detail(film) for film in small])
    odds = details - np.median(details, axis=0)
    # What is odd is measured against how much films differ at this place.
    spread = smoothed(np.median(np.abs(odds), axis=0), 6) * 1.5 + 0.004
    kernel = np.ones((11, 11), np.uint8)
    says = []
    for odd, there, may in zip(odds, valid, allowed, strict=True):
        foreign = cv2.dilate((odd > 4.5 * spread).astype(np.float32), kernel)
        foreign = np.clip(cv2.GaussianBlur(foreign, (0, 0), 3) * 1.5, 0, 1)
        inside = cv2.erode(_coarse(there), np.ones((3, 3), np.uint8))
        inside = np.clip(cv2.GaussianBlur(inside, (0, 0), 2), 0, 1)
        # A letter must not win a place at which the other films have ended: it counts for less than nothing there.
        says.append((1 - _coarse(foreign)) ** 2 * (inside**3 + 2e-4) * np.clip(_coarse(may), 0, 1) + 1e-7)
    return np.stack(says)


@dataclass(frozen=True, slots=True)
class Blend:
    """A composite on the template, and what is needed to judge it."""

    pixels: FloatArray
    mean: FloatArray
    """The plain mean: what the films have in common."""
    part: FloatArray
    """Shape ``(N, h, w)``: every film's share of the mean."""
    largest_share: float
    films_per_place: float
    """Median over places of the effective number of films in the mixed bands, 1 / sum of squared shares."""


def blend(
    films: Sequence[FloatArray],
    say: FloatArray,
    fine_say: FloatArray,
    preferences: FloatArray,
    body: FloatArray,
) -> Blend:
    """Blend aligned films, band by band.

    Args:
        films: Aligned and equally exposed, shape ``(H, W)`` each.
        say: As `say_of` gives it, for all bands but the two finest.
        fine_say: The same for the two finest bands, which small films cannot fill.
        preferences: As `draw_preferences` gives them.
        body: Shape ``(H, W)`` in [0, 1]: how far detail is raised; 0 leaves the plain mean.
    """
    n_bands = len(SCALES_PX) + 1
    means = [limited(fine_say if band < 2 else say) for band in range(n_bands)]
    shares = [
        limited((fine_say if band < 2 else say) * preferences) if band < N_MIXED else means[band]
        for band in range(n_bands)
    ]
    shape = films[0].shape
    mixed = [np.zeros(shape, np.float32) for _ in range(n_bands)]
    power = [np.zeros(shape, np.float32) for _ in range(n_bands)]
    whole = np.zeros(shape, np.float32)
    mean = np.zeros(shape, np.float32)
    fine_mean = np.zeros(shape, np.float32)
    for number, film in enumerate(films):
        parts = bands(film)
        fine = np.sum(parts[:N_MIXED], axis=0)
        whole += _fine(means[N_MIXED][number], shape) * smoothed(fine * fine, 24)
        for band, detail in enumerate(parts):
            plain = _fine(means[band][number], shape)
            squared = smoothed(detail * detail, _neighbourhood(band))
            # Mixed bands at unit strength: a film of stronger detail must not outweigh its share.
            even = detail / (np.sqrt(np.maximum(squared, 0)) + 5e-4) if band < N_MIXED else detail
            mixed[band] += _fine(shares[band][number], shape) * even
            power[band] += plain * squared
            mean += plain * detail
            if band < N_MIXED:
                fine_mean += plain * detail
    raised = [_raised(mixed[band], power[band], band) for band in range(n_bands - 1)]
    fine = np.sum(raised[:N_MIXED], axis=0)
    # Bands overlap; what they lost by being raised one by one is given back to their sum.
    fine *= np.sqrt(whole / (smoothed(fine * fine, 24) + 1e-9)).clip(1, 2)
    fine = body * fine + (1 - body) * fine_mean
    effective = np.median([np.median(1 / (shares[band] ** 2).sum(axis=0)) for band in range(N_MIXED)])
    largest = max(float(share.max()) for share in shares)
    picture = np.sum([fine, *raised[N_MIXED:], mixed[-1]], axis=0)
    return Blend(picture, mean, means[-1], largest, float(effective))


def mean_without(blended: Blend, film: FloatArray, number: int) -> FloatArray:
    """The mean of all other films. Measured against the plain mean, a film's own share in it would be missed."""
    part = _fine(blended.part[number], film.shape)
    without: FloatArray = (blended.mean - part * film) / (1 - part)
    return without


def own_detail(pixels: FloatArray, mean: FloatArray) -> FloatArray:
    """What a picture has of its own: detail finer than some 16 px that the mean of all films does not explain.

    The common anatomy is taken off by a local regression on the mean, and contrast is made equal everywhere,
    so that one bright edge does not decide. What is left is the course of vessels and bone edges by which one
    would recognise a film.
    """
    detail, common = pixels - smoothed(pixels, 16), mean - smoothed(mean, 16)
    slope = smoothed(detail * common, 24) / (smoothed(common * common, 24) + 1e-7)
    own = detail - slope * common
    strength = np.sqrt(np.maximum(smoothed(own * own, 24), 0))
    equal: FloatArray = own / (strength + 1e-3)
    return equal


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Cosine of two arrays of one shape, in [-1, 1]: 1 is the same picture, 0 is chance."""
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum() + 1e-12))


def _neighbourhood(band: int) -> float:
    """Within which the strength of a band's detail is measured: a Gaussian's standard deviation in pixels."""
    return max(3 * SCALES_PX[min(band, len(SCALES_PX) - 1)], 12.0)


def _raised(mixed: FloatArray, power: FloatArray, band: int) -> FloatArray:
    """Bring what blending left of a band to the strength it has in films, within `_GAIN_LIMIT`."""
    natural = np.sqrt(np.maximum(power, 0))
    present = np.sqrt(np.maximum(smoothed(mixed * mixed, _neighbourhood(band)), 0))
    if band < N_MIXED:
        raised: FloatArray = mixed * natural * np.minimum(1 / (present + 1e-3), _GAIN_LIMIT[band])
        return raised
    gained: FloatArray = mixed * np.clip(natural / (present + 1e-5), 1, _GAIN_LIMIT[band])
    return gained


def _detail(film: FloatArray) -> FloatArray:
    detail: FloatArray = cv2.GaussianBlur(film, (0, 0), 0.8) - smoothed(film, 8)
    return detail


def _coarse(canvas: FloatArray) -> FloatArray:
    small: FloatArray = cv2.resize(canvas, (_GRID_PX, _GRID_PX), interpolation=cv2.INTER_AREA)
    return small


def _fine(share: FloatArray, shape_hw: tuple[int, ...]) -> FloatArray:
    large: FloatArray = cv2.resize(share.astype(np.float32), (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_LINEAR)
    return large
