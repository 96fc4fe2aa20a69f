"""Pictures drawn from nothing that are no chest: noise, shapes, pages, hands, slices. Crude, and many of them.

The gate is fitted on them and on altered films, so that real photographs and scans are left to measure it by.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
from numpy.random import Generator

from boxray.core.arrays import ByteArray, FloatArray

_SIDE_PX: Final = 256
_MIDDLE: Final = np.array([_SIDE_PX / 2, _SIDE_PX / 2])
_CHARACTERS: Final = list(string.ascii_letters + string.digits + "     ")


def stretched(values: FloatArray) -> ByteArray:
    """Any numbers as shades that span 0 to 255; all equal: all 0."""
    above = values - values.min()
    shades: ByteArray = (255 * above / max(float(above.max()), 1e-9)).astype(np.uint8)
    return shades


def cloud(rng: Generator, fall: float) -> FloatArray:
    """Random shades in [0, 1], shape (256, 256); `fall` is how fast power falls: 0 is white noise, 2 is fog."""
    frequency = np.hypot(np.fft.fftfreq(_SIDE_PX)[:, None], np.fft.rfftfreq(_SIDE_PX)[None])
    frequency[0, 0] = 1
    waves = (rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)) / frequency**fall
    waves[0, 0] = 0
    return stretched(np.fft.irfft2(waves, s=(_SIDE_PX, _SIDE_PX))) / np.float64(255)


def noise(rng: Generator) -> ByteArray:
    """From white noise to fog."""
    return stretched(cloud(rng, rng.uniform(0, 2.2)))


def mirrored(rng: Generator) -> ByteArray:
    """Fog or shapes with a left that mirrors the right, as a chest nearly has."""
    picture = noise(rng) if rng.random() < 0.5 else shapes(rng)
    half = picture[:, : _SIDE_PX // 2]
    return np.hstack([half, half[:, ::-1]])


def shapes(rng: Generator) -> ByteArray:
    """Things of all sizes, each before the last, as in a photograph ("dead leaves": Lee, Mumford, Huang, IJCV 2001)."""
    grey = np.full((_SIDE_PX, _SIDE_PX), rng.integers(0, 256), dtype=np.uint8)
    for _ in range(rng.integers(5, 150)):
        radius = int(min(4 / rng.random() ** 0.7, 120))
        place, shade = rng.integers(0, _SIDE_PX, 2), int(rng.integers(0, 256))
        if rng.random() < 0.6:
            axes = radius, max(1, int(radius * rng.uniform(0.2, 1)))
            cv2.ellipse(grey, _point(place), axes, float(rng.uniform(0, 180)), 0, 360, shade, -1)
        else:
            corners = place + rng.integers(-radius, radius + 1, (rng.integers(3, 7), 2))
            cv2.fillPoly(grey, [corners.astype(np.int32)], shade)
    soft = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.5, 3))
    return stretched(soft + rng.uniform(0, 30) * cloud(rng, 1))


def ramp(rng: Generator) -> ByteArray:
    """A gradient, a ring of shade or waves."""
    y, x = np.mgrid[-1 : 1 : _SIDE_PX * 1j, -1 : 1 : _SIDE_PX * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    ring = np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)) * rng.choice([-1, 1])
    kinds = along, ring, np.sin(rng.uniform(2, 20) * along)
    return stretched(kinds[rng.integers(3)] + rng.uniform(0, 0.1) * rng.standard_normal(x.shape))


def blank(rng: Generator) -> ByteArray:
    """One shade, or hardly more."""
    return (rng.uniform(5, 250) + rng.integers(0, 4) * cloud(rng, rng.uniform(0, 2))).astype(np.uint8)


def page(rng: Generator) -> ByteArray:
    """Lines of letters and some figures, dark on bright or bright on dark."""
    grey = np.full((256, 200), 255, dtype=np.uint8)
    size, y = rng.uniform(0.3, 0.9), int(rng.integers(10, 30))
    while y < 250:
        left = int(rng.integers(5, 60))
        if rng.random() < 0.85:
            line = "".join(rng.choice(_CHARACTERS, rng.integers(5, 40)))
            cv2.putText(grey, line, (left, y), int(rng.integers(0, 8)), size, 0, 1, cv2.LINE_AA)
        else:
            corner = left + int(rng.integers(20, 140)), y + int(rng.integers(10, 60))
            cv2.rectangle(grey, (left, y), corner, int(rng.integers(0, 200)), -1)
        y += int(30 * size) + int(rng.integers(1, 10))
    return 255 - grey if rng.random() < 0.3 else grey


def hand(rng: Generator) -> ByteArray:
    """Five rays of bones in soft tissue, any way up; some as a negative."""
    grey = np.zeros((_SIDE_PX, _SIDE_PX), dtype=np.uint8)
    palm, length = _MIDDLE + np.array([0, 40]) + rng.uniform(-20, 20, 2), rng.uniform(60, 110)
    cv2.ellipse(grey, _point(palm), (int(rng.integers(35, 50)), int(rng.integers(40, 60))), 0, 0, 360, 90, -1)
    cv2.line(grey, _point(palm), (int(palm[0]), _SIDE_PX), 90, int(rng.integers(45, 65)))
    rays = []
    for degrees, share in zip((-65, -25, -8, 8, 25), (0.7, 1, 1, 1, 0.9), strict=True):
        angle = np.deg2rad(degrees + rng.uniform(-5, 5))
        way = np.array([np.sin(angle), -np.cos(angle)])
        rays.append((palm + 30 * way, length * share * way))
        cv2.line(grey, _point(rays[-1][0]), _point(sum(rays[-1])), 90, int(rng.integers(16, 24)))
    for start, ray in rays:
        for near, far in ((-0.4, 0.25), (0.3, 0.6), (0.64, 0.82), (0.86, 0.97)):
            shade, width = int(rng.integers(170, 230)), int(rng.integers(5, 10))
            cv2.line(grey, _point(start + near * ray), _point(start + far * ray), shade, width)
    for aside in (-12, 10):
        cv2.line(grey, _point(palm + np.array([aside, 45])), (int(palm[0] + aside), _SIDE_PX), 200, 14)
    return _film_of(grey, rng, turn=float(rng.uniform(-180, 180)))


def knee(rng: Generator) -> ByteArray:
    """Two long bones that meet, in soft tissue, any way up; some as a negative."""
    grey = np.zeros((_SIDE_PX, _SIDE_PX), dtype=np.float32)
    x, joint = int(128 + rng.integers(-20, 20)), int(rng.integers(90, 170))
    cv2.line(grey, (x, -20), (x + int(rng.integers(-30, 30)), 276), 80, int(rng.integers(80, 180)))
    grey = cv2.GaussianBlur(grey, (0, 0), 6)
    thick = int(rng.integers(18, 30))
    for end, middle, height in ((-20, joint - 16, 22), (276, joint + 24, 18)):
        cv2.line(grey, (x, end), (x, middle), 200, thick)
        cv2.ellipse(grey, (x, middle), (int(1.4 * thick), height), 0, 0, 360, 210, -1)
    return _film_of(grey, rng, turn=float(rng.uniform(-90, 90)))


def slice_across(rng: Generator) -> ByteArray:
    """A body cut across, as CT or MR show it: with two lungs, with organs, or a head."""
    grey = np.zeros((_SIDE_PX, _SIDE_PX), dtype=np.float32)
    a, b = rng.uniform(70, 118), rng.uniform(55, 105)
    cv2.ellipse(grey, _point(_MIDDLE), (int(a), int(b)), 0, 0, 360, 150, -1)
    if rng.random() < 0.5:
        cv2.ellipse(grey, _point(_MIDDLE), (int(a), int(b)), 0, 0, 360, 230, int(rng.integers(3, 10)))
    kind = rng.integers(3)
    if kind == 0:
        for side in (-1, 1):
            place, tilt = _point(_MIDDLE + np.array([side * 0.45 * a, 0])), float(side * rng.uniform(0, 15))
            cv2.ellipse(grey, place, (int(a * 0.33), int(b * 0.6)), tilt, 0, 360, 20, -1)
    elif kind == 1:
        for _ in range(rng.integers(3, 12)):
            place, axes = _point(_MIDDLE + rng.uniform(-0.6, 0.6, 2) * [a, b]), _point(rng.integers(5, 30, 2))
            shade = float(rng.uniform(60, 220))
            cv2.ellipse(grey, place, axes, float(rng.uniform(0, 180)), 0, 360, shade, -1)
    else:
        for side in (-1, 1):
            place = _point(_MIDDLE + np.array([side * 0.15 * a, 0]))
            cv2.ellipse(grey, place, (int(a * 0.1), int(b * 0.3)), float(side * 10), 0, 360, 60, -1)
    cv2.circle(grey, _point(_MIDDLE + np.array([0, 0.65 * b])), int(rng.integers(8, 16)), 240, -1)
    return stretched(cv2.GaussianBlur(grey, (0, 0), 1.5) + 25 * cloud(rng, rng.uniform(0.3, 1.2)))


def fan(rng: Generator) -> ByteArray:
    """The sector of an ultrasound probe: speckle, mostly with a dark cavity in it."""
    y, x = np.mgrid[0 : 1 : _SIDE_PX * 1j, -0.6 : 0.6 : _SIDE_PX * 1j]
    distance, angle = np.hypot(x, y + 0.15), np.arctan2(x, y + 0.15)
    speckle = cloud(rng, rng.uniform(0.2, 1.3)) * rng.gamma(2, 0.5, x.shape)
    if rng.random() < 0.7:
        cavity = np.hypot(x - rng.uniform(-0.2, 0.2), y - rng.uniform(0.4, 0.7)) < rng.uniform(0.05, 0.2)
        speckle[cavity] *= 0.1
    inside = (np.abs(angle) < rng.uniform(0.4, 0.8)) & (distance > 0.25) & (distance < 1.05)
    return stretched(np.where(inside, speckle, 0))


def side_view(rng: Generator) -> ByteArray:
    """A chest from the side, as far as one can draw it: one dark field, spine behind, heart before."""
    y, x = np.mgrid[0 : 1 : _SIDE_PX * 1j, 0 : 1 : _SIDE_PX * 1j]
    shade = np.where(np.hypot((x - 0.5) / 0.36, (y - 0.6) / 0.62) < 1, 0.5, 0.05)
    shade[np.hypot((x - 0.5) / rng.uniform(0.18, 0.26), (y - 0.45) / rng.uniform(0.28, 0.36)) < 1] = 0.2
    shade[np.abs(x - rng.uniform(0.68, 0.78) - 0.06 * np.sin(3 * y)) < 0.05] = 0.8
    shade[np.hypot(x - rng.uniform(0.32, 0.42), y - 0.62) < 0.14] = 0.75
    shade[(y > 0.78) & (np.abs(x - 0.5) < 0.34)] = 0.85
    soft = 255 * cv2.GaussianBlur(shade, (0, 0), rng.uniform(3, 8))
    view = stretched(soft + 40 * cloud(rng, 1.2) + 8 * rng.standard_normal(x.shape))
    return view[:, ::-1] if rng.random() < 0.5 else view


def _film_of(grey: Any, rng: Generator, turn: float) -> ByteArray:
    """Something drawn as a film of it: turned, soft, with fog of its own; one in three as a negative."""
    turned = cv2.getRotationMatrix2D(_MIDDLE.tolist(), turn, rng.uniform(0.8, 1.2))
    soft = cv2.GaussianBlur(cv2.warpAffine(grey, turned, (_SIDE_PX, _SIDE_PX)), (0, 0), 1.3)
    film = stretched(soft + 12 * cloud(rng, 1))
    return 255 - film if rng.random() < 1 / 3 else film


def _point(xy: Any) -> tuple[int, int]:
    return int(xy[0]), int(xy[1])


DRAWN: Final = MappingProxyType[str, Callable[[Generator], ByteArray]](
    {
        "blank": blank,
        "ramp or waves": ramp,
        "noise": noise,
        "mirrored noise or shapes": mirrored,
        "shapes": shapes,
        "page of text": page,
        "hand": hand,
        "knee": knee,
        "slice across": slice_across,
        "ultrasound fan": fan,
        "side view": side_view,
    }
)
"""What is shown -> who draws it; each gives grey, uint8 of shape ``(H, W)``, another one at every call."""
