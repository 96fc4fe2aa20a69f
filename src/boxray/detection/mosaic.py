"""One film, or four put together, as a training picture; and for every place of it, which film lies there.

A mosaic (Bochkovskiy et al., 2020, YOLOv4, section 3.3) shows a detector parts of four films at once. Films know
of different findings, so what a place may teach depends on the film that lies there. Nothing is drawn for that
and nothing rounded: a picture carries the rectangles of its films on the *canvas* and the map back to it.

film ──origin──> canvas (the square itself, or twice as wide for four films) ──turn, scale, shift──> picture
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from boxray.core.arrays import BoolArray, ByteArray, FloatArray, IntArray
from boxray.core.boxes import clip_boxes, move_boxes
from boxray.core.frames import Size
from boxray.detection.recipe import Augment
from boxray.imaging.letterbox import PAD_SHADE

MOST_FILMS: Final = 4

SMALLEST_SIDE_PX: Final = 2.0
SMALLEST_SHARE: Final = 0.1
"""Of a box's area: what is left of a box that is cut further is no place that anybody would draw."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film at the size that it has on the canvas; places and sizes in its pixels."""

    pixels: ByteArray
    boxes_xyxy: FloatArray
    """Shape ``(N, 4)``."""
    findings: IntArray
    """Shape ``(N,)``: the places of the boxes' findings in the label space."""

    @property
    def size_wh(self) -> Size:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where films lie on a square canvas. ``K`` films, in their order."""

    side_px: int
    origins_xy: FloatArray
    """Shape ``(K, 2)``: the films' top-left corners, which may lie outside."""
    rects_xyxy: FloatArray
    """Shape ``(K, 4)``: the part of the canvas that shows the film; no two overlap."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the network is shown, in a square of S pixels."""

    pixels: ByteArray
    """Shape ``(S, S)``; 114 where there is no film."""
    boxes_xyxy: FloatArray
    """Shape ``(N, 4)``."""
    findings: IntArray
    film_of_box: IntArray
    """Shape ``(N,)``: the place of the box's film among the films."""
    rects_xyxy: FloatArray
    """Shape ``(4, 4)`` on the canvas; a film that is not there has a rectangle without area."""
    to_canvas: FloatArray
    """Shape ``(2, 3)``: from the picture's pixels to the canvas."""
    seen: FloatArray
    """Shape ``(4,)``: the share of each film's area that the picture shows; 0 for a film that is not there."""


def alone(size_wh: Size, side_px: int) -> Layout:
    """One film in the middle of the square, as `core.frames.Letterbox` puts it there."""
    left, top = (side_px - size_wh[0]) // 2, (side_px - size_wh[1]) // 2
    rect = np.array([[left, top, left + size_wh[0], top + size_wh[1]]], dtype=np.float64)
    return Layout(side_px, rect[:, :2], rect)


def four(sizes_wh: Sequence[Size], side_px: int, rng: np.random.Generator) -> Layout:
    """Four films that meet in a point, on a canvas twice as wide; what does not fit is cut off.

    Args:
        sizes_wh: Of the films top left, top right, bottom left, bottom right, none wider or higher than `side_px`.
        side_px: Of the picture that will be cut out.
        rng: Decides where they meet: in the middle half of the canvas.
    """
    meet_xy = np.floor(rng.uniform(0.5 * side_px, 1.5 * side_px, size=2))
    sizes = np.array(sizes_wh, dtype=np.float64)
    ends_at_meeting = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    origins = meet_xy - sizes * ends_at_meeting
    rects = np.clip(np.hstack([origins, origins + sizes]), 0, 2 * side_px)
    return Layout(2 * side_px, origins, rects)


def random_map(canvas_px: int, side_px: int, augment: Augment, rng: np.random.Generator) -> FloatArray:
    """Turn and scale about the canvas' centre, which comes to lie in the picture's, shifted.

    Returns:
        Shape ``(2, 3)``: from the canvas to the picture.
    """
    angle = np.deg2rad(rng.uniform(-augment.degrees, augment.degrees))
    scale = rng.uniform(1 - augment.scale, 1 + augment.scale)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = side_px * (0.5 + rng.uniform(-augment.translate, augment.translate, size=2))
    return np.column_stack([turn, target - turn @ np.full(2, canvas_px / 2)])


def compose(films: Sequence[Film], layout: Layout, to_picture: FloatArray, side_px: int) -> Picture:
    """Put films on a canvas and look at it through a map.

    Boxes are cut where their film is cut; after a turn a box is the upright rectangle round the turned one. A box of
    which less than a tenth is left, or less than two pixels in width or height, is left out.

    Args:
        films: At most four.
        layout: One place for each.
        to_picture: Shape ``(2, 3)``, of `random_map`.
        side_px: Of the picture.
    """
    canvas = np.full((layout.side_px, layout.side_px), PAD_SHADE, np.uint8)
    rects = np.zeros((MOST_FILMS, 4))
    seen = np.zeros(MOST_FILMS)
    boxes: list[FloatArray] = [np.zeros((0, 4))]
    findings: list[IntArray] = [np.zeros(0, int)]
    film_of_box: list[IntArray] = [np.zeros(0, int)]
    for place, film in enumerate(films):
        rect, origin = layout.rects_xyxy[place], layout.origins_xy[place]
        (x1, y1, x2, y2), (left, top) = rect.astype(int), origin.astype(int)
        canvas[y1:y2, x1:x2] = film.pixels[y1 - top : y2 - top, x1 - left : x2 - left]
        rects[place] = rect
        seen[place] = _share_seen(film, rect, to_picture, side_px)
        moved, kept = _move_boxes(film, rect, origin, to_picture, side_px)
        boxes.append(moved[kept])
        findings.append(film.findings[kept])
        film_of_box.append(np.full(int(kept.sum()), place))
    return Picture(
        _look(canvas, to_picture, side_px),
        np.concatenate(boxes),
        np.concatenate(findings),
        np.concatenate(film_of_box),
        rects,
        _inverse(to_picture),
        seen,
    )


def _look(canvas: ByteArray, to_picture: FloatArray, side_px: int) -> ByteArray:
    if canvas.shape[0] == side_px and np.array_equal(to_picture, np.eye(2, 3)):
        return canvas
    # OpenCV counts from the middle of the first pixel, boxes from its corner.
    half = np.full(2, 0.5)
    shift = to_picture[:, 2] + to_picture[:, :2] @ half - half
    matrix = np.column_stack([to_picture[:, :2], shift])
    return np.asarray(cv2.warpAffine(canvas, matrix, (side_px, side_px), borderValue=PAD_SHADE))


def _move_boxes(
    film: Film, rect: FloatArray, origin: FloatArray, to_picture: FloatArray, side_px: int
) -> tuple[FloatArray, BoolArray]:
    """All boxes of a film in the picture, shape ``(N, 4)``, and which of them are kept."""
    on_canvas = np.clip(film.boxes_xyxy + np.tile(origin, 2), np.tile(rect[:2], 2), np.tile(rect[2:], 2))
    upright = clip_boxes(move_boxes(on_canvas, to_picture), (side_px, side_px))
    sides = upright[:, 2:] - upright[:, :2]
    whole = (film.boxes_xyxy[:, 2:] - film.boxes_xyxy[:, :2]).prod(axis=1) * _area_scale(to_picture)
    # A part that was cut off by the canvas has no area there, whatever rectangle a turn draws round it.
    there = (on_canvas[:, 2:] > on_canvas[:, :2]).all(axis=1)
    kept: BoolArray = there & (sides > SMALLEST_SIDE_PX).all(axis=1) & (sides.prod(axis=1) > SMALLEST_SHARE * whole)
    return upright, kept


def _share_seen(film: Film, rect: FloatArray, to_picture: FloatArray, side_px: int) -> float:
    x1, y1, x2, y2 = rect
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) @ to_picture[:, :2].T + to_picture[:, 2]
    square = np.array([[0, 0], [side_px, 0], [side_px, side_px], [0, side_px]])
    area, _ = cv2.intersectConvexConvex(corners.astype(np.float32), square.astype(np.float32))
    return float(area) / (film.pixels.size * _area_scale(to_picture))


def _area_scale(to_picture: FloatArray) -> float:
    return float(abs(np.linalg.det(to_picture[:, :2])))


def _inverse(to_picture: FloatArray) -> FloatArray:
    back = np.linalg.inv(to_picture[:, :2])
    return np.column_stack([back, -back @ to_picture[:, 2]])
