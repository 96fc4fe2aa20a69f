import re

import numpy as np
import pytest

from boxray.core.errors import Outcome
from boxray.core.reading import Reading, SaliencyMap
from boxray.imaging.draw import film_of
from boxray.serve.viewer import viewer_html
from serve.reading_room import SPACE, open_chest

FILM = film_of(np.linspace(0, 1, 60 * 50, dtype=np.float32).reshape(60, 50))


def html_of_the_map(shown: str, **highest: float) -> str:
    """The viewer over maps that are as high as this everywhere."""
    maps = tuple(SaliencyMap(key, np.full((60, 50), value, dtype=np.float32)) for key, value in highest.items())
    reading = Reading("a.png", Outcome.RESULT, size_wh=(50, 60), maps=maps)
    return viewer_html(FILM, reading, SPACE, shown, film_id=1, film_uri="data:,")


def test_beside_a_map_stands_the_raw_value_of_full_colour_even_where_this_map_does_not_reach_it():
    html = html_of_the_map("pneumonia", effusion=8.25, pneumonia=0.5)

    assert "Full colour: raw map value 8.25<" in html


@pytest.mark.parametrize(
    ("shown", "highest"),
    [
        ("effusion", {"effusion": 0.0}),  # nothing is painted
        ("edema", {"effusion": 8.25}),  # there is no map of it
    ],
)
def test_where_no_map_has_a_colour_no_value_of_full_colour_stands(shown, highest):
    assert "Full colour" not in html_of_the_map(shown, **highest)


@pytest.mark.browser
def test_a_key_shows_the_film_alone_and_the_other_window_moves_along(page):
    open_chest(page)
    page.keyboard.press("o")
    hidden = page.locator(".bx-sheet img >> visible=true").count()
    page.keyboard.press("o")
    page.keyboard.press("+")

    zoomed = page.evaluate("[...document.querySelectorAll('.bx-sheet')].map((s) => s.style.transform)")

    assert hidden == 0
    assert page.locator(".bx-sheet img >> visible=true").count() == 2
    assert [re.search(r"scale\(([\d.]+)\)", transform)[1] for transform in zoomed] == ["1.4", "1.4"]
