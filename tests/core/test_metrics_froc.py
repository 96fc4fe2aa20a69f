"""Sensitivity against false positives, and localization accuracy: worked by hand, and by counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxed import films, seeds
from boxray.core.metrics import (
    LUNA16_RATES,
    froc_curve,
    froc_measure,
    localization_measure,
    operating_measure,
    rank,
)

NONE = np.empty((0, 4))
HERE, THERE = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]
HALF_OF_HERE = [0.0, 0.0, 10.0, 5.0]


def image(*found, readers=()):
    """Detections as (box, score), and the readers' boxes."""
    boxes = np.array([box for box, _ in found], dtype=float).reshape(-1, 4)
    return boxes, np.array([score for _, score in found], dtype=float), np.array(readers, dtype=float).reshape(-1, 4)


BY_HAND = [
    image((HERE, 0.9), (THERE, 0.3), readers=[HERE, THERE]),  # a hit at .9, a hit at .3
    image((HERE, 0.8), (HERE, 0.7), readers=[HERE]),  # a hit at .8; the second on the same place is false
    image((HERE, 0.6)),  # absent: false
    image((HERE, 0.5), (THERE, 0.5)),  # absent: two false at one score
]
"""Three boxes on four images. By falling score: hit, hit, false .7, false .6, two false .5, hit .3.

Sensitivity is 2/3 at 0 false positives, stays there at 1/4, 2/4 and 4/4 an image, and is 1 at 4/4 from .3 on.
"""


def test_froc_worked_by_hand():
    figures = froc_measure(rank(BY_HAND, (0.5,)), 0.5)(np.ones(4))

    # 1/8, 1/4, 1/2: two of three boxes. From 1 on: all.
    assert figures.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1, 1, 1, 1, (3 * 2 / 3 + 4) / 7])


def test_the_froc_curve_worked_by_hand():
    false_per_image, sensitivity = froc_curve(rank(BY_HAND, (0.5,)), 0.5)

    # One point per threshold: .9, .8, .7, .6, .5 (two detections), .3
    assert false_per_image.tolist() == pytest.approx([0, 0, 1 / 4, 2 / 4, 1, 1])
    assert sensitivity.tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 1])


def test_detections_of_one_score_are_taken_together_or_not_at_all():
    tied = [image((HERE, 0.5), readers=[HERE]), *(image((HERE, 0.5)) for _ in range(3))]

    figures = froc_measure(rank(tied, (0.5,)), 0.5, rates=(0.5, 0.75))(np.ones(4))

    assert figures[:2].tolist() == [0.0, 1.0]  # the threshold .5 makes three false positives on four images


def test_an_image_where_the_finding_is_absent_counts_among_those_that_share_the_false_positives():
    one_false = image((HERE, 0.9), (THERE, 0.8), readers=[THERE])
    silent = image()

    rate = (0.5,)
    alone = froc_measure(rank([one_false], (0.5,)), 0.5, rate)(np.ones(1))
    beside = froc_measure(rank([one_false, silent], (0.5,)), 0.5, rate)(np.ones(2))

    assert alone[0] == 0.0  # one false positive an image before the hit
    assert beside[0] == 1.0  # half a false positive an image


def test_without_boxes_there_is_no_sensitivity_and_without_detections_none_is_reached():
    no_box, no_detection = rank([image((HERE, 0.9))], (0.5,)), rank([image(readers=[HERE])], (0.5,))

    assert np.isnan(froc_measure(no_box, 0.5)(np.ones(1))).all()
    assert froc_measure(no_detection, 0.5)(np.ones(1)).tolist() == [0.0] * 8
    assert [len(part) for part in froc_curve(no_box, 0.5)] == [0, 0]
    assert [len(part) for part in froc_curve(rank([], (0.5,)), 0.5)] == [0, 0]


@given(seeds)
@settings(max_examples=60)
def test_froc_is_what_trying_every_threshold_gives(seed):
    cases = films(seed)
    ranked = rank(cases, (0.5,))
    n_boxes = ranked.n_boxes.sum()
    hits = ranked.hits_at(0.5)

    figures = froc_measure(ranked, 0.5)(np.ones(len(cases)))

    if n_boxes == 0:
        assert np.isnan(figures).all()
        return
    for rate, figure in zip(LUNA16_RATES, figures, strict=False):
        reached = [0.0]
        for threshold in ranked.scores:
            reported = ranked.scores >= threshold
            if (reported & ~hits).sum() / len(cases) <= rate:
                reached.append((reported & hits).sum() / n_boxes)
        assert figure == pytest.approx(max(reached))


@given(seeds, st.floats(0, 1))
@settings(max_examples=60)
def test_an_image_of_weight_k_counts_as_k_copies_of_it_in_every_measure(seed, threshold):
    cases = films(seed, equal_scores=False)
    times = np.random.default_rng(seed).integers(0, 4, len(cases))
    copies = [case for case, n in zip(cases, times, strict=True) for _ in range(n)]
    limits = (0.1, 0.5)

    for measure_of in (
        lambda ranked: froc_measure(ranked, 0.5),
        lambda ranked: operating_measure(ranked, 0.5, threshold),
        lambda ranked: localization_measure(ranked, threshold),
    ):
        by_weight = measure_of(rank(cases, limits))(times.astype(float))
        by_copy = measure_of(rank(copies, limits))(np.ones(len(copies)))
        assert by_weight.tolist() == pytest.approx(by_copy.tolist(), nan_ok=True)


def test_the_operating_point_worked_by_hand():
    sensitivity, false_per_image, f1 = operating_measure(rank(BY_HAND, (0.5,)), 0.5, 0.6)(np.ones(4))

    # At or above .6: two hits, two false positives, of three boxes on four images
    assert (sensitivity, false_per_image, f1) == pytest.approx((2 / 3, 2 / 4, 2 * 2 / (4 + 3)))


def test_a_threshold_on_images_without_the_finding_only_counts_false_positives():
    sensitivity, false_per_image, f1 = operating_measure(rank(BY_HAND[2:], (0.5,)), 0.5, 0.5)(np.ones(2))

    assert np.isnan([sensitivity, f1]).all()
    assert false_per_image == 1.5


def test_localization_worked_by_hand():
    cases = [
        image((HALF_OF_HERE, 0.9), (THERE, 0.8), readers=[HERE]),  # overlap of a half, and one beside it
        image((HERE, 0.2), readers=[HERE]),  # below the threshold
        image((HERE, 0.9)),  # absent: not asked
    ]

    figures = localization_measure(rank(cases, (0.3, 0.5, 0.7)), 0.5)(np.ones(3))

    accuracy, false_per_image = figures[:3], figures[3:]
    assert accuracy.tolist() == [0.5, 0.5, 0.0]  # an overlap of exactly the limit counts
    assert false_per_image.tolist() == [0.5, 0.5, 1.0]  # of the two images that are boxed


def test_localization_is_undefined_without_boxes():
    assert np.isnan(localization_measure(rank([image((HERE, 0.9))], (0.3,)), 0.5)(np.ones(1))).all()
