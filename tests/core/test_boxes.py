"""Boxes, against pixels that are painted and counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.core.boxes import (
    Box,
    as_xyxy,
    box_area,
    box_iou,
    clip_boxes,
    cxcywh_to_xyxy,
    suppress,
    xyxy_to_yolo,
    yolo_to_xyxy,
)

SIDE_PX = 16
NONE = np.empty((0, 4))


@st.composite
def whole_pixel_boxes(draw, low=0, high=SIDE_PX):
    """One box on whole pixels, at least a pixel wide and high; int64 of shape (4,)."""
    x1, y1 = (draw(st.integers(low, high - 1)) for _ in range(2))
    return np.array([x1, y1, draw(st.integers(x1 + 1, high)), draw(st.integers(y1 + 1, high))])


def some_boxes(seed, most=8):
    """Shape (N, 4), float64, N from none; partly on a coarse grid, so that sides of 0 and equal boxes occur."""
    rng = np.random.default_rng(seed)
    n = rng.integers(0, most + 1)
    corners = rng.uniform(-1000, 4000, (n, 2, 2)) if rng.random() < 0.5 else rng.integers(0, 5, (n, 2, 2)) * 1.0
    return np.sort(corners, axis=1).reshape(n, 4)


any_boxes = st.integers(0, 2**32 - 1).map(some_boxes)


def painted(box_xyxy, side_px=SIDE_PX):
    """The box as coloured pixels, to be counted."""
    x1, y1, x2, y2 = box_xyxy
    canvas = np.zeros((side_px, side_px), dtype=bool)
    canvas[y1:y2, x1:x2] = True
    return canvas


@given(whole_pixel_boxes(), whole_pixel_boxes())
@settings(max_examples=80)
def test_overlap_of_whole_pixel_boxes_is_what_counting_pixels_gives(one, other):
    computed = box_iou(one[None], other[None])[0, 0]

    shared, covered = painted(one) & painted(other), painted(one) | painted(other)

    assert computed == pytest.approx(shared.sum() / covered.sum())


@given(whole_pixel_boxes())
@settings(max_examples=40)
def test_the_area_of_a_whole_pixel_box_is_its_number_of_pixels(box):
    assert box_area(box[None]) == [painted(box).sum()]


@given(any_boxes, any_boxes)
@settings(max_examples=80)
def test_overlap_is_symmetric_and_between_0_and_1(boxes, others):
    overlaps = box_iou(boxes, others)

    assert overlaps.shape == (len(boxes), len(others))
    assert np.array_equal(overlaps, box_iou(others, boxes).T)
    assert ((overlaps >= 0) & (overlaps <= 1)).all()


@given(any_boxes)
@settings(max_examples=40)
def test_a_box_overlaps_itself_wholly_and_one_without_area_overlaps_nothing(boxes):
    overlaps = box_iou(boxes, boxes)

    assert np.array_equal(overlaps.diagonal(), box_area(boxes) > 0)


@pytest.mark.parametrize(
    "boxes",
    [
        pytest.param(np.zeros((4, 12)), id="corners-first"),
        pytest.param(np.zeros(4), id="one-box-without-a-list"),
        pytest.param(np.zeros((2, 2, 2)), id="corners-as-points"),
    ],
)
@pytest.mark.parametrize("function", [box_area, lambda boxes: box_iou(boxes, NONE), lambda boxes: box_iou(NONE, boxes)])
def test_an_array_that_is_no_list_of_boxes_is_refused_with_its_shape(function, boxes):
    with pytest.raises(ValueError, match=r"must have shape \(N, 4\), got \("):
        function(boxes)


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param((2, 0, 1, 5), id="right-of-itself"),
        pytest.param((0, 2, 5, 1), id="below-itself"),
        pytest.param((0, 0, float("nan"), 5), id="nan"),
        pytest.param((0, float("nan"), 5, 5), id="nan-first"),
        pytest.param((0, 0, 5, float("inf")), id="endless"),
        pytest.param((-float("inf"), 0, 5, 5), id="without-beginning"),
    ],
)
def test_a_box_that_is_none_cannot_be_made(corners):
    with pytest.raises(ValueError, match="a box needs finite x1 <= x2"):
        Box(*corners)


def test_boxes_become_rows_and_none_becomes_no_row():
    assert as_xyxy([Box(1, 2, 3, 4), Box(5, 6, 7, 8)]).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert as_xyxy([]).shape == (0, 4)


@given(whole_pixel_boxes(), st.integers(1, SIDE_PX), st.integers(1, SIDE_PX))
@settings(max_examples=60)
def test_a_clipped_box_covers_the_pixels_that_lie_on_the_image(box, width, height):
    clipped = clip_boxes(box[None].astype(float), (width, height))

    assert box_area(clipped)[0] == painted(box)[:height, :width].sum()


def test_a_box_that_starts_left_of_the_image_starts_at_its_edge():
    assert clip_boxes(np.array([[-3.56, -1.0, 50.0, 300.0]]), (200, 100)).tolist() == [[0, 0, 50, 100]]


@given(any_boxes, st.integers(1, 5000), st.integers(1, 5000))
@settings(max_examples=60)
def test_fractions_of_a_yolo_file_lead_back_to_the_same_pixels(boxes, width, height):
    there_and_back = yolo_to_xyxy(xyxy_to_yolo(boxes, (width, height)), (width, height))

    assert there_and_back.shape == boxes.shape
    assert np.allclose(there_and_back, boxes, rtol=0, atol=1e-8)


def test_a_yolo_row_is_centre_and_size_as_fractions_of_width_and_height():
    rows = xyxy_to_yolo(np.array([[10.0, 20.0, 30.0, 60.0]]), (100, 200))

    assert rows.tolist() == [[0.2, 0.2, 0.2, 0.2]]


def some_scored_boxes(seed):
    """Boxes and their scores, many of them equal."""
    boxes = some_boxes(seed)
    return boxes, np.random.default_rng(seed).integers(1, 5, len(boxes)) / 4


scored_boxes = st.integers(0, 2**32 - 1).map(some_scored_boxes)


@given(scored_boxes, st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
@settings(max_examples=100)
def test_kept_boxes_do_not_overlap_and_each_dropped_one_overlaps_a_kept_one_of_at_least_its_score(case, iou_limit):
    boxes, scores = case

    kept = suppress(boxes, scores, iou_limit)

    overlaps = box_iou(boxes, boxes)
    dropped = set(range(len(boxes))) - set(kept.tolist())
    assert len(set(kept.tolist())) == len(kept)
    assert all(overlaps[one, other] <= iou_limit for one in kept for other in kept if one != other)
    assert all(any(overlaps[i, k] > iou_limit and scores[k] >= scores[i] for k in kept) for i in dropped)


@given(scored_boxes)
@settings(max_examples=60)
def test_kept_boxes_come_by_falling_score_and_equal_ones_in_the_order_given(case):
    boxes, scores = case

    kept = suppress(boxes, scores, 0.5).tolist()

    assert kept == sorted(kept, key=lambda index: (-scores[index], index))


@given(scored_boxes)
@settings(max_examples=40)
def test_suppressing_what_was_suppressed_changes_nothing(case):
    boxes, scores = case

    kept = suppress(boxes, scores, 0.5)

    assert suppress(boxes[kept], scores[kept], 0.5).tolist() == list(range(len(kept)))


@given(scored_boxes, st.integers(0, 5))
@settings(max_examples=40)
def test_the_most_that_are_kept_are_the_first_of_all(case, most):
    boxes, scores = case

    assert suppress(boxes, scores, 0.5, most).tolist() == suppress(boxes, scores, 0.5).tolist()[:most]


def test_centre_and_size_become_corners():
    assert cxcywh_to_xyxy(np.array([[10.0, 20.0, 4.0, 6.0]])).tolist() == [[8, 17, 12, 23]]
    assert cxcywh_to_xyxy(np.empty((0, 4))).shape == (0, 4)
