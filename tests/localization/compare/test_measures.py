"""What a method says of one finding, measured by hand on drawn boxes and maps."""

import numpy as np
import pytest
from hypothesis import given, settings

from boxed import boxes, seeds
from boxray.core.boxes import Box
from boxray.core.metrics import localization_measure, rank
from boxray.core.reading import Detection, SaliencyMap
from boxray.detection.evaluate import LOCALIZATION_LIMITS
from boxray.localization.compare.measures import (
    FOUND,
    Said,
    covered,
    lies_in,
    measured,
    said_by_detector,
    said_by_map,
    said_by_reader,
)
from drawn import rectangle

SIZE_WH = 100, 50
TRUTH = np.array([[10.0, 10.0, 30.0, 30.0]])


def found(*boxes_and_scores):
    return [Detection("fluid", score, Box(*xyxy)) for xyxy, score in boxes_and_scores]


def by_map(values, share=0.5, score=0.9):
    return said_by_map(SaliencyMap("fluid", values), share, score, 0.5, TRUTH)


def test_the_upper_half_of_a_readers_box_overlaps_it_by_a_half():
    said = said_by_detector(found(((10, 10, 30, 20), 0.8)), "fluid", 0.5, TRUTH, SIZE_WH)

    row = measured(said, TRUTH, SIZE_WH)

    assert (row["iou"], row["pointing_hit"], row["centre_hit"], row["energy_inside"]) == (0.5, True, True, 1.0)
    assert (row["point_x"], row["point_y"], row["score"]) == (20.0, 15.0, 0.8)
    assert row["best_covers"] == 20 * 10 / (100 * 50)
    assert [row[name] for name in FOUND] == [1, 1, 1, 1, 1, 0, 0]  # an overlap of exactly T counts


def test_the_best_box_is_that_of_the_highest_score_even_below_the_operating_point():
    said = said_by_detector(
        [*found(((60, 10, 80, 30), 0.2), ((10, 10, 30, 30), 0.3)), Detection("heart", 0.9, Box(0, 0, 5, 5))],
        "fluid",
        0.5,
        TRUTH,
        SIZE_WH,
    )

    row = measured(said, TRUTH, SIZE_WH)

    assert (row["iou"], row["n_reported"], row["found_at_0.3"]) == (1.0, 0, 0)


def test_a_detector_without_a_box_misses_everything():
    row = measured(said_by_detector([], "fluid", 0.5, TRUTH, SIZE_WH), TRUTH, SIZE_WH)

    assert (row["pointing_hit"], row["centre_hit"], row["iou"], row["energy_inside"]) == (False, False, 0.0, 0.0)
    assert (row["n_reported"], row["best_covers"]) == (0, 0.0)
    assert np.isnan([row["point_x"], row["box_x1"], row["score"]]).all()


def test_a_map_points_at_its_highest_pixel_and_its_box_is_round_the_region_that_holds_it():
    wide, bright = rectangle((50, 100), (40, 10, 60, 30), 0.5), rectangle((50, 100), (20, 20, 21, 21), 1.0)

    row = measured(by_map(wide + bright), TRUTH, SIZE_WH)

    assert (row["pointing_hit"], row["point_x"], row["point_y"]) == (True, 20.5, 20.5)
    assert (row["centre_hit"], row["iou"]) == (True, 1 / 400)
    assert (row["box_x1"], row["box_y1"], row["box_x2"], row["box_y2"]) == (20, 20, 21, 21)
    assert row["energy_inside"] == pytest.approx(1 / (1 + 200))
    assert row["n_reported"] == 2


def test_half_of_the_energy_inside_is_a_half():
    row = measured(by_map(rectangle((50, 100), (20, 10, 40, 30))), TRUTH, SIZE_WH)

    assert row["energy_inside"] == pytest.approx(0.5)
    assert row["iou"] == pytest.approx(200 / 600)


def test_a_map_that_is_even_everywhere_has_inside_what_the_boxes_cover():
    row = measured(by_map(np.full((50, 100), 0.3, np.float32)), TRUTH, SIZE_WH)

    assert row["energy_inside"] == pytest.approx(covered(TRUTH, SIZE_WH)) == pytest.approx(400 / 5000)


def test_an_empty_map_misses_everything():
    row = measured(by_map(np.zeros((50, 100), np.float32)), TRUTH, SIZE_WH)

    assert (row["pointing_hit"], row["centre_hit"], row["iou"], row["energy_inside"]) == (False, False, 0.0, 0.0)
    assert row["score"] == 0.9


def test_a_map_of_a_score_below_the_operating_point_reports_no_box_but_still_has_a_best_one():
    row = measured(by_map(rectangle((50, 100), TRUTH[0]), score=0.4), TRUTH, SIZE_WH)

    assert (row["n_reported"], row["found_at_0.1"], row["iou"]) == (0, 0, 1.0)


def test_of_a_readers_boxes_the_largest_is_the_best_and_all_are_reported():
    said = said_by_reader(np.array([[0.0, 0.0, 5.0, 5.0], [10.0, 10.0, 30.0, 28.0]]), TRUTH, SIZE_WH)

    row = measured(said, TRUTH, SIZE_WH)

    assert (row["iou"], row["n_reported"], row["found_at_0.7"]) == (0.9, 2, 1)
    assert not measured(said_by_reader(np.empty((0, 4)), TRUTH, SIZE_WH), TRUTH, SIZE_WH)["pointing_hit"]


def test_overlapping_readers_boxes_cover_their_union():
    assert covered(np.array([[0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0]]), SIZE_WH) == 150 / 5000


def test_the_edge_of_a_box_is_in_it():
    assert lies_in((10.0, 30.0), TRUTH)
    assert not lies_in((9.99, 30.0), TRUTH)


def test_without_a_readers_box_an_image_takes_no_part():
    with pytest.raises(ValueError, match="got no box"):
        measured(Said(TRUTH, None, None, 0.0, 0.5), np.empty((0, 4)), SIZE_WH)


@given(seeds)
@settings(max_examples=80)
def test_what_is_found_and_false_is_what_the_detectors_evaluation_counts(seed):
    rng = np.random.default_rng(seed)
    reported, truth = boxes(rng, 6), np.vstack([boxes(rng, 4), [[2.0, 2.0, 5.0, 6.0]]])
    scores = np.sort(rng.random(len(reported)))[::-1]

    row = measured(Said(reported, None, None, 0.0, 0.5), truth, (12, 12))

    expected = localization_measure(rank([(reported, scores, truth)], LOCALIZATION_LIMITS), 0.0)(np.ones(1))
    n_found = np.array([row[name] for name in FOUND])
    assert np.append(n_found / len(truth), row["n_reported"] - n_found) == pytest.approx(expected)
