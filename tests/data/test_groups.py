"""Groups of images: who is in which."""

import pandas as pd
import pytest

from boxray.data.groups import groups


def images(**columns: list[object]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    empty: dict[str, list[object]] = {"source": ["made"] * n, "sex": [None] * n, "view": [None] * n}
    table = pd.DataFrame(empty | {key: value for key, value in columns.items() if key != "age_years"})
    table["age_years"] = pd.array(columns.get("age_years", [None] * n), dtype="Int16")
    return table


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (0, "under 18"),
        (17, "under 18"),  # the last whole year of a child
        (18, "18–39"),
        (59, "40–59"),
        (60, "60–79"),
        (80, "80 and over"),
        (None, "not known"),
    ],
)
def test_an_age_lies_in_one_band(years: int | None, band: str) -> None:
    found = [group for attribute, group, members in groups(images(age_years=[years, 30])) if members[0]]

    assert band in found


def test_what_is_known_of_no_image_makes_no_groups() -> None:
    assert {attribute for attribute, _, _ in groups(images(sex=["F", "M", None]))} == {"source", "sex"}


def test_every_image_is_in_one_group_of_each_attribute() -> None:
    table = images(sex=["F", "M", None, "F"], age_years=[3, 40, None, 90])

    for attribute in ("source", "sex", "age"):
        members = [which for name, _, which in groups(table) if name == attribute]
        assert sum(which.astype(int) for which in members).tolist() == [1, 1, 1, 1]


def test_bands_come_by_age_and_the_unknown_last() -> None:
    table = images(age_years=[None, 85, 20, 5])

    assert [group for name, group, _ in groups(table) if name == "age"] == [
        "under 18",
        "18–39",
        "80 and over",
        "not known",
    ]
