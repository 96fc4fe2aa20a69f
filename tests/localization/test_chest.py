"""Energy in the lungs, the heart's width, boxes beside the chest: by hand."""

import numpy as np
import pytest

from boxray.core.boxes import Box
from boxray.core.findings import Finding, LabelSpace
from boxray.core.lungs import LungField
from boxray.core.protocols import FixedClassifier, FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection, ModelIdentity, SaliencyMap
from boxray.localization.chest import HEART, cardiothoracic_ratio, chest_of, energy_in_lungs, outside_lungs
from boxray.localization.reader import NOT_CHECKED, Reader

SHAPE_HW = (100, 120)


def lungs(*, right: bool = True, left: bool = True) -> LungField:
    """The right lung from x 10 to 40, the left from 70 to 110, both from y 20 to 80."""
    masks = np.zeros((2, *SHAPE_HW), dtype=bool)
    masks[0, 20:80, 10:40] = right
    masks[1, 20:80, 70:110] = left
    return LungField(masks[0], masks[1])


def saliency(*spots: tuple[int, int, float]) -> SaliencyMap:
    values = np.zeros(SHAPE_HW, dtype=np.float32)
    for x, y, value in spots:
        values[y, x] = value
    return SaliencyMap("fluid", values)


def test_energy_counts_what_lies_in_either_lung() -> None:
    spots = saliency((15, 30, 1.0), (100, 79, 2.0), (55, 50, 4.0), (10, 80, 1.0))  # the last touches from below

    assert energy_in_lungs(spots, lungs()) == pytest.approx(3 / 8)


def test_a_map_that_is_zero_has_no_energy_in_the_lungs() -> None:
    assert energy_in_lungs(saliency(), lungs()) == 0


def test_energy_is_not_known_where_a_lung_was_not_found() -> None:
    assert energy_in_lungs(saliency((15, 30, 1.0)), lungs(left=False)) is None


def test_a_map_in_another_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="give both in one frame"):
        energy_in_lungs(SaliencyMap("fluid", np.ones((4, 4), dtype=np.float32)), lungs())


def test_the_ratio_is_the_hearts_width_over_the_lungs_outer_edges() -> None:
    assert cardiothoracic_ratio(Box(45, 50, 95, 85), lungs()) == (pytest.approx(50 / 100), None)


@pytest.mark.parametrize(
    ("field", "heart", "reason"),
    [
        (lungs(left=False), Box(45, 50, 95, 85), "not found: left lung"),
        (lungs(right=False, left=False), Box(45, 50, 95, 85), "not found: right and left lung"),
        (lungs(), None, "no box of the heart"),
    ],
)
def test_there_is_no_ratio_without_both_lungs_and_the_heart(field: LungField, heart: Box | None, reason: str) -> None:
    assert cardiothoracic_ratio(heart, field) == (None, reason)


@pytest.mark.parametrize(
    ("box", "outside"),
    [
        (Box(45, 50, 95, 85), False),  # the heart: in neither lung, but between them
        (
            Box(100, 70, 120, 100),
            False,
        ),  # an angle with fluid: a quarter of it and less in the chest, more than a tenth
        (Box(0, 90, 30, 100), True),  # below the lungs
        (Box(0, 0, 60, 21), True),  # a twentieth of its height, so less of its area
        (Box(50, 50, 50, 50), False),  # a point between the lungs
        (Box(5, 5, 5, 5), True),  # a point beside them
    ],
)
def test_a_box_is_outside_if_less_than_a_tenth_of_it_lies_in_the_chest(box: Box, outside: bool) -> None:
    assert outside_lungs(box, lungs()) is outside


def test_nothing_lies_outside_lungs_that_were_not_found() -> None:
    assert outside_lungs(Box(0, 90, 30, 100), lungs(right=False)) is False


def test_a_reading_states_the_chest_and_flags_a_box_beside_it() -> None:
    reading = reader(lungs()).read_radiograph(Radiograph(np.zeros(SHAPE_HW, dtype=np.float32)), "a")

    assert reading.chest == chest_of(lungs(), Box(45, 50, 95, 85))
    assert reading.chest is not None
    assert reading.chest.cardiothoracic_ratio == pytest.approx(0.5)
    assert reading.notes == (NOT_CHECKED, "box d2 lies outside the chest")
    assert [row.energy_in_lungs for row in reading.agreement] == [0.0, 0.0]


def test_a_box_below_its_operating_point_is_neither_a_heart_nor_flagged() -> None:
    reading = reader(lungs(), {"fluid": 0.9, "heart": 0.9}).read_radiograph(
        Radiograph(np.zeros(SHAPE_HW, dtype=np.float32)), "a"
    )

    assert reading.chest is not None
    assert reading.chest.reason == "no box of the heart"
    assert reading.notes == (NOT_CHECKED,)


def test_a_classifier_that_draws_no_lungs_leaves_the_reading_as_it_was() -> None:
    reading = reader(None).read_radiograph(Radiograph(np.zeros(SHAPE_HW, dtype=np.float32)), "a")

    assert reading.chest is None
    assert "chest" not in reading.to_json()
    assert all("energy_in_lungs" not in row for row in reading.to_json()["agreement"])


def reader(field: LungField | None, thresholds: dict[str, float] | None = None) -> Reader:
    space = LabelSpace(
        "made", (Finding("fluid", "Fluid", "it", "#4477AA"), Finding("heart", "Heart", HEART, "#4477AA"))
    )
    found = (Detection("heart", 0.8, Box(45, 50, 95, 85)), Detection("fluid", 0.7, Box(0, 90, 30, 100)))
    speaker = ModelIdentity("made", "0", "0" * 64, thresholds or {})
    return Reader(
        FixedDetector(space, found, space.keys, speaker),
        FixedClassifier(space, {"fluid": 0.9, "heart": 0.9}, speaker, field),
    )
