"""Mosaics pixel by pixel: whatever is turned and cut, each place knows which film lies there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.frames import Letterbox
from boxray.detection.mosaic import Film, Layout, alone, compose, four, random_map
from boxray.detection.recipe import Augment
from boxray.imaging.letterbox import PAD_SHADE, letterbox_pixels

SIDE = 64
SHADES = (20, 60, 160, 240)
"""Far from each other and from the padding's 114, so that a pixel names its film."""


def even_film(shade: int, size_wh: tuple[int, int] = (SIDE, SIDE), *boxes: tuple[float, ...]) -> Film:
    pixels = np.full(size_wh[::-1], shade, np.uint8)
    return Film(pixels, np.array(boxes, dtype=float).reshape(-1, 4), np.zeros(len(boxes), int))


def film_at(picture_xy: np.ndarray, rects: np.ndarray, to_canvas: np.ndarray) -> np.ndarray:
    """Written apart from the loss' own `film_under`: one point after another, None as -1."""
    found = []
    for x, y in picture_xy:
        u, v = to_canvas @ (x, y, 1)
        on = [place for place, (x1, y1, x2, y2) in enumerate(rects) if x1 <= u < x2 and y1 <= v < y2]
        assert len(on) <= 1
        found.append(on[0] if on else -1)
    return np.array(found)


PIXEL_CENTRES = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2) + 0.5


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.tuples(st.integers(9, SIDE), st.integers(9, SIDE)), min_size=4, max_size=4),
)
def test_every_pixel_of_a_mosaic_lies_on_the_film_whose_shade_it_has(seed: int, sizes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(seed)
    films = [even_film(shade, size_wh) for shade, size_wh in zip(SHADES, sizes, strict=True)]
    layout = four(sizes, SIDE, rng)

    picture = compose(films, layout, random_map(2 * SIDE, SIDE, Augment(degrees=20, scale=0.5), rng), SIDE)

    told = film_at(PIXEL_CENTRES, picture.rects_xyxy, picture.to_canvas)
    shade_of = dict(zip((*SHADES, PAD_SHADE), (0, 1, 2, 3, -1), strict=True))
    shown = picture.pixels.reshape(-1)
    pure = np.isin(shown, list(shade_of))  # on a seam two shades are mixed; a mix may look like a third, but not often
    agree = told[pure] == np.array([shade_of[int(shade)] for shade in shown[pure]])
    assert pure.mean() > 0.7
    assert agree.mean() > 0.995
    assert set(told) <= {-1, 0, 1, 2, 3}


@given(st.integers(0, 2**32), st.floats(0, 20), st.floats(0, 0.95))
def test_no_picture_is_mirrored(seed: int, degrees: float, scale: float) -> None:
    to_picture = random_map(2 * SIDE, SIDE, Augment(degrees=degrees, scale=scale), np.random.default_rng(seed))

    assert np.linalg.det(to_picture[:, :2]) > 0


def test_without_a_turn_every_single_pixel_agrees() -> None:
    rng = np.random.default_rng(3)
    films = [even_film(shade) for shade in SHADES]

    still = random_map(2 * SIDE, SIDE, Augment(degrees=0, scale=0, translate=0), rng)
    picture = compose(films, four([(SIDE, SIDE)] * 4, SIDE, rng), still, SIDE)

    told = film_at(PIXEL_CENTRES, picture.rects_xyxy, picture.to_canvas)
    assert (np.array(SHADES)[told] == picture.pixels.reshape(-1)).all()
    assert set(told) == {0, 1, 2, 3}


def test_a_box_lands_on_its_own_content() -> None:
    """Each film has one bright square, and a box round it; in the picture the box holds it again."""
    n_looked_at = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        films = []
        for shade in SHADES:
            film = even_film(shade, (SIDE, SIDE), (20, 24, 40, 44))
            film.pixels[24:44, 20:40] = 255 if shade < 200 else 0
            films.append(film)
        picture = compose(
            films, four([(SIDE, SIDE)] * 4, SIDE, rng), random_map(2 * SIDE, SIDE, Augment(scale=0.2), rng), SIDE
        )
        for (x1, y1, x2, y2), place in zip(picture.boxes_xyxy.round().astype(int), picture.film_of_box, strict=True):
            if min(x2 - x1, y2 - y1) < 10:
                continue  # of a sliver the soft edge is the most
            inside = picture.pixels[y1:y2, x1:x2]
            n_looked_at += 1
            bright = inside > 247 if place < 3 else inside < 8
            assert bright.mean() > 0.6  # the rest are the corners of the upright rectangle, and the soft edge
    assert n_looked_at > 10


def test_a_box_is_cut_where_its_film_is_cut() -> None:
    film = even_film(20, (SIDE, SIDE), (0, 0, 30, 30), (40, 40, 60, 60))
    origins = np.array([[-20.0, -20.0]])  # the first 20 px of the film are off the canvas
    layout = Layout(2 * SIDE, origins, np.array([[0.0, 0.0, 44.0, 44.0]]))

    picture = compose([film], layout, np.eye(2, 3), SIDE)

    np.testing.assert_allclose(picture.boxes_xyxy, [[0, 0, 10, 10], [20, 20, 40, 40]])
    assert picture.film_of_box.tolist() == [0, 0]


@pytest.mark.parametrize(
    "box", [(0, 0, 20, 20), (0, 0, 21.5, 60), (18, 0, 21, 60)], ids=["cut off", "under a tenth left", "a sliver"]
)
def test_of_a_box_that_is_nearly_cut_off_nothing_is_kept(box: tuple[float, ...]) -> None:
    layout = Layout(2 * SIDE, np.array([[-20.0, -20.0]]), np.array([[0.0, 0.0, 44.0, 44.0]]))

    picture = compose([even_film(20, (SIDE, SIDE), box)], layout, np.eye(2, 3), SIDE)

    assert len(picture.boxes_xyxy) == len(picture.findings) == len(picture.film_of_box) == 0


def test_a_film_alone_lies_where_reading_puts_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 41), dtype=np.uint8)
    letterbox = Letterbox.fit((41, 50), SIDE)
    shown = letterbox_pixels(pixels, letterbox)
    inner = shown[
        letterbox.top : letterbox.top + letterbox.inner_wh[1], letterbox.left : letterbox.left + letterbox.inner_wh[0]
    ]
    film = Film(inner, np.array([[0.0, 0, *letterbox.inner_wh]]), np.zeros(1, int))
    none = random_map(SIDE, SIDE, Augment(degrees=0, scale=0, translate=0), np.random.default_rng(0))

    picture = compose([film], alone(film.size_wh, SIDE), none, SIDE)

    assert np.array_equal(picture.pixels, shown)
    np.testing.assert_allclose(picture.boxes_xyxy, letterbox.to_square.apply(np.array([[0.0, 0, 41, 50]])))
    assert picture.seen.tolist() == [1, 0, 0, 0]


def test_how_much_of_a_film_is_seen_is_counted_in_area() -> None:
    layout = Layout(2 * SIDE, np.array([[32.0, 0.0]]), np.array([[32.0, 0.0, 96.0, 64.0]]))

    picture = compose([even_film(20)], layout, np.eye(2, 3), SIDE)

    assert picture.seen[0] == pytest.approx(0.5)
