"""The whole comparison on a made set, where the right answer is known."""

import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from boxray.core.boxes import Box
from boxray.core.errors import ModelError
from boxray.core.protocols import FixedDetector
from boxray.core.reading import Detection, ModelIdentity
from boxray.data.split import Split
from boxray.localization.compare import compare
from boxray.localization.compare.asking import DEFAULT_SHARE, DETECTOR, boxed_images
from boxray.localization.compare.second_reader import SECOND_READER
from boxray.localization.compare.words import cautions
from built import SQUARE_XYXY, TWO, box_row, build_tiny_set
from drawn import DrawnExplainer, noise, nothing, perfect, rectangle, unknown_in_half
from making import label_space

HIT = Detection("fluid", 0.9, Box(*SQUARE_XYXY))
KNOWS = FixedDetector(TWO, (HIT,), ("fluid",), ModelIdentity("knows", "1", "a" * 64, {"fluid": 0.5}))
SILENT = replace(KNOWS, detections=())
STORED = DrawnExplainer({"grad_cam": perfect})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Twelve boxed images of twelve patients in each split."""
    return build_tiny_set(tmp_path_factory.mktemp("made"), per_split=24)


def test_a_perfect_detector_beats_a_map_that_knows_nothing(made):
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": noise}), made, rounds=50)

    figures = [comparison.figure("fluid", DETECTOR, what).value for what in ("pointing_hit", "iou")]
    assert figures == [1.0, 1.0]
    assert comparison.difference("mean", "grad_cam", "localized_at_0.3").low > 0
    energy = comparison.figure("fluid", "grad_cam", "energy_inside").value
    assert energy == pytest.approx(comparison.figure("fluid", "grad_cam", "readers_cover").value, abs=0.01)
    assert all("the detector beats Grad-CAM" in sentence for sentence in comparison.verdict[:2])
    assert "the detector gives a box in 100% of these images and finds 100%" in comparison.verdict[2]
    assert len(comparison.rows) == 12 * 2
    assert (comparison.n_images, comparison.n_patients, comparison.sources) == (12, 12, {"fluid": {"made": 12}})


def test_a_perfect_map_is_not_beaten_and_the_sentence_says_so(made):
    comparison = compare(SILENT, DrawnExplainer({"grad_cam": perfect}), made, rounds=50)

    assert comparison.figure("fluid", "grad_cam", "iou").value == 1.0
    assert comparison.figure("fluid", DETECTOR, "iou").value == 0.0
    for sentence in comparison.verdict[:2]:
        assert "does not beat Grad-CAM" in sentence
        assert "Grad-CAM is the better one here. The map is the better one in: Fluid." in sentence


def test_two_that_are_alike_are_told_as_undecided(made):
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": perfect}), made, rounds=20)

    assert "The interval holds zero" in comparison.verdict[0]


@pytest.mark.parametrize(("threshold", "reported"), [(0.95, 0.0), (0.85, 1.0), (0.1, 1.0)])
def test_what_each_reports_is_counted_from_its_own_stored_threshold(made, threshold, reported):
    """Box and score are 0.9; the other of the two is left at a half."""
    stored = {"fluid": threshold}
    detector = replace(KNOWS, identity=replace(KNOWS.identity, thresholds=stored))
    plain = DrawnExplainer({"grad_cam": perfect})
    explainer = replace(plain, identity=replace(plain.identity, thresholds=stored))

    boxes = compare(detector, plain, made, rounds=10)
    maps = compare(KNOWS, explainer, made, rounds=10)

    assert boxes.figure("fluid", DETECTOR, "found_at_0.3").value == reported
    assert maps.figure("fluid", "grad_cam", "found_at_0.3").value == reported


def test_where_a_model_stores_no_operating_point_nothing_is_said_of_reports_and_a_caution_tells(made):
    detector = replace(KNOWS, identity=replace(KNOWS.identity, thresholds={}))

    comparison = compare(detector, DrawnExplainer({"grad_cam": perfect}), made, rounds=10)

    assert comparison.without_operating_point == {"knows": ("fluid",)}
    assert len(comparison.verdict) == 2
    assert any("knows stores no operating point for Fluid" in said for said in cautions(comparison))
    assert not any("operating point" in said for said in cautions(compare(KNOWS, STORED, made, rounds=10)))


def test_a_map_that_is_empty_misses_and_stops_nothing(made):
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": nothing}), made, rounds=20)

    assert comparison.figure("fluid", "grad_cam", "pointing_hit").value == 0.0


def test_only_images_in_which_the_finding_is_boxed_take_part(made):
    part = made.part(Split.TEST)

    assert len(boxed_images(part, ["fluid"])) == 12
    assert len(boxed_images(unknown_in_half(part), ["fluid"])) == 6
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": noise}), unknown_in_half(made), rounds=10)
    assert comparison.rows["image_id"].nunique() == 6


def halo(rad, finding):
    """Right from 0.7 of the maximum on, far too large below."""
    return rectangle(rad.pixels.shape, (0, 0, 256, 256), 0.65) + rectangle(rad.pixels.shape, SQUARE_XYXY, 0.35)


def test_the_maps_threshold_is_the_best_of_the_validation_split(made):
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": halo}), made, rounds=10)

    (chosen,) = comparison.shares
    assert (chosen.share, chosen.n_images, chosen.mean_iou) == (0.7, 12, 1.0)
    assert chosen.how == "best mean IoU on 12 validation images"
    assert comparison.figure("fluid", "grad_cam", "iou").value == 1.0


def test_with_too_few_validation_images_the_default_is_taken_and_said(made):
    few = made.only((made.images["split"] != "val") | (made.images.index % 6 == 0))

    (chosen,) = compare(KNOWS, DrawnExplainer({"grad_cam": halo}), few, rounds=10).shares

    assert chosen.share == DEFAULT_SHARE
    assert "are fewer than 10" in chosen.how


def test_every_method_stands_beside_the_detector_or_only_those_asked_for(made):
    explainer = DrawnExplainer({"grad_cam": noise, "layer_cam": perfect})

    both = compare(KNOWS, explainer, made, rounds=10)
    one = compare(KNOWS, explainer, made, methods=["layer_cam"], rounds=10)

    assert (both.methods, one.methods) == (("grad_cam", "layer_cam"), ("layer_cam",))
    assert set(both.rows["method"]) == {DETECTOR, "grad_cam", "layer_cam"}
    assert "beat LayerCAM" in one.verdict[0]


def test_several_lanes_say_what_one_says(made):
    explainer = DrawnExplainer({"grad_cam": noise})

    one, three = (compare(KNOWS, explainer, made, lanes=lanes, rounds=10) for lanes in (1, 3))

    pd.testing.assert_frame_equal(one.rows, three.rows)
    pd.testing.assert_frame_equal(one.summary, three.summary)


def test_no_map_is_kept(made):
    refs: list[weakref.ref] = []
    most = []

    class Held(np.ndarray):
        """An array that can be counted."""

    def counted(rad, finding):
        values = noise(rad, finding).view(Held)
        refs.append(weakref.ref(values))
        most.append(sum(ref() is not None for ref in refs))
        return values

    compare(KNOWS, DrawnExplainer({"grad_cam": counted}), made, rounds=5)

    assert len(most) == 24
    assert max(most) <= 2  # the one that is drawn and at most the one before it


def test_what_cannot_be_compared_is_named_with_its_reason(made):
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": noise}), made, rounds=5)
    assert comparison.left_out == {"heart": "no reader boxed it in this split"}

    with pytest.raises(ModelError, match="nothing to compare: fluid: not assessed by the detector and the classifier"):
        compare(replace(KNOWS, assessed=()), DrawnExplainer({"grad_cam": noise}, {"heart": 0.1}), made)
    with pytest.raises(ModelError, match=r"does not explain by magic; it knows grad_cam"):
        compare(KNOWS, DrawnExplainer({"grad_cam": noise}), made, methods=["magic"])
    with pytest.raises(ModelError, match="missing"):
        compare(replace(KNOWS, label_space=label_space("fluid", "lung")), DrawnExplainer({"grad_cam": noise}), made)


def test_a_map_of_another_size_is_refused(made):
    small = DrawnExplainer({"grad_cam": lambda rad, finding: np.ones((8, 8), np.float32)})

    with pytest.raises(ModelError, match=r"shape \(8, 8\), the radiograph \(256, 256\)"):
        compare(KNOWS, small, made)


def test_a_second_reader_is_measured_by_the_first_where_both_drew(made, tmp_path):
    """Reader A's boxes are the set's; B draws half of each box on two images, and elsewhere says nothing of it."""
    x1, y1, x2, y2 = SQUARE_XYXY
    images = made.images.assign(readers="a/published b/published")
    boxed = [row["image_id"] for _, row in made.boxes.iterrows()]
    by = ["image_id", "finding", "x1", "y1", "x2", "y2", "raw_label"]
    first = made.boxes[by].assign(reader="a/published")
    half = pd.DataFrame([box_row(image, "fluid", (x1, y1, x2, (y1 + y2) / 2)) for image in boxed[:2]])
    two = replace(made, folder=tmp_path, images=images)
    two.save({}, pd.concat([first, half[by].assign(reader="b/published")]))
    beside = replace(two, folder=made.folder)

    class Beside(type(two)):
        """Pictures of the made set, readers of the other."""

        def reader_boxes(self):
            return two.reader_boxes()

    manifest = Beside(beside.folder, beside.label_space, beside.images, beside.boxes)
    comparison = compare(KNOWS, DrawnExplainer({"grad_cam": noise}), manifest, rounds=10)

    second = comparison.rows[comparison.rows["method"] == SECOND_READER]
    assert second["image_id"].tolist() == boxed[:2]
    assert second["iou"].tolist() == [0.5, 0.5]
    assert comparison.figure("fluid", SECOND_READER, "localized_at_0.5").value == 1.0
    assert comparison.n_images == 12  # the second reader's films are not among those compared
