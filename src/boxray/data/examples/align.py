"""Bring films of different people onto one body: by their lungs, then affinely, then densely.

A dense registration is what keeps the mean sharp: over forty films, ribs lie on ribs. The shape that comes
out is nobody's either: every film's way to the common template is averaged, as in Guimond et al., 2000,
and the mean shape is moved a little along the main modes of variation (a statistical shape model).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from boxray.core.arrays import BoolArray, ByteArray, FloatArray
from boxray.core.frames import ScaleShift
from boxray.data.examples.films import Film, burned_in
from boxray.data.examples.lungs import LungLocator

SIDE_PX = 1024
"""Side of the canvas on which composites are made."""
GRID_PX = 512
"""Side of the grid on which ways between films are found."""
LUNGS_X, LUNGS_Y = (0.10, 0.90), (0.08, 0.80)
"""Where both lungs together come to lie on the canvas, in fractions of its side."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A film on the canvas, lungs where all lungs lie. Arrays have shape ``(SIDE_PX, SIDE_PX)``."""

    pixels: FloatArray
    """Float32 in [0, 1]; beyond the film's edge it is mirrored."""
    valid: FloatArray
    """1 where the film shows a body, 0 beyond its edge, where it is black, and where something is burned in."""
    wanted: FloatArray
    """1 inside the boxes of the finding that is to be shown."""
    unwanted: FloatArray
    """1 inside any other box."""
    px_per_px: float
    """Canvas pixels per pixel of the film: how much it was enlarged."""
    stretch: float
    """How much further it was enlarged across than along the body."""


def place(film: Film, locator: LungLocator) -> Placed:
    """Scale and shift a film (x and y apart) so that its lungs fill the canvas as `LUNGS_X`, `LUNGS_Y` say."""
    grey = film.grey()
    to_canvas = _to_canvas(locator(grey))
    scale = np.array([to_canvas.scale_x, to_canvas.scale_y])
    shift = np.array([to_canvas.shift_x, to_canvas.shift_y])
    # cv2 counts from the centre of the first pixel, our boxes from its outer corner: half a pixel each way.
    matrix = np.column_stack([np.diag(scale), shift + 0.5 * scale - 0.5]).astype(np.float32)
    size = (SIDE_PX, SIDE_PX)
    foreign = burned_in(grey)
    clean = cv2.inpaint(grey, foreign.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    pixels = cv2.warpAffine(
        clean.astype(np.float32) / 255, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    valid = cv2.warpAffine(((grey > 3) & ~foreign).astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    boxes = to_canvas.apply(film.boxes_xyxy)
    is_wanted = np.array(film.wanted, dtype=bool)
    return Placed(
        pixels,
        valid,
        _painted(boxes[is_wanted]),
        _painted(boxes[~is_wanted]),
        float(scale.mean()),
        float(scale[0] / scale[1]),
    )


def boxes_on_canvas(film: Film, locator: LungLocator) -> FloatArray:
    """Shape ``(N, 4)``: the wanted boxes as `place` puts them, in fractions of the canvas."""
    wanted = np.array(film.wanted, dtype=bool)
    return _to_canvas(locator(film.grey())).apply(film.boxes_xyxy[wanted]) / SIDE_PX


def _to_canvas(lungs_xyxy: FloatArray) -> ScaleShift:
    x1, x2 = lungs_xyxy[:, 0].min(), lungs_xyxy[:, 2].max()
    y1, y2 = lungs_xyxy[:, 1].mean(), lungs_xyxy[:, 3].mean()
    scale_x = float((LUNGS_X[1] - LUNGS_X[0]) * SIDE_PX / (x2 - x1))
    scale_y = float((LUNGS_Y[1] - LUNGS_Y[0]) * SIDE_PX / (y2 - y1))
    shift_x, shift_y = float(LUNGS_X[0] * SIDE_PX - x1 * scale_x), float(LUNGS_Y[0] * SIDE_PX - y1 * scale_y)
    return ScaleShift(scale_x, scale_y, shift_x, shift_y)


def match_exposure(films: list[Placed], where: BoolArray) -> list[FloatArray]:
    """Pixels of all films with one distribution of grey over `where`, the median film's; shapes stay.

    Args:
        films: At least one.
        where: Shape ``(SIDE_PX, SIDE_PX)``: what is compared. Films are compared only where they are valid.
    """
    steps = np.linspace(0, 1, 256)
    curves = []
    for film in films:
        shades = film.pixels[where & (film.valid > 0.5)][::7]
        curve = np.quantile(shades, steps)
        curves.append(np.maximum.accumulate(curve + np.arange(256) * 1e-6))
    # The extreme per cent is left out of the scale: letters and collimators live there.
    common = np.median([(curve - curve[3]) / (curve[-4] - curve[3]) for curve in curves], axis=0)
    return [np.interp(film.pixels, curve, common).astype(np.float32) for film, curve in zip(films, curves, strict=True)]


def flattened(pixels: FloatArray, sigma_px: float = 24) -> ByteArray:
    """A film without its exposure: local mean taken off, local contrast made equal. Same shape, 128 is the mean."""
    rest = pixels - cv2.GaussianBlur(pixels, (0, 0), sigma_px)
    contrast = np.sqrt(np.maximum(cv2.GaussianBlur(rest * rest, (0, 0), sigma_px), 0))
    flat: ByteArray = np.clip(rest / (contrast + 0.015) * 40 + 128, 0, 255).astype(np.uint8)
    return flat


def likeness(one: FloatArray | ByteArray, other: FloatArray | ByteArray) -> float:
    """Normalised correlation of two flattened films over the lungs' part of the grid, in [-1, 1]."""
    rows, columns = slice(GRID_PX // 12, GRID_PX * 5 // 6), slice(GRID_PX // 10, GRID_PX * 9 // 10)
    a = one[rows, columns].astype(np.float64) - 128
    b = other[rows, columns].astype(np.float64) - 128
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@dataclass(frozen=True, slots=True)
class Aligned:
    """The ways from one template to every film."""

    flows: list[FloatArray]
    """Each of shape ``(GRID_PX, GRID_PX, 2)``, in pixels of the grid: template point ``p`` lies at ``p + flow[p]``."""
    likeness: list[float]
    """Of every film to the mean, after alignment."""


def affine_flows(flats: list[ByteArray], n_rounds: int = 2) -> tuple[list[FloatArray], list[float]]:
    """Align flattened films affinely with their own mean (ECC, Evangelidis and Psarakis, 2008).

    Returns:
        Flows as in `Aligned`, and every film's likeness to the mean.
    """
    mean = np.mean([flat.astype(np.float32) for flat in flats], axis=0)
    flows = [np.zeros((GRID_PX, GRID_PX, 2), np.float32) for _ in flats]
    for _ in range(n_rounds):
        target = _stretched(mean)
        flows = [_affine_flow(target, flat) for flat in flats]
        moved = [warp(flat, flow) for flat, flow in zip(flats, flows, strict=True)]
        mean = np.mean([flat.astype(np.float32) for flat in moved], axis=0)
    return flows, [likeness(flat, mean) for flat in moved]


def dense_flows(
    flats: list[ByteArray],
    starts: list[FloatArray],
    leaders: list[int],
    distrusted: list[FloatArray | None],
    n_rounds: int = 2,
    smooth_px: float = 4.5,
) -> Aligned:
    """Register flattened films to one template: first the most typical leader, then the leaders' mean.

    Args:
        flats: Shape ``(GRID_PX, GRID_PX)`` each.
        starts: Their affine flows.
        leaders: Indices of the films whose shape counts, most typical first.
        distrusted: Per film None or a map in [0, 1] of where its flow is not to be believed (a finding
            that the film has not); there the flow is carried on from around.
        n_rounds: How often the template is renewed.
        smooth_px: Gaussian smoothing of the flow: what keeps a way from folding.
    """
    moved = [warp(flat, start) for flat, start in zip(flats, starts, strict=True)]
    template: FloatArray | ByteArray = moved[leaders[0]]
    for _ in range(n_rounds):
        leading = [_dis_flow(template, moved[i], smooth_px) for i in leaders]
        ahead = [warp(moved[i], flow).astype(np.float32) for i, flow in zip(leaders, leading, strict=True)]
        lead = np.mean(ahead, axis=0)
        template = _stretched(lead)
    flows = [
        _carried_on(_dis_flow(template, flat, smooth_px), doubt) for flat, doubt in zip(moved, distrusted, strict=True)
    ]
    alike = [likeness(warp(flat, flow), lead) for flat, flow in zip(moved, flows, strict=True)]
    return Aligned([composed(start, flow) for start, flow in zip(starts, flows, strict=True)], alike)


def warp(image: FloatArray | ByteArray, flow: FloatArray, interpolation: int = cv2.INTER_CUBIC) -> FloatArray:
    """The image as the template sees it: ``out[p] = image[p + flow[p]]``; any square image, flow scaled to it."""
    side = image.shape[0]
    if side != flow.shape[0]:
        flow = cv2.resize(flow, (side, side), interpolation=cv2.INTER_LINEAR) * (side / flow.shape[0])
    x, y = _grid(side)
    moved: FloatArray = cv2.remap(
        image, x + flow[..., 0], y + flow[..., 1], interpolation, borderMode=cv2.BORDER_REFLECT_101
    )
    return moved


def believable(flow: FloatArray) -> FloatArray:
    """1 where a way neither folds nor tears, 0 where it shrinks or stretches areas beyond three times. Soft edge."""
    dx, dy = np.gradient(flow, axis=1), np.gradient(flow, axis=0)
    area = (1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0]
    bad = cv2.dilate(((area < 1 / 3) | (area > 3)).astype(np.float32), np.ones((9, 9), np.uint8))
    good: FloatArray = np.clip(1 - 1.5 * cv2.GaussianBlur(bad, (0, 0), 3), 0, 1)
    return good


def composed(first: FloatArray, then: FloatArray) -> FloatArray:
    """The flow that goes `then` and lands where `first` begins: ``then[p] + first[p + then[p]]``."""
    flow: FloatArray = then + warp(first, then, cv2.INTER_LINEAR)
    return flow


def inverted(flow: FloatArray, n_rounds: int = 25) -> FloatArray:
    """The way back, by damped fixed-point iteration; exact to a fraction of a pixel where the flow does not fold."""
    back = -flow
    for _ in range(n_rounds):
        back = (back - warp(flow, back, cv2.INTER_LINEAR)) / 2
    return back


def draw_shape(flows: list[FloatArray], rng: Generator, spread: float, n_modes: int = 5) -> FloatArray:
    """A new body shape: the mean of all ways, moved along the main modes of their variation.

    Args:
        flows: As in `Aligned`.
        rng: Decides how far along each mode.
        spread: Standard deviations; 0 gives the mean shape. No mode moves by more than 1.5 of its own.
        n_modes: How many principal components take part.

    Returns:
        The flow from the new shape's grid to the template's grid.
    """
    mean = np.mean(flows, axis=0)
    small = np.stack([cv2.resize(flow - mean, (64, 64), interpolation=cv2.INTER_AREA).ravel() for flow in flows])
    _, sizes, modes = np.linalg.svd(small, full_matrices=False)
    steps = np.clip(rng.normal(0, 1, n_modes) * spread, -1.5, 1.5)
    change = ((steps * sizes[:n_modes] / np.sqrt(len(flows)))[:, None] * modes[:n_modes]).sum(axis=0)
    change = cv2.resize(change.reshape(64, 64, 2).astype(np.float32), (GRID_PX, GRID_PX), interpolation=cv2.INTER_CUBIC)
    return inverted(cv2.GaussianBlur((mean + change).astype(np.float32), (0, 0), 14))


def _painted(boxes_xyxy: FloatArray) -> FloatArray:
    canvas = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for x1, y1, x2, y2 in np.round(boxes_xyxy).astype(int).clip(0, SIDE_PX):
        canvas[y1:y2, x1:x2] = 1
    return canvas


def _grid(side: int) -> tuple[FloatArray, FloatArray]:
    line = np.arange(side, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def _stretched(mean: FloatArray) -> ByteArray:
    """A mean of flattened films with a single film's contrast again, so that registration sees like with like."""
    flat: ByteArray = np.clip((mean - 128) * (36 / (mean.std() + 1e-6)) + 128, 0, 255).astype(np.uint8)
    return flat


def _affine_flow(target: ByteArray, flat: ByteArray) -> FloatArray:
    matrix = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    half = [cv2.resize(film, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for film in (target, flat)]
    try:
        _, matrix = cv2.findTransformECC(half[0], half[1], matrix, cv2.MOTION_AFFINE, stop, None, 3)
    except cv2.error:  # it did not converge: the lungs' boxes have to do
        matrix = np.eye(2, 3, dtype=np.float32)
    x, y = _grid(GRID_PX)
    (a, b, c), (d, e, f) = matrix * np.array([1, 1, 2], np.float32)  # found at half the size
    return np.stack([a * x + b * y + c - x, d * x + e * y + f - y], axis=-1)


def _dis_flow(template: FloatArray | ByteArray, flat: FloatArray | ByteArray, smooth_px: float) -> FloatArray:
    """Dense inverse search (Kroeger et al., 2016), smoothed."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(1)
    search.setPatchSize(12)
    search.setPatchStride(4)
    search.setVariationalRefinementIterations(10)
    search.setVariationalRefinementAlpha(40)
    flow: FloatArray = cv2.GaussianBlur(search.calc(template, flat, None), (0, 0), smooth_px)
    return flow


def _carried_on(flow: FloatArray, doubt: FloatArray | None, sigma_px: float = 30) -> FloatArray:
    if doubt is None:
        return flow
    trust = (1 - doubt)[..., None]
    around = cv2.GaussianBlur(flow * trust, (0, 0), sigma_px)
    weight = cv2.GaussianBlur(1 - doubt, (0, 0), sigma_px)[..., None] + 1e-4
    carried = trust * flow + (1 - trust) * around / weight
    # Where the two meet, neither may fold the other.
    seam = np.clip(2 * cv2.GaussianBlur(doubt, (0, 0), 12), 0, 1)[..., None]
    smooth: FloatArray = seam * cv2.GaussianBlur(carried, (0, 0), 9) + (1 - seam) * carried
    return smooth
