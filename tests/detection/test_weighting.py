from pathlib import Path

import numpy as np
import pytest

from boxray.core.errors import RecipeError
from boxray.core.findings import Presence
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.recipe import DetectionRecipe, Stage
from boxray.detection.weighting import boxed_findings, cell_weights, draw_images, present_cells, repeats, showings
from built import TWO, box_row, image_row, manifest_of

BOXED = (Presence.BOXED.value, Rule.BOX.value)
ABSENT = (Presence.ABSENT.value, Rule.LABEL.value)
ASSUMED = (Presence.ABSENT.value, Rule.ASSUMPTION.value)
PRESENT = (Presence.PRESENT.value, Rule.LABEL.value)
UNKNOWN = (Presence.UNKNOWN.value, Rule.NONE.value)


def recipe(**changes: object) -> DetectionRecipe:
    stages = (Stage(side_px=64, epochs=1, lr=0.001),)
    return DetectionRecipe.model_validate({"data": Path(), "stages": stages} | changes)


def of(*fluid: tuple[str, str]) -> Manifest:
    images = [image_row(number, "train", {"fluid": cell, "heart": UNKNOWN}) for number, cell in enumerate(fluid)]
    boxes = [box_row(f"made:{n}", "fluid", (1, 1, 9, 9)) for n, cell in enumerate(fluid) if cell == BOXED]
    return manifest_of(Path(), images, boxes)


@pytest.mark.parametrize(
    ("cell", "weight"),
    [
        pytest.param(BOXED, 1.0, id="boxed teaches in full"),
        pytest.param(ABSENT, 1.0, id="absent teaches background in full"),
        pytest.param(ASSUMED, 0.5, id="assumed absence teaches half"),
        pytest.param(PRESENT, 0.0, id="present without a box is not background"),
        pytest.param(UNKNOWN, 0.0, id="unknown teaches nothing"),
    ],
)
def test_what_a_cell_may_teach(cell: tuple[str, str], weight: float) -> None:
    weights = cell_weights(of(cell), recipe(assumption_weight=0.5))

    assert weights.tolist() == [[weight, 0.0]]


def test_the_naive_merge_takes_all_that_is_unknown_for_background() -> None:
    weights = cell_weights(of(UNKNOWN, PRESENT), recipe(partial_labels=False))

    assert (weights == 1).all()


def test_only_findings_with_a_box_count_as_trained() -> None:
    assert boxed_findings(of(BOXED, ABSENT)) == ("fluid",)
    assert boxed_findings(of(ABSENT)) == ()


def test_present_without_a_box_is_told_apart_unless_partial_labels_are_off() -> None:
    manifest = of(BOXED, PRESENT, UNKNOWN)

    assert present_cells(manifest, recipe()).tolist() == [[False, False], [True, False], [False, False]]
    assert not present_cells(manifest, recipe(partial_labels=False)).any()


def test_images_that_teach_nothing_are_not_drawn() -> None:
    drawn = draw_images(of(BOXED, UNKNOWN, ABSENT, PRESENT, ASSUMED), recipe())

    assert drawn.images["image"].tolist() == ["0", "2"]


@pytest.mark.parametrize("present_weight", [0.0, 0.5])
def test_the_same_images_are_drawn_with_and_without_partial_labels(present_weight: float) -> None:
    manifest = of(BOXED, UNKNOWN, ABSENT, PRESENT, ASSUMED)

    on, off = (
        draw_images(manifest, recipe(partial_labels=switch, present_weight=present_weight)) for switch in (True, False)
    )

    assert on.images.equals(off.images)


def test_images_with_something_present_are_drawn_where_that_teaches() -> None:
    drawn = draw_images(of(BOXED, UNKNOWN, PRESENT), recipe(present_weight=0.5))

    assert drawn.images["image"].tolist() == ["0", "2"]


def test_a_limit_on_a_source_draws_that_many_and_the_same_ones_again() -> None:
    manifest = of(*[BOXED] * 20)

    first, again = (draw_images(manifest, recipe(at_most={"made": 7}, seed=3)) for _ in range(2))
    other = draw_images(manifest, recipe(at_most={"made": 7}, seed=4))

    assert len(first.images) == 7
    assert first.images.equals(again.images)
    assert not first.images.equals(other.images)
    assert set(first.boxes["image_id"]) == set(first.images["image_id"])


def test_images_boxed_for_a_repeated_finding_are_shown_so_often() -> None:
    assert repeats(of(BOXED, ABSENT), recipe(repeat={"fluid": 3})).tolist() == [3, 1]


def of_two_sources(n_a: int, n_b: int) -> Manifest:
    sources = ["a"] * n_a + ["b"] * n_b
    cells = {"fluid": BOXED, "heart": UNKNOWN}
    return manifest_of(Path(), [image_row(n, "train", cells, source=source) for n, source in enumerate(sources)], [])


def test_without_weights_of_sources_each_showing_is_of_one_image() -> None:
    assert [shown.tolist() for shown in showings(of(BOXED, ABSENT), recipe(repeat={"fluid": 2}))] == [[0], [0], [1]]


def test_a_weighed_source_has_so_many_showings_drawn_from_all_its_images() -> None:
    shown = showings(of_two_sources(6, 3), recipe(sampling={"a": 0.5, "b": 3}))

    assert sorted(map(tuple, shown)) == [(0, 1, 2, 3, 4, 5)] * 3 + [(6, 7, 8)] * 9


def test_a_source_that_is_not_there_cannot_be_weighed() -> None:
    with pytest.raises(RecipeError, match=r"sampling.*'c'.*'a', 'b'"):
        showings(of_two_sources(1, 1), recipe(sampling={"c": 2}))


def test_weights_follow_the_order_of_the_label_space() -> None:
    images = [image_row(0, "train", {"fluid": UNKNOWN, "heart": ABSENT})]

    weights = cell_weights(manifest_of(Path(), images, []), recipe())

    assert TWO.keys == ("fluid", "heart")
    np.testing.assert_array_equal(weights, [[0.0, 1.0]])
