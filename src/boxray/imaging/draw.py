"""Pictures of a radiograph with what was said about it.

The film is never covered by words and never made larger: labels stand in margins beside it, a thin leader
leads from each label to its box. A film that has to be made smaller says so. Everything here works on
pixels that boxray decoded itself; Pillow writes text on them and opens no file.

All pictures are RGB, uint8, shape ``(H, W, 3)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import Final, Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from boxray.core.arrays import BoolArray, ByteArray, FloatArray
from boxray.core.boxes import Box
from boxray.core.findings import LabelSpace
from boxray.core.reading import Detection

Colour = tuple[int, int, int]

PANEL_SIDE_PX: Final = 1600
"""A film's longer side on a picture, at most."""

MAP_OPACITY: Final = 0.55
"""Of the map where it reaches its reference; everywhere else proportionally less, nothing at 0."""

GROUND: Final[Colour] = (17, 17, 17)
PAPER: Final[Colour] = (236, 236, 236)
QUIET: Final[Colour] = (168, 168, 168)
WARNING: Final[Colour] = (255, 196, 0)
_SMALLEST_FONT_PX: Final = 13
_LEAST_LUMINANCE: Final = 0.30  # gives a contrast of 6 : 1 on GROUND, 7 : 1 on black
COLOUR_FLOOR: Final = 0.20  # the dark end of the colour map would only darken the film


@dataclass(frozen=True, slots=True)
class Film:
    """A radiograph at the size at which it is shown."""

    grey: ByteArray
    """Shape ``(h, w)``: the radiograph's shades without any further window."""

    size_wh: tuple[int, int]
    """Of the radiograph, in which boxes are given."""

    @property
    def scale(self) -> float:
        """Shown pixels per pixel of the radiograph; at most 1."""
        return float(self.grey.shape[1] / self.size_wh[0])

    @property
    def line_px(self) -> int:
        """Width of a box's line: 2 px on a film of 1024, 1 px on one of 600 or less, 3 px on the largest."""
        return ceil(int(max(self.grey.shape)) / 600)

    @property
    def font_px(self) -> int:
        """Height of the letters of a label: 23 px on a film of 1024, never too small to be read."""
        return max(_SMALLEST_FONT_PX, round(int(max(self.grey.shape)) / 45))

    @property
    def caption(self) -> str:
        """The radiograph's size, and by how much it was made smaller."""
        width, height = self.size_wh
        shown = "full size" if self.grey.shape[1] == width else f"shown at {self.scale:.0%}"
        return f"{width} x {height} px, {shown}"


def film_of(pixels: FloatArray, side_px: int = PANEL_SIDE_PX) -> Film:
    """A radiograph's pixels, float in [0, 1], shape ``(H, W)``, as shades for a screen.

    The longer side becomes `side_px` where it is longer; nothing is made larger.
    """
    height, width = pixels.shape
    grey = np.round(pixels * 255).astype(np.uint8)
    ratio = side_px / max(height, width)
    if ratio < 1:
        shown_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
        grey = np.asarray(cv2.resize(grey, shown_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return Film(grey, (width, height))


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture with its heading, to stand beside others."""

    title: str
    notes: tuple[str, ...]
    picture: ByteArray

    film_x: int = 0
    """Where the film begins in the picture; the heading stands above it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A box on a film with the two lines of its label."""

    box: Box
    """In the radiograph's frame."""

    colour: Colour
    words: tuple[str, str]
    rank: float
    """The highest is drawn on top, and has a label where the margin cannot hold all."""

    dashed: bool = False


def plain_picture(film: Film) -> ByteArray:
    """The film alone: its shades as RGB and nothing else."""
    return np.repeat(film.grey[:, :, None], 3, axis=2)


def boxes_picture(film: Film, detections: Sequence[Detection], label_space: LabelSpace) -> ByteArray:
    """The film between two margins, with a thin box round each detection and its label in the nearer margin.

    The margins' width depends on the label space alone, so the film stays in its place when boxes come and
    go. Labels never overlap. Where a margin cannot hold all, it has the highest scores and says how many
    boxes have no label.
    """
    marks = [
        Mark(
            det.box,
            on_film(label_space[det.finding].colour),
            (label_space[det.finding].display, f"{det.score:.2f}"),
            det.score,
        )
        for det in detections
    ]
    return marks_picture(film, marks, margin_px(film, label_space))


def marks_picture(film: Film, marks: Sequence[Mark], margin: int) -> ByteArray:
    """The film between two margins, as `boxes_picture`, with boxes of whatever origin: a reader's beside a model's.

    Args:
        film: The radiograph.
        marks: Boxes with their labels; a dashed line tells one origin from another without colour.
        margin: Width of each margin in pixels, such as `words_px` of all that may stand there.
    """
    canvas = _between_margins(film, margin, margin)
    film_part = canvas[: film.grey.shape[0], margin : margin + film.grey.shape[1]]
    for mark in sorted(marks, key=lambda each: each.rank):
        _draw_box(film_part, film, mark.box, mark.colour, dashed=mark.dashed)
    middle = film.size_wh[0] / 2
    left = [mark for mark in marks if (mark.box.x1 + mark.box.x2) / 2 < middle]
    right = [mark for mark in marks if mark not in left]
    _draw_labels(canvas, film, margin=margin, side="left", marks=left)
    _draw_labels(canvas, film, margin=margin, side="right", marks=right)
    return canvas


def map_picture(
    film: Film,
    values: FloatArray,
    reference: float,
    label_space: LabelSpace,
    boxes: Sequence[Detection] = (),
) -> ByteArray:
    """The film under a saliency map, a colour bar beside it, and `boxes` as broken lines.

    Args:
        film: What lies under the map.
        values: Raw map, >= 0, any grid that spans the radiograph.
        reference: The raw value that gets the full colour; higher ones get the same. A map that stays far
            below it stays faint. At 0 nothing is painted.
        label_space: For the colours of the boxes.
        boxes: Detections of the finding that the map belongs to.
    """
    height, width = film.grey.shape
    margin = margin_px(film, label_space)
    canvas = _between_margins(film, 0, margin)
    level = _levels(values, reference, (width, height))
    canvas[:height, :width] = _painted(plain_picture(film), level)
    for det in sorted(boxes, key=lambda each: each.score):
        _draw_box(canvas[:height, :width], film, det.box, on_film(label_space[det.finding].colour), dashed=True)
    _draw_colour_bar(canvas, film, x=width, margin=margin, highest=float(values.max()), reference=reference)
    return canvas


def bare_picture(
    film: Film,
    marks: Sequence[Mark],
    *,
    values: FloatArray | None = None,
    spots: Sequence[tuple[tuple[float, float], Colour]] = (),
) -> ByteArray:
    """The film with boxes and no word beside it, so that two of them can stand side by side; words go into a heading.

    Args:
        film: The radiograph.
        marks: Boxes; their words are not drawn.
        values: A raw map, >= 0, that is laid over the film, full colour at its own maximum.
        spots: Points (x, y) in the radiograph's frame, each drawn as a small ring of its colour.
    """
    height, width = film.grey.shape
    picture = plain_picture(film)
    if values is not None:
        picture = _painted(picture, _levels(values, float(values.max(initial=0)), (width, height)))
    for mark in sorted(marks, key=lambda each: each.rank):
        _draw_box(picture, film, mark.box, mark.colour, dashed=mark.dashed)
    for (x, y), colour in spots:
        centre = round(x * film.scale), round(y * height / film.size_wh[1])
        radius = 6 * film.line_px
        cv2.circle(picture, centre, radius, (0, 0, 0), thickness=film.line_px + 3, lineType=cv2.LINE_AA)
        cv2.circle(picture, centre, radius, colour, thickness=film.line_px + 1, lineType=cv2.LINE_AA)
    return picture


def compose(panels: Sequence[Panel], footer: Sequence[tuple[str, Colour]]) -> ByteArray:
    """Panels from left to right, each under its heading, above a strip of lines that belong to all."""
    font_px = max(_SMALLEST_FONT_PX, round(max(panel.picture.shape[0] for panel in panels) / 45))
    pad = font_px
    headings = [_heading(panel, font_px) for panel in panels]
    heading_h = max(heading.shape[0] for heading in headings)
    picture_h = max(panel.picture.shape[0] for panel in panels)
    columns: list[ByteArray] = []
    for panel, heading in zip(panels, headings, strict=True):
        column = _ground(heading_h + picture_h, panel.picture.shape[1])
        column[: heading.shape[0]] = heading
        column[heading_h : heading_h + panel.picture.shape[0]] = panel.picture
        columns += [column, _ground(heading_h + picture_h, pad)]
    row = np.concatenate([_ground(heading_h + picture_h, pad), *columns], axis=1)
    return np.concatenate([row, _text_block(footer, font_px, row.shape[1])], axis=0)


def card(title: str, lines: Sequence[tuple[str, Colour]], width: int = 960) -> ByteArray:
    """A picture of words, for a radiograph of which there is nothing to show."""
    heading = _text_block([(title, WARNING)], 32, width, indent=24)
    return np.concatenate([heading, _text_block(lines, 20, width, indent=24), _ground(10, width)], axis=0)


def encode_png(rgb: ByteArray) -> bytes:
    """The picture as the bytes of a PNG file, without loss.

    Raises:
        ValueError: If the shape is not ``(H, W, 3)`` or the type not uint8.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"a picture must be uint8 of shape (H, W, 3), got {rgb.dtype} {rgb.shape}")
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return bytes(encoded)


def rgb_of(colour: str) -> Colour:
    """``#RRGGBB`` as three numbers.

    >>> rgb_of("#EE6677")
    (238, 102, 119)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def on_film(colour: str) -> Colour:
    """A finding's colour, mixed with white until it stands out from a film and from the dark ground.

    >>> on_film("#EE6677"), on_film("#000000")
    ((239, 108, 124), (153, 153, 153))
    """
    pure = np.array(rgb_of(colour), dtype=np.float64)
    for white in np.linspace(0, 1, 51):
        mixed = pure * (1 - white) + 255 * white
        if _luminance(mixed) >= _LEAST_LUMINANCE:
            break
    red, green, blue = (round(float(shade)) for shade in mixed)
    return red, green, blue


def _luminance(rgb: FloatArray) -> float:
    """Relative luminance in [0, 1]. Source: WCAG 2.2, definition of relative luminance."""
    linear = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def spread(centres: Sequence[float], height: float, room: float) -> list[float]:
    """Move labels of one height apart until none overlaps, each as near to its place as that allows.

    Args:
        centres: Where each label would like its middle, rising.
        height: Of every label.
        room: From 0 to this; must hold all of them.

    Returns:
        The middles, in the same order, at least `height` apart and inside the room.

    Raises:
        ValueError: If the room is too small.

    >>> spread([10.0, 12.0, 90.0], height=10, room=100)
    [6.0, 16.0, 90.0]
    """
    if len(centres) * height > room:
        raise ValueError(f"{len(centres)} labels of {height} px need more than {room} px")
    # Each group touches; its middle is the mean of what its members want. Touching groups become one.
    groups: list[tuple[float, int]] = []
    for centre in centres:
        middle, count = centre, 1
        while True:
            half = count * height / 2
            middle = min(max(middle, half), room - half)
            if not groups or groups[-1][0] + groups[-1][1] * height / 2 <= middle - half:
                break
            before, n_before = groups.pop()
            middle = (before * n_before + middle * count) / (n_before + count)
            count += n_before
        groups.append((middle, count))
    return [middle + (position - (count - 1) / 2) * height for middle, count in groups for position in range(count)]


# Text


@lru_cache(maxsize=32)
def _font(px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(px)  # the face that Pillow carries: no font of the system is needed
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow has no FreeType, which it needs to write text at a chosen size")  # noqa: TRY004 - no argument of ours
    return font


def _text_px(text: str, px: int) -> int:
    return ceil(_font(px).getlength(text))


def _wrapped(text: str, px: int, room: int) -> list[str]:
    """Lines that fit; a word longer than the room is cut, so that nothing runs off the picture."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and _text_px(longer, px) > room:
            lines.append(line)
            longer = word
        while _text_px(longer, px) > room and len(longer) > 1:
            fits = next(n for n in range(len(longer) - 1, 0, -1) if n == 1 or _text_px(longer[:n], px) <= room)
            lines.append(longer[:fits])
            longer = longer[fits:]
        line = longer
    return [*lines, line]


def _write(canvas: ByteArray, texts: Sequence[tuple[float, float, str, Colour]], px: int, anchor: str) -> None:
    """Put texts at (x, y) on a part of a canvas; `anchor` in Pillow's words."""
    sheet = Image.fromarray(canvas)
    pen = ImageDraw.Draw(sheet)
    for x, y, text, colour in texts:
        pen.text((x, y), text, fill=colour, font=_font(px), anchor=anchor)
    canvas[:] = np.asarray(sheet)


def _line_h(px: int) -> int:
    return round(px * 1.35)


def _text_block(lines: Sequence[tuple[str, Colour]], px: int, width: int, *, indent: int | None = None) -> ByteArray:
    left = px if indent is None else indent
    rows = [(row, colour) for text, colour in lines for row in _wrapped(text, px, width - left - px)]
    block = _ground(px + len(rows) * _line_h(px), width)
    texts = [(left, px // 2 + n * _line_h(px), row, colour) for n, (row, colour) in enumerate(rows)]
    _write(block, texts, px, "la")
    return block


def _heading(panel: Panel, px: int) -> ByteArray:
    width = panel.picture.shape[1] - panel.film_x
    block = _text_block([(panel.title, PAPER), *((note, QUIET) for note in panel.notes)], px, width, indent=0)
    return np.concatenate([_ground(block.shape[0], panel.film_x), block], axis=1)


# Boxes and their labels


def _ground(height: int, width: int) -> ByteArray:
    return np.full((height, width, 3), GROUND, dtype=np.uint8)


def _between_margins(film: Film, left: int, right: int) -> ByteArray:
    height, width = film.grey.shape
    canvas = _ground(max(height, 2 * _label_h(film)), left + width + right)
    canvas[:height, left : left + width] = plain_picture(film)
    return canvas


def _label_h(film: Film) -> int:
    return 2 * _line_h(film.font_px) + film.font_px // 2  # finding above, score below, air between labels


def margin_px(film: Film, label_space: LabelSpace) -> int:
    """Width of the margin that holds any label of the label space."""
    return words_px(film, [finding.display for finding in label_space])


def words_px(film: Film, words: Sequence[str]) -> int:
    """Width of the margin that holds any of these words as a label."""
    return max(_text_px(word, film.font_px) for word in [*words, "+ 99 without label"]) + 2 * film.font_px


def _shown_xyxy(film: Film, box: Box) -> tuple[int, int, int, int]:
    """The box in shown pixels, rounded outwards, cut at the film's edges and at least one pixel large."""
    height, width = film.grey.shape
    scale_y = height / film.size_wh[1]
    x1, y1 = floor(box.x1 * film.scale), floor(box.y1 * scale_y)
    x2, y2 = ceil(box.x2 * film.scale), ceil(box.y2 * scale_y)
    x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return x1, y1, min(max(x2, x1 + 1), width), min(max(y2, y1 + 1), height)


def _draw_box(part: ByteArray, film: Film, box: Box, colour: Colour, *, dashed: bool = False) -> None:
    """The line runs outside of the box, so that it hides nothing of what the box encloses."""
    x1, y1, x2, y2 = _shown_xyxy(film, box)
    line = film.line_px
    # From the box outwards: one dark pixel, the line, one dark pixel. The dark keeps it visible on bone.
    _blend_frame(part, _grown(x1, y1, x2, y2, by=line + 2), width=line + 2, colour=(0, 0, 0), opacity=0.4)
    period = 7 * line if dashed else 0
    _blend_frame(part, _grown(x1, y1, x2, y2, by=line + 1), width=line, colour=colour, opacity=1.0, period=period)


def _grown(x1: int, y1: int, x2: int, y2: int, *, by: int) -> tuple[int, int, int, int]:
    return x1 - by, y1 - by, x2 + by, y2 + by


def _blend_frame(
    part: ByteArray,
    xyxy: tuple[int, int, int, int],
    *,
    width: int,
    colour: Colour,
    opacity: float,
    period: int = 0,
) -> None:
    """The rim of a rectangle, `width` inwards from `xyxy`; a `period` leaves every second stretch free."""
    bottom, right = part.shape[:2]
    x1, y1, x2, y2 = max(xyxy[0], 0), max(xyxy[1], 0), min(xyxy[2], right), min(xyxy[3], bottom)
    rim: BoolArray = np.ones((y2 - y1, x2 - x1), dtype=bool)
    rim[width:-width, width:-width] = False
    if period:
        rim[:, width:-width] &= np.arange(width, x2 - x1 - width) // period % 2 == 0
        rim[width:-width] &= (np.arange(width, y2 - y1 - width) // period % 2 == 0)[:, None]
    under = part[y1:y2, x1:x2]
    under[rim] = np.round(under[rim] * (1 - opacity) + np.array(colour) * opacity).astype(np.uint8)


def _draw_labels(
    canvas: ByteArray,
    film: Film,
    *,
    margin: int,
    side: Literal["left", "right"],
    marks: Sequence[Mark],
) -> None:
    """Labels of one margin and the leaders to their boxes."""
    label_h, line_h, font_px = _label_h(film), _line_h(film.font_px), film.font_px
    room = canvas.shape[0]
    n_places = room // label_h
    ranked = sorted(marks, key=lambda mark: -mark.rank)
    n_unlabelled = len(ranked) - n_places
    if n_unlabelled > 0:
        n_unlabelled += 1  # the last place tells of the others
        ranked = ranked[: n_places - 1]
        room -= label_h
    shown = [(_shown_xyxy(film, mark.box), mark) for mark in ranked]
    shown.sort(key=lambda pair: pair[0][1] + pair[0][3])
    middles = spread([(box[1] + box[3]) / 2 for box, _ in shown], label_h, room)

    swatch = max(3, font_px // 4)
    inner_x = margin if side == "left" else margin + film.grey.shape[1]
    strip = canvas[:, :margin] if side == "left" else canvas[:, inner_x:]
    text_x = margin - font_px if side == "left" else font_px
    texts: list[tuple[float, float, str, Colour]] = []
    for ((x1, y1, x2, y2), mark), middle in zip(shown, middles, strict=True):
        texts += [
            (text_x, middle - line_h / 2, mark.words[0], PAPER),
            (text_x, middle + line_h / 2, mark.words[1], PAPER),
        ]
        half = line_h - 2
        bar_x = inner_x - swatch if side == "left" else inner_x
        top, bottom = round(middle) - half, round(middle) + half
        canvas[max(top, 0) : bottom, bar_x : bar_x + swatch] = mark.colour
        box_y = min(max(middle, y1), y2 - 1)
        rim = film.line_px + 4  # of the box and of the end of the leader
        box_x = margin + (x1 - rim - 1 if side == "left" else x2 + rim)
        _draw_leader(canvas, film, (inner_x, round(middle)), (box_x, round(box_y)), mark.colour)
    if n_unlabelled > 0:
        texts.append((text_x, room + label_h / 2, f"+ {n_unlabelled} without label", QUIET))
    _write(strip, texts, font_px, "rm" if side == "left" else "lm")


def _draw_leader(
    canvas: ByteArray, film: Film, start_xy: tuple[int, int], end_xy: tuple[int, int], colour: Colour
) -> None:
    (x1, y1), (x2, y2) = start_xy, end_xy
    top, bottom = max(min(y1, y2) - 3, 0), max(y1, y2) + 4
    left, right = max(min(x1, x2) - 3, 0), max(x1, x2) + 4
    part = canvas[top:bottom, left:right]
    ends = (x1 - left, y1 - top), (x2 - left, y2 - top)
    width = ceil(film.line_px / 2)
    dark = np.ascontiguousarray(part)
    cv2.line(dark, *ends, color=(0, 0, 0), thickness=width + 2, lineType=cv2.LINE_AA)
    dark = cv2.addWeighted(dark, 0.35, part, 0.65, 0)
    cv2.line(dark, *ends, color=colour, thickness=width, lineType=cv2.LINE_AA)
    part[:] = dark


# Maps


def _levels(values: FloatArray, reference: float, size_wh: tuple[int, int]) -> FloatArray:
    """Raw values as shares of the reference in [0, 1], float32, at the shown size."""
    if reference <= 0:
        return np.zeros(size_wh[::-1], dtype=np.float32)
    level = (values / reference).clip(0, 1).astype(np.float32)
    shrinks = level.shape[1] > size_wh[0]
    return np.asarray(cv2.resize(level, size_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def _painted(rgb: ByteArray, level: FloatArray) -> ByteArray:
    """Colour and opacity both grow with the level; at 0 the film stays as it is, to the last shade."""
    painted = rgb.copy()
    rows, columns = np.flatnonzero(level.any(axis=1)), np.flatnonzero(level.any(axis=0))
    if len(rows) == 0:
        return painted
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    steps = np.round((COLOUR_FLOOR + (1 - COLOUR_FLOOR) * level[part]) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(steps, cv2.COLORMAP_PLASMA), cv2.COLOR_BGR2RGB)
    opacity = (np.float32(MAP_OPACITY) * level[part])[:, :, None]
    painted[part] = np.round(rgb[part] * (1 - opacity) + colours * opacity).astype(np.uint8)
    return painted


def _draw_colour_bar(canvas: ByteArray, film: Film, *, x: int, margin: int, highest: float, reference: float) -> None:
    """From 0 to the reference as the colours look on a middle grey, with a mark where this map ends."""
    font_px = film.font_px
    bar_h = max(4 * _line_h(font_px), film.grey.shape[0] // 3)
    bar_h = min(bar_h, canvas.shape[0] - 4 * _line_h(font_px))
    top, left, width = 2 * _line_h(font_px), x + font_px, font_px
    if bar_h <= 0:
        return
    level = np.linspace(1, 0, bar_h, dtype=np.float32)[:, None].repeat(width, axis=1)
    canvas[top : top + bar_h, left : left + width] = _painted(np.full((*level.shape, 3), 96, np.uint8), level)
    reached_y = top + round((1 - min(highest / reference, 1)) * (bar_h - 1)) if reference > 0 else top + bar_h - 1
    canvas[reached_y - 1 : reached_y + 1, left - 3 : left + width + 6] = PAPER
    text_x = font_px + width + 8
    ends = [(top, _number(reference), QUIET), (top + bar_h - 1, "0", QUIET)]
    air = _line_h(font_px)
    texts = [(text_x, y, text, colour) for y, text, colour in ends if abs(y - reached_y) >= air]
    texts.append((text_x, reached_y, f"max {_number(highest)}", PAPER))
    texts.append((font_px, top - 1.2 * _line_h(font_px), "raw map", QUIET))
    _write(canvas[:, x : x + margin], texts, font_px, "lm")


def _number(value: float) -> str:
    return f"{value:.3g}"
