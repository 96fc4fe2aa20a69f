"""Films altered: so that they are no whole, upright chest any more, or so that they still are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from boxray.classification.gate.drawn import shapes
from boxray.core.arrays import ByteArray

_SMALL_PX: Final = 192


def moved(grey: ByteArray, rng: Generator) -> ByteArray:
    """Still a chest: mirrored left to right, turned by up to ten degrees, trimmed, framed, of another gamma."""
    if rng.random() < 0.3:
        grey = grey[:, ::-1]
    if rng.random() < 0.7:
        edge = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
        grey = _turned(grey, rng.uniform(-10, 10), edge)
    if rng.random() < 0.5:
        grey = _part(grey, rng, rng.uniform(0.85, 1))
    if rng.random() < 0.3:
        top, bottom, left, right = (int(share * grey.shape[0]) for share in rng.uniform(0, 0.15, 4))
        shade = int(rng.choice([0, 0, 255]))
        grey = cv2.copyMakeBorder(grey, top, bottom, left, right, cv2.BORDER_CONSTANT, value=shade)
    if rng.random() < 0.5:
        grey = (255 * (grey / 255.0) ** rng.uniform(0.6, 1.6)).astype(np.uint8)
    return grey


def askew(grey: ByteArray, rng: Generator) -> ByteArray:
    """Turned by 35 to 145 degrees, corners black."""
    return _turned(grey, float(rng.choice([-1, 1])) * rng.uniform(35, 145), cv2.BORDER_CONSTANT)


def one_lung(grey: ByteArray, rng: Generator) -> ByteArray:
    """The left or the right of the picture, less than half of it."""
    width = int(grey.shape[1] * rng.uniform(0.38, 0.48))
    return grey[:, :width] if rng.random() < 0.5 else grey[:, -width:]


def patch(grey: ByteArray, rng: Generator) -> ByteArray:
    """A piece of 15 to 40 % of each side."""
    return _part(grey, rng, rng.uniform(0.15, 0.4))


def shuffled(grey: ByteArray, rng: Generator) -> ByteArray:
    """Cut into 4, 9 or 16 tiles, at least three of them at another's place: a chest's shades without its order."""
    n = int(rng.choice([2, 3, 4]))
    side = _SMALL_PX // n
    small = cv2.resize(grey, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)
    tiles = small.reshape(n, side, n, side).swapaxes(1, 2).reshape(n * n, side, side)
    order = np.arange(n * n)
    while (order != np.arange(n * n)).sum() < 3:
        order = rng.permutation(n * n)
    mixed: ByteArray = tiles[order].reshape(n, n, side, side).swapaxes(1, 2).reshape(_SMALL_PX, _SMALL_PX)
    return mixed


def among_things(grey: ByteArray, rng: Generator) -> ByteArray:
    """Photographed from afar: a third to a half of the picture's side, slightly skewed, things around it."""
    ground = shapes(rng)
    whole = ground.shape[0]
    side = rng.uniform(0.3, 0.5) * whole
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 + rng.uniform(-0.06, 0.06, (4, 2)) * side
    seen = (corners + rng.uniform(side / 2, whole - side / 2, 2)).astype(np.float32)
    height, width = grey.shape
    film = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    onto = cv2.getPerspectiveTransform(film, seen)
    covered = cv2.warpPerspective(np.full_like(grey, 255), onto, (whole, whole)) > 127
    return np.where(covered, cv2.warpPerspective(grey, onto, (whole, whole)), ground)


def sheet(films: Sequence[ByteArray], rng: Generator) -> ByteArray:
    """Two to nine films on one sheet."""
    rows, columns = ((1, 2), (2, 1), (2, 2), (2, 3), (3, 3))[rng.integers(5)]
    small = [cv2.resize(films[k], (96, 96), interpolation=cv2.INTER_AREA) for k in rng.integers(len(films), size=9)]
    return np.vstack([np.hstack(small[row * columns : (row + 1) * columns]) for row in range(rows)])


def _turned(grey: ByteArray, degrees: float, edge: int) -> ByteArray:
    height, width = grey.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(degrees), 1.0)
    turned: ByteArray = cv2.warpAffine(grey, turn, (width, height), borderMode=edge)
    return turned


def _part(grey: ByteArray, rng: Generator, share: float) -> ByteArray:
    height, width = (max(24, int(side * share)) for side in grey.shape)
    top, left = rng.integers(grey.shape[0] - height + 1), rng.integers(grey.shape[1] - width + 1)
    return grey[top : top + height, left : left + width]


ALTERED: Final = MappingProxyType[str, tuple[Callable[[ByteArray, Generator], ByteArray], str]](
    {
        "film inverted": (lambda grey, _: 255 - grey, "quality.polarity"),
        "film turned left": (lambda grey, _: np.rot90(grey, 1), "scope.rotated"),
        "film turned right": (lambda grey, _: np.rot90(grey, 3), "scope.rotated"),
        "film upside down": (lambda grey, _: np.rot90(grey, 2), "scope.rotated"),
        "film mirrored top to bottom": (lambda grey, _: grey[::-1], "scope.rotated"),
        "film inverted and turned": (
            lambda grey, rng: np.rot90(255 - grey, int(rng.integers(1, 4))),
            "scope.not_chest",
        ),
        "film askew": (askew, "scope.not_chest"),
        "one lung of a film": (one_lung, "scope.not_chest"),
        "patch of a film": (patch, "scope.not_chest"),
        "film shuffled": (shuffled, "scope.not_chest"),
        "film among things": (among_things, "scope.not_chest"),
    }
)
"""What became of a film -> how, and the code that it should be refused with. Grey is uint8 of shape ``(H, W)``."""
