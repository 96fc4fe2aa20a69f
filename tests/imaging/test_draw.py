import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.core.boxes import Box
from boxray.core.findings import Finding, LabelSpace
from boxray.core.reading import Detection
from boxray.imaging import draw
from boxray.imaging.draw import (
    GROUND,
    MAP_OPACITY,
    PAPER,
    Mark,
    Panel,
    bare_picture,
    boxes_picture,
    card,
    compose,
    encode_png,
    film_of,
    map_picture,
    margin_px,
    on_film,
    plain_picture,
    spread,
)

SPACE = LabelSpace(
    "two",
    (Finding("effusion", "Pleural effusion", "the fluid", "#228833"), Finding("nodule", "Nodule", "it", "#EE6677")),
)


def a_film(height: int = 200, width: int = 240):
    """A smooth slope from dark to bright, so that every change of a pixel shows."""
    return film_of(np.linspace(0.1, 0.9, height * width, dtype=np.float32).reshape(height, width))


def a_detection(*xyxy: float, score: float = 0.5, finding: str = "effusion") -> Detection:
    return Detection(finding, score, Box(*xyxy))


def film_part(picture, film):
    """The pixels of a picture of boxes on which the film lies."""
    left = margin_px(film, SPACE)
    return picture[: film.grey.shape[0], left : left + film.grey.shape[1]]


@pytest.fixture
def written(monkeypatch) -> list[tuple[float, float, str]]:
    """What is written on pictures: x, y and words."""
    texts = []
    write = draw._write

    def spy(canvas, lines, px, anchor):
        texts.extend((x, y, text) for x, y, text, _ in lines)
        write(canvas, lines, px, anchor)

    monkeypatch.setattr(draw, "_write", spy)
    return texts


def test_a_small_film_is_shown_pixel_for_pixel_and_says_so():
    film = film_of(np.full((90, 60), 0.5, dtype=np.float32))

    assert film.grey.shape == (90, 60)
    assert film.caption == "60 x 90 px, full size"


def test_a_large_film_is_made_smaller_and_says_by_how_much():
    film = film_of(np.zeros((3200, 2000), dtype=np.float32))

    assert film.grey.shape == (1600, 1000)
    assert film.caption == "2000 x 3200 px, shown at 50%"


def test_black_and_white_stay_black_and_white():
    film = film_of(np.array([[0.0, 1.0]], dtype=np.float32))

    assert film.grey.tolist() == [[0, 255]]


@pytest.mark.parametrize(("side", "line_px"), [(256, 1), (1024, 2), (1600, 3)])
def test_a_box_has_a_thin_line_that_grows_with_the_film(side, line_px):
    assert film_of(np.zeros((side, side), dtype=np.float32)).line_px == line_px


def test_what_a_box_encloses_is_not_touched():
    film = a_film()
    picture = film_part(boxes_picture(film, [a_detection(50, 60, 110, 120)], SPACE), film)

    assert (picture[60:120, 50:110] == plain_picture(film)[60:120, 50:110]).all()


def test_a_box_is_drawn_round_its_own_place_and_in_the_colour_of_its_finding():
    film = a_film()
    picture = film_part(boxes_picture(film, [a_detection(50, 60, 110, 120, finding="nodule")], SPACE), film)

    rim = [picture[58, 50:110], picture[121, 50:110], picture[60:120, 48], picture[60:120, 111]]

    assert all((line == on_film("#EE6677")).all() for line in rim)


def test_words_stay_off_the_film():
    film = a_film()
    changed = (film_part(boxes_picture(film, [a_detection(50, 60, 110, 120)], SPACE), film) != plain_picture(film)).any(
        axis=2
    )

    changed[57:123, 47:113] = False  # the box with its line and its dark rim
    changed[86:94, :50] = False  # the leader, from the left margin to the box

    assert not changed.any()


def test_the_film_does_not_move_when_boxes_come_and_go():
    film = a_film()
    none, some = (
        boxes_picture(film, dets, SPACE) for dets in ([], [a_detection(5, 5, 20, 20), a_detection(200, 9, 220, 30)])
    )

    assert none.shape == some.shape
    assert (film_part(none, film) == plain_picture(film)).all()


def test_labels_of_boxes_in_one_place_do_not_overlap(written):
    film = a_film(height=600)
    boxes_picture(film, [a_detection(10, 290 + n, 60, 310 + n, score=n / 10) for n in range(9)], SPACE)

    heights = sorted(y for _, y, _ in written)

    assert len(heights) == 18  # a name and a score each
    assert min(np.diff(heights)) >= film.font_px


def test_a_margin_that_is_full_says_how_many_boxes_have_no_label(written):
    film = a_film(height=200)
    boxes_picture(film, [a_detection(10, 50, 60, 90, score=n / 50) for n in range(50)], SPACE)

    scores = [text for _, _, text in written if text.startswith("0.")]
    rest = next(text for _, _, text in written if "without label" in text)

    assert len(scores) + int(rest.split()[1]) == 50
    assert max(scores) == "0.98"  # the highest are kept
    assert all(0 <= y <= 200 for _, y, _ in written)


@pytest.mark.parametrize(
    "xyxy",
    [
        (0, 0, 240, 200),  # the whole film: the line must not vanish outside
        (-30, -30, 400, 400),  # larger than the film
        (239.5, 199.5, 239.6, 199.6),  # less than a pixel, in the last corner
        (100, 100, 100, 100),  # no area
        (500, 500, 600, 600),  # beside the film
    ],
)
def test_an_odd_box_is_still_seen(xyxy):
    film = a_film()

    assert (film_part(boxes_picture(film, [a_detection(*xyxy)], SPACE), film) != plain_picture(film)).any()


@pytest.mark.parametrize("shape", [(1, 1), (8, 300), (300, 8)])
def test_the_smallest_film_has_room_for_its_label(shape, written):
    film = a_film(*shape)
    boxes_picture(film, [a_detection(0, 0, 1, 1)], SPACE)
    map_picture(film, np.ones(shape, dtype=np.float32), 1.0, SPACE)

    assert "Pleural effusion" in [text for _, _, text in written]


@given(
    st.lists(st.floats(-50, 550), max_size=20).map(sorted),
    st.floats(1, 25),
)
def test_labels_that_are_spread_keep_their_order_their_distance_and_the_room(centres, height):
    middles = spread(centres, height, room=500)

    assert len(middles) == len(centres)
    assert all(height / 2 - 1e-6 <= middle <= 500 - height / 2 + 1e-6 for middle in middles)
    assert (np.diff(middles) >= height - 1e-6).all()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20, unique=True).map(sorted))
def test_labels_that_have_room_stay_where_they_are(tens):
    centres = [10.0 * ten for ten in tens]

    assert spread(centres, height=10, room=500) == pytest.approx(centres)


def test_more_labels_than_room_are_refused():
    with pytest.raises(ValueError, match="3 labels of 10 px need more than 25 px"):
        spread([1, 2, 3], height=10, room=25)


def test_a_map_of_nothing_leaves_the_film_as_it_is():
    film = a_film()
    picture = map_picture(film, np.zeros((200, 240), dtype=np.float32), 5.0, SPACE)

    assert (picture[:200, :240] == plain_picture(film)).all()


def test_a_map_without_a_reference_is_not_blown_up():
    film = a_film()
    picture = map_picture(film, np.full((200, 240), 1e-9, dtype=np.float32), 0.0, SPACE)

    assert (picture[:200, :240] == plain_picture(film)).all()


def test_a_weak_map_stays_weak_beside_the_reference():
    film = a_film()
    picture = map_picture(film, np.full((200, 240), 0.5, dtype=np.float32), 5.0, SPACE)

    change = np.abs(picture[:200, :240].astype(int) - plain_picture(film))

    assert 0 < change.max() <= 255 * MAP_OPACITY / 10 + 1


def test_the_film_shows_through_the_strongest_map():
    film = a_film()
    picture = map_picture(film, np.full((200, 240), 5.0, dtype=np.float32), 5.0, SPACE)[:200, :240].astype(float)

    contrast = picture[-1].mean() - picture[0].mean()

    assert contrast == pytest.approx((1 - MAP_OPACITY) * (film.grey[-1].mean() - film.grey[0].mean()), abs=2)


def test_a_bare_picture_has_the_films_size_and_changes_it_only_at_boxes_spots_and_map():
    film = a_film()
    mark = Mark(Box(20, 20, 60, 60), (255, 0, 0), ("", ""), 1.0)

    picture = bare_picture(film, [mark], spots=[((150.0, 100.0), (0, 255, 0))])

    changed = (picture != plain_picture(film)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert picture.shape == (200, 240, 3)
    assert not changed[20:60, 20:60].any()  # what a box encloses is not touched
    spot = columns > 100
    assert (columns[spot].mean(), rows[spot].mean()) == pytest.approx((150, 100), abs=1)
    assert not changed[100, 150]  # a ring, so that what is pointed at is seen
    empty = bare_picture(film, [], values=np.zeros((200, 240), np.float32))
    assert (empty == plain_picture(film)).all()


def test_a_coarse_map_covers_the_whole_film():
    film = a_film()
    corner = np.zeros((4, 4), dtype=np.float32)
    corner[3, 3] = 1

    changed = (map_picture(film, corner, 1.0, SPACE)[:200, :240] != plain_picture(film)).any(axis=2)

    assert changed[-1, -1]
    assert not changed[:90, :].any()


def test_the_colour_bar_states_the_raw_maximum_and_the_reference(written):
    map_picture(a_film(), np.full((2, 2), 1.25, dtype=np.float32), 5.0, SPACE)

    words = [text for _, _, text in written]

    assert "max 1.25" in words
    assert "5" in words


def test_boxes_on_a_map_are_broken_lines():
    film, box = a_film(), a_detection(40, 40, 160, 160)
    picture = map_picture(film, np.zeros((2, 2), dtype=np.float32), 1.0, SPACE, [box])

    top = (picture[38, 40:160] == on_film("#228833")).all(axis=-1)

    assert 0.3 < top.mean() < 0.7


@given(st.integers(0, 0xFFFFFF))
def test_every_colour_stands_out_from_the_ground(colour):
    def luminance(rgb):
        shares = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * shares[0] + 0.7152 * shares[1] + 0.0722 * shares[2]

    contrast = (luminance(on_film(f"#{colour:06X}")) + 0.05) / (luminance(GROUND) + 0.05)

    assert contrast >= 4.5  # WCAG 2.2, 1.4.3


def test_panels_stand_side_by_side_above_words_for_all(written):
    one, other = np.zeros((50, 80, 3), np.uint8), np.full((50, 60, 3), 255, np.uint8)
    sheet = compose([Panel("One", ("a",), one), Panel("Other", (), other)], [("For all", PAPER)])

    assert sheet.shape[1] > 140
    assert sheet.shape[0] > 50
    assert (sheet == 255).all(axis=2).sum() >= 50 * 60
    assert {"One", "a", "Other", "For all"} <= {text for _, _, text in written}


def test_long_words_are_broken_and_none_is_lost(written):
    word = "x" * 300
    card("Title", [(f"short {word} end", PAPER)], width=300)

    said = "".join(text for _, _, text in written).replace(" ", "")

    assert f"short{word}end" in said
    assert all(draw._text_px(text, 20) <= 300 for _, _, text in written)


def test_a_png_gives_back_every_pixel():
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)

    decoded = cv2.imdecode(np.frombuffer(encode_png(rgb), np.uint8), cv2.IMREAD_COLOR)

    assert (cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) == rgb).all()


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (4, 4, 1)])
def test_only_rgb_becomes_a_png(shape):
    with pytest.raises(ValueError, match=r"uint8 of shape \(H, W, 3\)"):
        encode_png(np.zeros(shape, dtype=np.uint8))
