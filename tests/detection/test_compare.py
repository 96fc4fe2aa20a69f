"""Two detectors on the same images."""

from pathlib import Path

import pytest

from boxray.core.boxes import Box
from boxray.core.findings import Presence
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.compare import ap50_difference, mean_ap50
from built import SQUARE_XYXY, box_row, image_row, manifest_of

FLUID, HEART = (Detection(key, 0.9, Box(*SQUARE_XYXY)) for key in ("fluid", "heart"))


def half_fluid_half_heart() -> Manifest:
    """Ten images with a box of the one, ten with a box of the other; what is not boxed is unknown."""
    boxed, unknown = (Presence.BOXED.value, Rule.BOX.value), (Presence.UNKNOWN.value, Rule.NONE.value)
    images = [
        image_row(
            number, "test", {"fluid": boxed if number < 10 else unknown, "heart": unknown if number < 10 else boxed}
        )
        for number in range(20)
    ]
    boxes = [box_row(f"made:{number}", "fluid" if number < 10 else "heart", SQUARE_XYXY) for number in range(20)]
    return manifest_of(Path(), images, boxes)


def test_a_finding_that_only_one_of_two_finds_makes_the_difference() -> None:
    ours, theirs = [(FLUID, HEART)] * 20, [(FLUID,)] * 20

    difference = ap50_difference(half_fluid_half_heart(), ours, theirs, ("fluid", "heart"), rounds=30)

    assert [difference[key].value for key in ("fluid", "heart", "mean")] == [0.0, 1.0, 0.5]
    assert (difference["mean"].low, difference["mean"].high) == (0.5, 0.5)  # the same on every resample


def test_the_difference_the_other_way_round_has_the_other_sign() -> None:
    manifest, half = half_fluid_half_heart(), [(FLUID, HEART)] * 5 + [()] * 10 + [(FLUID, HEART)] * 5

    there = ap50_difference(manifest, half, [()] * 20, ("fluid",), rounds=50)["fluid"]
    back = ap50_difference(manifest, [()] * 20, half, ("fluid",), rounds=50)["fluid"]

    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    assert there.low < there.value < there.high


def test_the_mean_is_that_of_the_findings() -> None:
    assert mean_ap50(half_fluid_half_heart(), [(HEART,)] * 20, ("fluid", "heart"), rounds=20).value == 0.5
