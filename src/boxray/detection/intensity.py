"""Random changes of how a film looks, as machines and windows differ: its detail, its grain, its shades."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import ByteArray, FloatArray
from boxray.detection.recipe import Augment
from boxray.imaging.acquisition import coarsened, grained


def vary_look(film: ByteArray, augment: Augment, rng: np.random.Generator) -> ByteArray:
    """A film as another machine might have shown it: coarser, grainier, windowed, then gamma, then brighter or darker.

    Args:
        film: Shape ``(H, W)``; not changed.
        augment: How much of each; 0 everywhere gives the film back.
        rng: Decides.
    """
    if augment.coarsen:
        film = coarsened(film, 1 - rng.uniform(0, augment.coarsen))
    if augment.grain:
        film = grained(film, rng.uniform(0, augment.grain), rng)
    low, high = window(film, rng.uniform(0, augment.windowing), rng.uniform(0, augment.windowing))
    gamma = (1 + augment.gamma) ** rng.uniform(-1, 1)
    gain = 1 + augment.brightness * rng.uniform(-1, 1)
    if (low, high, gamma, gain) == (0, 255, 1, 1):
        return film
    return np.asarray(shade_table(low, high, gamma, gain)[film])


def window(film: ByteArray, cut_low: float, cut_high: float) -> tuple[int, int]:
    """The darkest and the brightest shade that are left when a share of the pixels is cut off at either end.

    Returns:
        Whole shades with ``low < high``; (0, 255), the whole range, where nothing is to be cut off at either end
        or the film is too even to be windowed.
    """
    if cut_low == 0 and cut_high == 0:
        return 0, 255
    below = np.cumsum(np.bincount(film.ravel(), minlength=256)) / film.size
    low, high = int(np.searchsorted(below, cut_low)), int(np.searchsorted(below, 1 - cut_high))
    return (low, high) if low < high else (0, 255)


def shade_table(low: int, high: int, gamma: float, gain: float) -> ByteArray:
    """Old shade to new shade, shape ``(256,)``: ``((shade - low) / (high - low)) ** gamma * gain``, clipped."""
    shades: FloatArray = np.clip((np.arange(256) - low) / (high - low), 0, 1)
    table: ByteArray = np.round(np.clip(shades**gamma * gain, 0, 1) * 255).astype(np.uint8)
    return table
