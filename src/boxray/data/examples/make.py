"""From films beside the repository to the examples inside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.random import Generator
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.boxes import box_area, box_iou
from boxray.core.errors import DataError
from boxray.data.examples import align, dicom
from boxray.data.examples.blend import blend, correlation, draw_preferences, mean_without, own_detail, say_of, smoothed
from boxray.data.examples.films import Film, largest, nih, one_per_person, siim, tbx11k
from boxray.data.examples.lungs import LungLocator, fit_lung_locator

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLEAR = frozenset(
    {"Nodule", "Mass", "Mass|Nodule", "Nodule|Pneumothorax", "Pneumothorax", "Infiltration", "Atelectasis"}
)
"""NIH labels of films that show a boxed finding of small extent. Outside their boxes they serve as clear lungs."""


@dataclass(frozen=True, slots=True)
class Example:
    """One line of the table: from what a composite is made."""

    name: str
    films: Callable[[Path], list[Film]]
    """The films of the finding, from the folder of all data sets."""
    places: tuple[tuple[float, float, float, float], ...] = ()
    """Where the finding is to lie: boxes ``(x1, y1, x2, y2)`` in fractions of the canvas. None: any films do."""
    n_films: int = 24
    n_bodies: int = 0
    """How many films of clear lungs complete the picture outside the finding."""
    whole: bool = False
    """The finding changes the whole film (a large heart): no film is restricted to its boxes."""
    one_sided: bool = False
    """Prefer films whose finding is much denser than the same place on the other side."""
    emphasis: float = 0.0
    """How much of the finding's density, beyond that of clear films or else of the other side, is added again."""
    contrast: float = 2.2
    """Of the shares over places; more means fewer films at one place."""
    spread: float = 0.6
    """How far the body's shape goes from the mean, in standard deviations."""
    gamma: float = 1.4
    """Of the tone; above 1 makes lungs darker. TBX11K's films are brighter than those of NIH."""
    softness_px: float = 0.0
    """Smoothing of a picture whose films have few pixels: a Gaussian's standard deviation."""
    inverted: bool = False
    transfer_syntax: UID = JPEGLSLossless


def _bodies(data: Path) -> list[Film]:
    return nih(data / "nih", "", only=_CLEAR, view="PA")


EXAMPLES = (
    Example(
        "cardiomegaly",
        lambda data: nih(data / "nih", "Cardiomegaly", view="PA"),
        places=((0.26, 0.36, 0.86, 0.86),),
        whole=True,
    ),
    Example(
        "tuberculosis",
        lambda data: tbx11k(data / "tbx11k"),
        places=((0.14, 0.12, 0.44, 0.40),),
        one_sided=True,
        emphasis=0.6,
        gamma=1.0,
        transfer_syntax=JPEG2000Lossless,
    ),
    Example(
        "effusion",
        lambda data: nih(data / "nih", "Effusion"),
        places=((0.62, 0.46, 0.94, 0.86),),
        emphasis=0.4,
        gamma=1.6,
        n_films=12,
        n_bodies=16,
        inverted=True,
    ),
    Example(
        "covid19",
        lambda data: largest(siim(data / "siim"), 300),
        places=((0.08, 0.36, 0.42, 0.82), (0.58, 0.36, 0.92, 0.82)),
        n_films=24,
        n_bodies=12,
        emphasis=0.7,
        gamma=1.0,
        softness_px=2.0,
    ),
    Example("no_finding", _bodies, gamma=2.0),
)
"""What is shipped, in the order of the patients' IDs. `refused` is made from the last."""


@dataclass(frozen=True, slots=True)
class Made:
    """A composite and how it was judged."""

    name: str
    stored: FloatArray
    """Shape ``(H, W)`` in [0, 1], bright meaning dense."""
    n_films: int
    n_bodies: int
    largest_share: float
    films_per_place: float
    remains: tuple[float, ...]
    """Correlation of the composite's own detail with that of every film that took part, over the whole
    picture. 1 would be the film itself."""
    remains_locally: float
    """The largest over all films and all tiles of an eighth of the picture's side."""
    remains_of_others: tuple[float, ...]
    """The same measure for aligned films that did not take part: what chance gives."""


@dataclass(frozen=True, slots=True)
class Group:
    """Films of one example on one template, ready to be blended. Arrays: ``(SIDE_PX, SIDE_PX)``."""

    films: list[FloatArray]
    say: FloatArray
    fine_say: FloatArray
    body: FloatArray
    """1 where most films show a body, 0 beyond."""
    others: list[FloatArray]
    """Aligned films that are left out of the blend, to measure what chance gives."""
    shapes: list[FloatArray]
    """The ways from the template to the films of the finding."""
    target: FloatArray | None
    """1 where the finding lies on the template, soft edge; None: nowhere in particular."""
    n_films: int
    n_bodies: int
    stretch: float
    """How much further films were enlarged across than along the body."""
    """Of the canvas once its pixels are square in the body again."""


def make_examples(shared: Path, out: Path, seed: int, only: frozenset[str] | None = None) -> tuple[Made, ...]:
    """Make all examples and write them as DICOM files. The same seed gives the same bytes.

    Args:
        shared: The folder of published data sets (`nih`, `tbx11k`, `siim`, `covid_lungs`).
        out: Where to write `<name>.dcm`; made if it is not there.
        seed: Draws shares, shapes and grain.
        only: Names of the examples to make; None makes all.

    Returns:
        One entry per composite, with what was measured on it.

    Raises:
        DataError: If a set has too few films for an example.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with _one_thread():
        locator = fit_lung_locator(shared / "covid_lungs", seed)
        for number, example in enumerate(EXAMPLES, start=1):
            if only is not None and example.name not in only:
                continue
            group = gather(example, shared, locator)
            # A generator of its own: an example does not change when another one is added.
            result = compose(example, group, np.random.default_rng([seed, number]))
            made.append(result)
            _write(example, number, result, out)
            if example is EXAMPLES[-1]:
                _write_refused(number + 1, result, out, np.random.default_rng([seed, number + 1]))
    return tuple(made)


def gather(example: Example, shared: Path, locator: LungLocator) -> Group:
    """Choose the films of an example, align them, and say where each may take part."""
    leaders = _chosen(example.films(shared), locator, example, example.n_films * 8 // 5)
    bodies = _chosen(_bodies(shared), locator, None, 2 * example.n_bodies) if example.n_bodies else []
    if len(leaders) < example.n_films or len(bodies) < example.n_bodies:
        raise DataError(f"{example.name}: {len(leaders)} films and {len(bodies)} bodies are too few")
    everybody = [align.place(film, locator) for film in (*leaders, *bodies)]
    n_leaders = len(leaders)
    pixels = align.match_exposure(everybody, _thorax(example.places))
    flats = [align.flattened(_on_grid(film)) for film in pixels]
    starts, alike = align.affine_flows(flats)

    order = sorted(range(n_leaders), key=lambda i: -alike[i])
    target = _region([everybody[i] for i in order], [starts[i] for i in order]) if example.places else None
    doubts = [None if i < n_leaders or target is None else _on_grid(target) for i in range(len(flats))]
    aligned = align.dense_flows(flats, starts, order[: example.n_films], doubts)

    ranked = sorted(range(len(flats)), key=lambda i: -aligned.likeness[i])
    kept = [i for i in ranked if i < n_leaders][: example.n_films]
    filling = [i for i in ranked if i >= n_leaders][: example.n_bodies]
    others = [i for i in ranked if i not in {*kept, *filling}][:8]

    def moved(image: FloatArray, i: int, interpolation: int = cv2.INTER_LINEAR) -> FloatArray:
        return align.warp(image, aligned.flows[i], interpolation)

    if example.places:
        target = _region([everybody[i] for i in kept], [aligned.flows[i] for i in kept])
    taking_part = [*kept, *filling]
    allowed = []
    for i in taking_part:
        wanted, unwanted = moved(everybody[i].wanted, i), moved(everybody[i].unwanted, i)
        clear = 1 - _widened(np.maximum(wanted, unwanted))
        if example.whole:
            may = 1 - _widened(unwanted)
        elif target is None:
            may = clear
        else:
            may = target * wanted + (1 - target) * clear
        sound = align.believable(aligned.flows[i])
        allowed.append(may * cv2.resize(sound, may.shape, interpolation=cv2.INTER_LINEAR))
    films = [moved(pixels[i], i, cv2.INTER_CUBIC) for i in taking_part]
    valid = [moved(everybody[i].valid, i) for i in taking_part]
    say = say_of(films, valid, allowed)
    # 1 where most films show a body, 0 where most have ended or show air: no detail is raised there.
    body = np.clip(3 * smoothed(np.mean(valid, axis=0), 12) - 1.5, 0, 1)
    sharp = np.array([everybody[i].px_per_px < 3 for i in taking_part])
    fine_say = say * np.where(sharp | ~sharp.any(), 1.0, 1e-4)[:, None, None]
    return Group(
        films,
        say,
        fine_say,
        body,
        [moved(pixels[i], i, cv2.INTER_CUBIC) for i in others],
        [aligned.flows[i] for i in kept],
        target,
        len(kept),
        len(filling),
        float(np.median([everybody[i].stretch for i in kept])),
    )


def compose(example: Example, group: Group, rng: Generator) -> Made:
    """Blend a group, judge the blend, and give it a body shape, a film's tone and grain of its own."""
    preferences = draw_preferences(rng, len(group.films), example.contrast)
    blended = blend(group.films, group.say, group.fine_say, preferences, group.body)
    tiles = [_tile(row, column) for row in range(1, 7) for column in range(1, 7)]
    remains, locally = [], 0.0
    for number, film in enumerate(group.films):
        common = mean_without(blended, film, number)
        one, other = own_detail(blended.pixels, common), own_detail(film, common)
        remains.append(correlation(one, other))
        locally = max(locally, *(correlation(one[tile], other[tile]) for tile in tiles))
    composite = own_detail(blended.pixels, blended.mean)
    by_chance = tuple(correlation(composite, own_detail(film, blended.mean)) for film in group.others)
    picture = blended.pixels
    if example.emphasis and group.target is not None:
        # Nothing in a lung gets denser than soft tissue already is.
        room = np.quantile(blended.mean, 0.75) - smoothed(blended.mean, 10)
        density = np.minimum(example.emphasis * _density(group, blended.mean), np.maximum(room, 0))
        picture = picture + group.target * density
    shape = align.draw_shape(group.shapes, rng, example.spread)
    margin = align.SIDE_PX // 28  # where the new shape reaches beyond the canvas
    picture = align.warp(picture, shape)[margin:-margin, margin:-margin]
    picture = picture[: _last_row(align.warp(group.body, shape)[margin:-margin, margin:-margin])]
    size_wh = align.SIDE_PX, round(align.SIDE_PX * group.stretch * picture.shape[0] / picture.shape[1])
    picture = cv2.resize(picture, size_wh, interpolation=cv2.INTER_CUBIC)
    if example.softness_px:
        picture = smoothed(picture, example.softness_px)
    picture = _toned(picture, example.gamma)
    grain = cv2.GaussianBlur(rng.normal(0, 1, picture.shape).astype(np.float32), (0, 0), 0.7)
    # Fewer quanta reach the detector behind dense parts, and the logarithm makes their noise larger.
    picture = picture + grain / grain.std() * (0.0015 + 0.0025 * picture.clip(0, 1))
    return Made(
        example.name,
        picture.clip(0, 1).astype(np.float32),
        group.n_films,
        group.n_bodies,
        blended.largest_share,
        blended.films_per_place,
        tuple(remains),
        locally,
        by_chance,
    )


def _chosen(films: list[Film], locator: LungLocator, example: Example | None, n_most: int) -> list[Film]:
    """The films whose boxes lie best at the example's places, one per person; without places, any."""
    places = example.places if example is not None else ()

    def merit(film: Film) -> float:
        if example is None or not places:
            return 1.0
        boxes = align.boxes_on_canvas(film, locator)
        if not len(boxes):
            return 0.0
        overlap = float(box_iou(np.array(places), boxes).max(axis=1).mean())
        if not example.one_sided or overlap < 0.15:
            return 0.1 * overlap if example.one_sided else overlap
        return max(0.1 * overlap, _density_over_other_side(align.place(film, locator), boxes))

    merits = {film.path: merit(film) for film in films}
    best = one_per_person(films, lambda film: merits[film.path])
    return [film for film in best if merits[film.path] > 0.1][:n_most]


def _density_over_other_side(film: align.Placed, boxes: FloatArray) -> float:
    """How much brighter the largest box is than its mirror image, in standard deviations of the film's lungs."""
    x1, y1, x2, y2 = boxes[np.argmax(box_area(boxes))].clip(0, 1)
    rows = slice(int(y1 * align.SIDE_PX), int(y2 * align.SIDE_PX) + 1)
    here = film.pixels[rows, int(x1 * align.SIDE_PX) : int(x2 * align.SIDE_PX) + 1]
    there = film.pixels[rows, int((1 - x2) * align.SIDE_PX) : int((1 - x1) * align.SIDE_PX) + 1]
    middle = film.pixels[align.SIDE_PX // 10 : align.SIDE_PX * 3 // 4, align.SIDE_PX // 10 : align.SIDE_PX * 9 // 10]
    return float((here.mean() - there.mean()) / middle.std())


def _region(films: list[align.Placed], flows: list[FloatArray]) -> FloatArray:
    """Where the finding is to be shown: where at least 40 % of as many films as any place has show it. Soft edge."""
    share = np.mean(
        [align.warp(film.wanted, flow, cv2.INTER_LINEAR) for film, flow in zip(films, flows, strict=True)],
        axis=0,
    )
    region = (share > 0.4 * share.max()).astype(np.float32)
    soft: FloatArray = np.clip(cv2.GaussianBlur(region, (0, 0), 14), 0, 1)
    return soft


def _thorax(places: tuple[tuple[float, float, float, float], ...]) -> BoolArray:
    """Where exposures are compared: the middle of the canvas without the finding."""
    side = align.SIDE_PX
    where = np.zeros((side, side), dtype=bool)
    where[side // 25 : side * 9 // 10, side // 16 : side * 15 // 16] = True
    for x1, y1, x2, y2 in places if len(places) == 1 else ():
        where[int(y1 * side) : int(y2 * side), int(x1 * side) : int(x2 * side)] = False
    return where


def _last_row(body: FloatArray) -> int:
    """Where the picture is to end below: where most films have ended."""
    side = body.shape[1]
    rows = body[:, side // 4 : side * 3 // 4].mean(axis=1) > 0.5
    return int(np.flatnonzero(rows).max()) + 1 if rows.any() else len(body)


def _density(group: Group, mean: FloatArray) -> FloatArray:
    """How much denser than clear lungs the mean film is, >= 0; without clear films: than its mirror image."""
    if group.n_bodies:
        dense = np.mean(group.films[: group.n_films], axis=0) - np.mean(group.films[group.n_films :], axis=0)
    else:
        dense = mean - mean[:, ::-1]
    density: FloatArray = np.maximum(smoothed(dense, 10), 0)
    return density


def _tile(row: int, column: int) -> tuple[slice, slice]:
    side = align.SIDE_PX // 8
    return slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)


def _widened(mask: FloatArray) -> FloatArray:
    """A mask 20 px larger all round, with a soft edge."""
    kernel = np.ones((41, 41), np.uint8)
    wide: FloatArray = cv2.GaussianBlur(cv2.dilate(mask, kernel), (0, 0), 6)
    return wide


def _on_grid(canvas: FloatArray) -> FloatArray:
    grid: FloatArray = cv2.resize(canvas, (align.GRID_PX, align.GRID_PX), interpolation=cv2.INTER_AREA)
    return grid


def _toned(pixels: FloatArray, gamma: float) -> FloatArray:
    """Shades of a film on a light box: no pure black or white in the body."""
    low, high = np.quantile(pixels, (0.01, 0.995))
    scaled = ((pixels - low) / (high - low)).clip(0, 1.1) ** gamma
    toned: FloatArray = 0.03 + 0.92 * scaled
    return toned


def _write(example: Example, number: int, made: Made, out: Path) -> None:
    description = (
        f"SYNTHETIC: blend of {made.n_films + made.n_bodies} aligned films of as many persons, "
        f"at most {made.largest_share:.0%} of one film at any place; shape drawn from a statistical model"
    )
    ds = dicom.for_presentation(
        example.name, number, dicom.stored_values(made.stored), description, inverted=example.inverted
    )
    dicom.save(ds, out / f"{example.name}.dcm", example.transfer_syntax)


def _write_refused(number: int, made: Made, out: Path, rng: Generator) -> None:
    """The same body as a detector sees it: exposure instead of shade, uneven columns, quantum noise."""
    exposure = np.exp(-3.2 * made.stored.astype(np.float64))
    columns = 1 + 0.02 * rng.normal(size=(1, exposure.shape[1]))
    raw = 60 + 3400 * exposure * columns
    raw += rng.normal(size=raw.shape) * np.sqrt(raw) * 0.25
    stored = raw.round().clip(0, 2**dicom.N_BITS - 1).astype(np.uint16)
    ds = dicom.for_processing("refused", number, stored, "SYNTHETIC: no_finding turned into raw detector values")
    dicom.save(ds, out / "refused.dcm", JPEGLSLossless)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV's flow search divides its work by the number of threads; with one, every machine computes alike."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
