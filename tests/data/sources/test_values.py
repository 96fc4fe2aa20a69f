"""Texts of tables as what they mean, and nothing where they mean nothing."""

import pytest

from boxray.core.errors import DataError
from boxray.data.sources.values import (
    age_of,
    bounds_of,
    corners_of,
    corners_of_xywh,
    read_sizes,
    sex_of,
    side_of,
    view_of,
)
from making import write_text


@pytest.mark.parametrize(
    ("text", "age"),
    [("57", 57), ("058Y", 58), (" 7 ", 7), ("63.0", 63), ("0", 0), ("120", 120)]
    + [(text, None) for text in ("", "414", "121", "-3", "57.5", "6M", "about 50", "nan")],
)
def test_an_age_is_whole_years_that_a_person_can_have(text, age):
    assert age_of(text) == age


@pytest.mark.parametrize(
    ("text", "sex"), [("F", "F"), ("m", "M"), (" M ", "M"), ("", None), ("O", None), ("Male", None)]
)
def test_a_sex_is_one_of_two_letters_or_not_known(text, sex):
    assert sex_of(text) == sex


@pytest.mark.parametrize(
    ("text", "view"), [("PA", "PA"), ("AP", "AP"), ("AP Supine", "AP"), ("L", "L"), ("", None), ("?", None)]
)
def test_a_view_is_pa_or_ap_or_lateral_or_not_known(text, view):
    assert view_of(text) == view


def test_corners_come_as_text_or_numbers():
    assert corners_of(("1", 2, "3.5", 4)) == (1, 2, 3.5, 4)
    assert corners_of_xywh(("1", 2, "3.5", 4)) == (1, 2, 4.5, 6)


@pytest.mark.parametrize(
    "values", [(1, 2, 3), (1, 2, 3, 4, 5), (1, 2, 3, "nan"), (1, 2, 3, "inf"), (1, 2, 3, ""), (1, 2, 3, 10**400)]
)
def test_what_is_no_four_finite_numbers_has_no_corners(values):
    with pytest.raises(ValueError, match=r"."):
        corners_of(values)


def test_the_bounds_of_points_hold_all_of_them():
    assert bounds_of(["3", 1, 2], [5, "9.5", 7]) == (1, 5, 3, 9.5)


@pytest.mark.parametrize("xs", [(), (1, 2, "nan"), ("nan", 1, 2), (1, 2, float("inf")), (1, 2, 10**400)])
def test_points_that_are_none_have_no_bounds(xs):
    with pytest.raises(ValueError, match=r"finite coordinates|beyond all numbers"):
        bounds_of(xs, (1, 2, 3))


@pytest.mark.parametrize("value", [0, -1, "0", "wide", "", "1.5", float("inf"), float("nan")])
def test_a_side_is_a_whole_number_above_0(value):
    with pytest.raises(ValueError, match=r"."):
        side_of(value)


def test_sizes_come_by_image_and_a_row_without_one_is_named(tmp_path):
    table = write_text(tmp_path / "sizes.csv", "image_id,width,height", "a,10,20")

    assert read_sizes(table) == {"a": (10, 20)}
    with pytest.raises(DataError, match=r"sizes\.csv: 'b' has no size, but '' x '20'"):
        read_sizes(write_text(table, "image_id,width,height", "b,,20"))
