import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.arrays import FloatArray
from boxray.core.boxes import Box
from boxray.core.reading import Case, SaliencyMap
from boxray.localization.agreement import agree, agree_by_boxes, painted

BOX = Box(2, 2, 6, 6)


def saliency(*spots: tuple[int, int, float]) -> SaliencyMap:
    values = np.zeros((10, 12), dtype=np.float32)
    for x, y, value in spots:
        values[y, x] = value
    return SaliencyMap("fluid", values)


@pytest.mark.parametrize(
    ("boxes", "map_speaks", "case"),
    [
        ([BOX], True, Case.BOTH),
        ([BOX], False, Case.BOX_ONLY),
        ([], True, Case.MAP_ONLY),
        ([], False, Case.NEITHER),
    ],
)
def test_the_case_says_which_model_speaks(boxes: list[Box], map_speaks: bool, case: Case) -> None:
    agreement = agree("fluid", boxes, saliency((3, 3, 1.0)), map_speaks=map_speaks)

    assert agreement.case is case
    assert (agreement.iou is not None) == (case is Case.BOTH)


def test_a_map_with_its_peak_and_half_its_energy_in_the_box() -> None:
    agreement = agree("fluid", [BOX], saliency((3, 3, 1.0), (10, 8, 0.6), (10, 9, 0.4)), map_speaks=True)

    assert agreement.pointing_hit is True
    assert agreement.energy_inside == pytest.approx(0.5)
    assert agreement.iou == pytest.approx(1 / 17)  # the box's 16 pixels and one more that reaches half the peak


def test_a_peak_outside_every_box_is_a_miss() -> None:
    agreement = agree("fluid", [BOX], saliency((11, 9, 1.0), (3, 3, 0.9)), map_speaks=True)

    assert agreement.pointing_hit is False


def test_a_map_that_is_zero_everywhere_agrees_with_nothing() -> None:
    agreement = agree("fluid", [BOX], saliency(), map_speaks=True)

    assert (agreement.pointing_hit, agreement.iou, agreement.energy_inside) == (False, 0.0, 0.0)


def test_two_boxes_count_as_their_union() -> None:
    one = agree("fluid", [Box(2, 2, 6, 6)], saliency((3, 3, 1.0)), map_speaks=True)
    twice = agree("fluid", [Box(2, 2, 6, 6), Box(2, 2, 5, 6)], saliency((3, 3, 1.0)), map_speaks=True)

    assert one == twice


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.1, 100))
def test_agreement_does_not_change_with_the_strength_of_the_map(seed: int, factor: float) -> None:
    values: FloatArray = np.random.default_rng(seed).random((10, 12))
    box = [Box(1.2, 3.4, 7.7, 9.1)]

    weak = agree("fluid", box, SaliencyMap("fluid", values), map_speaks=True)
    strong = agree("fluid", box, SaliencyMap("fluid", values * factor), map_speaks=True)

    assert weak.pointing_hit == strong.pointing_hit
    assert weak.energy_inside == pytest.approx(strong.energy_inside)
    assert 0 <= weak.energy_inside <= 1


@pytest.mark.parametrize(
    ("box", "n_pixels"),
    [
        pytest.param(Box(2, 2, 6, 6), 16, id="whole pixels are counted"),
        pytest.param(Box(2.4, 2.4, 5.6, 5.6), 16, id="a pixel belongs to the box that holds its centre"),
        pytest.param(Box(2.6, 2.6, 5.4, 5.4), 4, id="and to no box that does not"),
        pytest.param(Box(-5, -5, 100, 100), 120, id="what lies outside has no pixels"),
        pytest.param(Box(3, 3, 3, 3), 0, id="no area, no pixel"),
    ],
)
def test_painted_pixels(box: Box, n_pixels: int) -> None:
    assert painted([box], (10, 12)).sum() == n_pixels


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), max_size=5), st.booleans(), st.integers(0, 3))
def test_agreement_by_boxes_is_that_of_the_first_so_many_boxes(corners, map_speaks, seed):
    boxes = [Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)) for x1, y1, x2, y2 in corners]
    values = np.random.default_rng(seed).random((10, 11), dtype=np.float32) * (seed > 0)  # seed 0: a map of nothing
    saliency = SaliencyMap("edema", values)

    rows = agree_by_boxes("edema", boxes, saliency, map_speaks=map_speaks)

    assert len(rows) == len(boxes) + 1
    for n_boxes, row in enumerate(rows):
        alone = agree("edema", boxes[:n_boxes], saliency, map_speaks=map_speaks)
        assert (row.case, row.pointing_hit) == (alone.case, alone.pointing_hit)
        assert row.iou == pytest.approx(alone.iou)
        assert (row.energy_inside is None) == (alone.energy_inside is None)
        assert (row.energy_inside or 0) == pytest.approx(alone.energy_inside or 0, abs=1e-4)
