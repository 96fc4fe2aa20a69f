"""Two detectors on the same images."""

from pathlib import Path

import pytest

from boxray.core.assessed import findings_of_both
from boxray.core.boxes import Box
from boxray.core.errors import ModelError
from boxray.core.findings import Presence
from boxray.core.metrics import paired_difference
from boxray.core.protocols import FixedDetector
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from boxray.detection.compare import Compared, _figure_of, compare_detections, mean_ap50
from boxray.detection.evaluate import judge
from built import SQUARE_XYXY, TWO, box_row, image_row, manifest_of
from making import label_space

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


def compared(manifest, ours, theirs, findings, rounds) -> dict[str, Compared]:
    return {row.finding: row for row in compare_detections(manifest, ours, theirs, findings, rounds=rounds)}


def test_a_finding_that_only_one_of_two_finds_makes_the_difference() -> None:
    ours, theirs = [(FLUID, HEART)] * 20, [(FLUID,)] * 20

    rows = compared(half_fluid_half_heart(), ours, theirs, ("fluid", "heart"), rounds=30)

    assert [rows[key].difference.value for key in ("fluid", "heart", "mean")] == [0.0, 1.0, 0.5]
    assert (rows["mean"].difference.low, rows["mean"].difference.high) == (0.5, 0.5)  # the same on every resample


def test_the_difference_the_other_way_round_has_the_other_sign() -> None:
    manifest, half = half_fluid_half_heart(), [(FLUID, HEART)] * 5 + [()] * 10 + [(FLUID, HEART)] * 5

    there = compared(manifest, half, [()] * 20, ("fluid",), rounds=50)["fluid"].difference
    back = compared(manifest, [()] * 20, half, ("fluid",), rounds=50)["fluid"].difference

    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    assert there.low < there.value < there.high


def test_the_mean_is_that_of_the_findings() -> None:
    assert mean_ap50(half_fluid_half_heart(), [(HEART,)] * 20, ("fluid", "heart"), rounds=20).value == 0.5


def test_a_comparison_is_what_each_is_alone_and_the_paired_difference() -> None:
    manifest = half_fluid_half_heart()
    ours, theirs = [(FLUID, HEART)] * 6 + [(FLUID,)] * 9 + [()] * 5, [(FLUID,)] * 20

    rows = compared(manifest, ours, theirs, TWO.keys, rounds=40)

    assert list(rows) == ["fluid", "heart", "mean"]
    measures = [_figure_of(manifest, found, TWO.keys, "ap50", with_assumed=False) for found in (ours, theirs)]
    differences = paired_difference(*measures, manifest.images["patient"].tolist(), rounds=40)
    assert [row.difference for row in rows.values()] == list(differences)
    for found, side in ((ours, "ours"), (theirs, "theirs")):
        alone = judge(manifest, found, "fluid", assessed=True, threshold=None).ap50.value
        assert getattr(rows["fluid"], side).value == alone
        assert getattr(rows["mean"], side) == mean_ap50(manifest, found, TWO.keys, rounds=40)
    assert [(row.n_images, row.n_boxes) for row in rows.values()] == [(10, 10), (10, 10), (20, 20)]


def test_two_that_order_alike_differ_by_how_far_their_scores_are_from_what_is_hit() -> None:
    """Half of the boxes lie where nothing is: a score of a half keeps its word, one of 0.1 does not."""
    manifest = half_fluid_half_heart()
    beside = Box(1, 1, 9, 9)
    right, shy = (
        [(Detection("fluid", score, FLUID.box), Detection("fluid", score, beside))] * 20 for score in (0.5, 0.1)
    )

    ap50, ece = (compare_detections(manifest, right, shy, ("fluid",), figure, rounds=30) for figure in ("ap50", "ece"))

    assert ap50[0].difference.value == 0
    assert [row.ours.value for row in ece] == pytest.approx([0.0] * 2), "of the finding and of the mean"
    assert [row.theirs.value for row in ece] == pytest.approx([0.4] * 2)
    alone = judge(manifest, shy, "fluid", assessed=True, threshold=None, rounds=10).reliability
    assert alone is not None
    assert ece[0].theirs.value == alone.ece.value


def test_a_finding_without_a_box_has_no_figure_and_no_part_in_the_mean() -> None:
    manifest = half_fluid_half_heart()
    only_fluid = manifest.only(manifest.images["presence_fluid"] == Presence.BOXED.value)

    fluid, heart, mean = compare_detections(only_fluid, [(FLUID,)] * 10, [()] * 10, TWO.keys, rounds=10)

    nothing = {"value": None, "low": None, "high": None}
    counts = {"finding": "heart", "images": 0, "boxes": 0}
    assert heart.to_json() == counts | {"ours": nothing, "theirs": nothing, "difference": nothing}
    assert (mean.ours, mean.difference) == (fluid.ours, fluid.difference)
    assert mean.difference.value == 1.0


def test_without_any_box_there_is_no_figure_at_all() -> None:
    nothing = half_fluid_half_heart().only(half_fluid_half_heart().images["split"] == "train")

    rows = compare_detections(nothing, [], [], TWO.keys, rounds=10)

    assert [row.n_boxes for row in rows] == [0, 0, 0]
    assert all(str(row.difference) == "–" for row in rows)


def test_what_is_compared_is_what_both_assess_or_what_is_named_of_it() -> None:
    both, fluid = FixedDetector(TWO, assessed=("heart", "fluid")), FixedDetector(TWO, assessed=("fluid",))

    assert findings_of_both(both, both) == ("fluid", "heart")
    assert findings_of_both(both, fluid) == ("fluid",)
    assert findings_of_both(both, both, ["heart"]) == ("heart",)
    with pytest.raises(ModelError, match=r"heart cannot be compared; assessed .* by theirs: fluid; by both: fluid"):
        findings_of_both(both, fluid, ["fluid", "heart"])
    with pytest.raises(ModelError, match="nothing to compare"):
        findings_of_both(both, FixedDetector(TWO))
    with pytest.raises(ModelError, match="missing"):
        findings_of_both(both, FixedDetector(label_space("fluid", "lung"), assessed=("fluid",)))
