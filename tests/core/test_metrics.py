"""Metrics, against pycocotools, scikit-learn and brute force."""

import contextlib
import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import roc_auc_score

from boxed import a_film, films, seeds
from boxray.core.metrics import (
    Interval,
    Matches,
    auroc,
    average_precision,
    best_f1_threshold,
    bootstrap,
    bootstrap_all,
    expected_f1_threshold,
    match_image,
    paired_difference,
    precision_curve,
    precision_measure,
    rank,
)

NONE = np.empty((0, 4))
COCO_LIMITS = np.linspace(0.5, 0.95, 10)


def matches_of(cases):
    """Every image's hits and misses side by side, as an evaluation lays them."""
    return Matches(
        np.concatenate([scores for _, scores, _ in cases]),
        np.concatenate([match_image(*case) for case in cases]),
        np.concatenate([np.full(len(scores), place) for place, (_, scores, _) in enumerate(cases)]),
        np.array([len(truth) for *_, truth in cases]),
    )


def coco_evaluation(cases, iou_limits=(0.5,)):
    """pycocotools on the same boxes: one category, all areas, 100 detections an image."""

    def row(place, box):
        x1, y1, x2, y2 = box.tolist()
        area = (x2 - x1) * (y2 - y1)
        return {"image_id": place + 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": area, "iscrowd": 0}

    truth = [row(place, box) for place, (*_, readers) in enumerate(cases) for box in readers]
    found = [
        row(place, box) | {"score": float(score)}
        for place, (boxes_xyxy, scores, _) in enumerate(cases)
        for box, score in zip(boxes_xyxy, scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": place + 1} for place in range(len(cases))],
            "categories": [{"id": 1, "name": "finding"}],
            "annotations": [annotation | {"id": number} for number, annotation in enumerate(truth, start=1)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.params.iouThrs = np.array(iou_limits)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@given(seeds)
@settings(max_examples=100)
def test_average_precision_is_what_pycocotools_computes(seed):
    cases = films(seed)
    assume(any(len(scores) for _, scores, _ in cases))
    assume(any(len(truth) for *_, truth in cases))

    ours = average_precision(matches_of(cases))

    precision = coco_evaluation(cases).eval["precision"]  # IoU, recall, category, area, most detections
    assert ours == pytest.approx(precision[0, :, 0, 0, 2].mean(), abs=1e-9)


@given(seeds)
@settings(max_examples=60)
def test_average_precision_at_every_overlap_is_what_pycocotools_computes(seed):
    cases = films(seed)
    assume(any(len(scores) for _, scores, _ in cases))
    assume(any(len(truth) for *_, truth in cases))
    limits = (0.4, *COCO_LIMITS)

    ours = precision_measure(rank(cases, limits))(np.ones(len(cases)))

    precision = coco_evaluation(cases, limits).eval["precision"]  # IoU, recall, category, area, most detections
    assert ours == pytest.approx(precision[:, :, 0, 0, 2].mean(axis=1), abs=1e-9)


@given(seeds)
@settings(max_examples=30)
def test_the_mean_over_the_overlaps_is_what_coco_calls_ap(seed):
    cases = films(seed)
    assume(any(len(scores) for _, scores, _ in cases))
    assume(any(len(truth) for *_, truth in cases))

    ours = precision_measure(rank(cases, COCO_LIMITS))(np.ones(len(cases))).mean()

    theirs = coco_evaluation(cases, COCO_LIMITS)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs.summarize()
    assert ours == pytest.approx(theirs.stats[0], abs=1e-9)


@given(seeds)
@settings(max_examples=60)
def test_matching_once_for_many_overlaps_is_matching_each_overlap_for_itself(seed):
    cases = films(seed)
    limits = (0.1, 0.4, 0.5, 0.75)

    ranked = rank(cases, limits)

    scores = np.concatenate([scores for _, scores, _ in cases])
    order = np.argsort(-scores, kind="stable")
    for limit in limits:
        alone = np.concatenate([match_image(*case, limit) for case in cases])
        assert ranked.hits_at(limit).tolist() == alone[order].tolist()


@given(seeds)
@settings(max_examples=40)
def test_some_of_the_images_rank_as_if_the_others_had_never_been_there(seed):
    cases = films(seed)
    kept = np.random.default_rng(seed).random(len(cases)) < 0.5

    part = rank(cases, (0.3, 0.5)).only(kept)

    alone = rank([case for case, keep in zip(cases, kept, strict=True) if keep], (0.3, 0.5))
    for name in ("scores", "image", "hits", "iou_limits", "n_boxes"):
        assert getattr(part, name).tolist() == getattr(alone, name).tolist()


def test_an_overlap_that_was_not_matched_is_not_guessed():
    with pytest.raises(ValueError, match=r"matched at overlaps \[0\.5\], not at 0\.4"):
        rank([], (0.5,)).hits_at(0.4)


EQUALLY_NEAR = (
    np.array([[0.0, 0.0, 6.0, 4.0], [2.0, 0.0, 6.0, 4.0]]),
    np.array([0.9, 0.8]),
    np.array([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0]]),
)
"""The first detection overlaps both readers' boxes by two thirds; which one it takes decides about the second."""


@given(seeds.map(lambda seed: a_film(np.random.default_rng(seed))))
@example(EQUALLY_NEAR)
@settings(max_examples=60)
def test_hits_of_one_image_are_those_of_pycocotools(case):
    _, scores, truth = case
    assume(len(scores) and len(truth))

    ours = match_image(*case)

    image = coco_evaluation([case]).evalImgs[0]
    order = np.argsort(-scores, kind="stable")
    assert ours[order].tolist() == (image["dtMatches"][0] > 0).tolist()


def test_a_second_box_on_the_same_place_is_a_miss():
    place = np.array([[0.0, 0.0, 10.0, 10.0]])

    hits = match_image(np.repeat(place, 2, axis=0), np.array([0.4, 0.8]), place)

    assert hits.tolist() == [False, True]


@pytest.mark.parametrize("n_found", [0, 1, 3])
def test_where_the_readers_drew_nothing_every_detection_is_a_miss(n_found):
    found = np.tile([0.0, 0.0, 1.0, 1.0], (n_found, 1))

    assert match_image(found, np.ones(n_found), NONE).tolist() == [False] * n_found


def test_average_precision_is_undefined_without_boxes_and_0_without_detections():
    nothing = np.empty(0)
    no_box = Matches(np.array([0.5]), np.array([False]), np.array([0]), np.array([0]))
    no_detection = Matches(nothing, nothing.astype(bool), nothing.astype(int), np.array([2]))

    assert np.isnan(average_precision(no_box))
    assert average_precision(no_detection) == 0


@given(seeds)
@settings(max_examples=60)
def test_an_image_of_weight_k_counts_as_k_copies_of_it(seed):
    """Scores of one image differ: where a hit and a miss have the same, their order decides, and copies mix it."""
    cases = films(seed, equal_scores=False)
    times = np.random.default_rng(seed).integers(0, 4, len(cases))
    copies = [case for case, n in zip(cases, times, strict=True) for _ in range(n)]
    assume(sum(len(truth) for *_, truth in copies))

    by_weight = average_precision(matches_of(cases), times.astype(float))

    assert by_weight == pytest.approx(average_precision(matches_of(copies)))


def classified(seed):
    """Scores (many equal), which are positive, and whole weights; both kinds have some weight."""
    rng = np.random.default_rng(seed)
    n = rng.integers(2, 30)
    scores, there, weights = rng.integers(0, 6, n) / 5, rng.random(n) < 0.5, rng.choice([0.0, 1.0, 2.0, 5.0], n)
    assume(weights[there].sum() > 0)
    assume(weights[~there].sum() > 0)
    return scores, there, weights


@given(seeds)
@settings(max_examples=50)
def test_auroc_is_what_scikit_learn_computes(seed):
    scores, there, _ = classified(seed)

    assert auroc(scores, there) == pytest.approx(roc_auc_score(there, scores))


@given(seeds)
@settings(max_examples=50)
def test_weighted_auroc_is_what_scikit_learn_computes(seed):
    scores, there, weights = classified(seed)

    assert auroc(scores, there, weights) == pytest.approx(roc_auc_score(there, scores, sample_weight=weights))


@pytest.mark.parametrize("there", [[], [True, True], [False]])
def test_auroc_is_undefined_unless_there_are_both_kinds(there):
    assert np.isnan(auroc(np.zeros(len(there)), np.array(there, dtype=bool)))


def weighted_mean(values):
    """The mean of one value per image, as a measure that takes weights."""
    return lambda weights: float((weights * values).sum() / weights.sum())


@given(seeds, st.integers(1, 40))
@settings(max_examples=20)
def test_the_interval_of_a_mean_lies_round_it(seed, n_images):
    values = np.random.default_rng(seed).normal(3, 10, n_images)
    patients = [str(place // 2) for place in range(len(values))]

    interval = bootstrap(weighted_mean(values), patients, rounds=300, seed=seed)

    slack = 1e-9 + 0.05 * np.ptp(values)  # resamples of few patients are skewed
    assert interval.value == pytest.approx(values.mean())
    assert interval.low - slack <= interval.value <= interval.high + slack


def test_the_interval_is_as_wide_as_the_standard_error_says():
    values = np.random.default_rng(3).normal(5, 2, 400)

    interval = bootstrap(weighted_mean(values), [str(place) for place in range(400)], rounds=1000)

    expected = 2 * 1.96 * values.std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.15)


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    values = np.random.default_rng(0).random(50)
    patients = [str(place) for place in range(50)]

    first, again, other = (bootstrap(weighted_mean(values), patients, rounds=50, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=20), st.integers(0, 99))
@settings(max_examples=40)
def test_patients_are_resampled_with_all_their_images(patients, seed):
    drawn = []

    bootstrap(lambda weights: drawn.append(weights) or 0.0, patients, rounds=20, seed=seed)

    assert (drawn[0] == 1).all()  # the figure itself, on every image once
    assert len(drawn) == 21
    for weights in drawn[1:]:
        times = {patient: weights[place] for place, patient in enumerate(patients)}
        assert weights.tolist() == [times[patient] for patient in patients]
        assert sum(times.values()) == len(set(patients))


@given(st.permutations(list(range(12))))
@settings(max_examples=20)
def test_the_order_of_images_does_not_change_the_interval(order):
    values, patients = np.arange(12.0) ** 2, [f"p{place // 3}" for place in range(12)]

    here = bootstrap(weighted_mean(values), patients, rounds=100)
    there = bootstrap(weighted_mean(values[order]), [patients[place] for place in order], rounds=100)

    assert (here.low, here.high) == pytest.approx((there.low, there.high))


def test_resamples_that_measure_nothing_are_left_out():
    there = np.array([True] + [False] * 9)
    scores = np.linspace(1, 0, 10)

    interval = bootstrap(lambda weights: auroc(scores, there, weights), [str(place) for place in range(10)], rounds=200)

    assert (interval.value, interval.low, interval.high) == (1, 1, 1)


def test_without_a_figure_on_all_images_there_is_no_interval():
    interval = bootstrap(lambda weights: float("nan"), ["a", "b"], rounds=10)

    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert str(interval) == "–"


def test_where_no_resample_measures_anything_the_figure_stands_without_an_interval():
    calls = iter([0.5, float("nan"), float("nan")])

    interval = bootstrap(lambda weights: next(calls), ["a", "b"], rounds=2)

    assert interval.value == 0.5
    assert np.isnan([interval.low, interval.high]).all()


def test_a_bootstrap_needs_memory_for_one_resample_and_not_for_all():
    """A hundred thousand patients in a thousand rounds would be 800 MB of draws."""
    patients = [str(place) for place in range(20_000)]

    tracemalloc.start()
    bootstrap(lambda weights: float(weights[0]), patients, rounds=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8 * 2**20  # all draws would be 16 MB


def test_figures_measured_together_have_the_intervals_that_each_has_alone():
    values = np.random.default_rng(7).random((2, 30))
    patients = [str(place // 3) for place in range(30)]

    together = bootstrap_all(lambda weights: values @ weights / weights.sum(), patients, rounds=60)

    for interval, column in zip(together, values, strict=True):
        alone = bootstrap(weighted_mean(column), patients, rounds=60)
        assert (interval.value, interval.low, interval.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_a_figure_that_measures_nothing_leaves_the_others_their_intervals():
    nothing, something = bootstrap_all(lambda weights: np.array([np.nan, weights[0]]), ["a", "b"], rounds=50)

    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert something.value == 1.0
    assert something.low < something.high


def test_a_pair_shares_its_resamples_so_that_what_is_hard_for_both_cancels_out():
    hard = np.random.default_rng(0).normal(0, 10, 200)
    patients = [str(place) for place in range(200)]

    def mean_of(values):
        return lambda weights: np.array([weighted_mean(values)(weights)])

    (better,) = paired_difference(mean_of(hard + 1), mean_of(hard), patients, rounds=100)
    (alone,) = bootstrap_all(mean_of(hard + 1), patients, rounds=100)

    assert (better.value, better.low, better.high) == pytest.approx((1, 1, 1))
    assert alone.high - alone.low > 1


def test_a_detector_does_not_differ_from_itself():
    cases = films(3)
    measure = precision_measure(rank(cases, (0.5,)))

    (difference,) = paired_difference(measure, measure, [str(place) for place in range(len(cases))], rounds=30)

    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_the_precision_curve_has_a_point_for_every_hit():
    place = np.array([[0.0, 0.0, 10.0, 10.0]])
    cases = [(place, np.array([0.9]), place), (place, np.array([0.8]), NONE), (place, np.array([0.7]), place)]

    recall, precision = precision_curve(rank(cases, (0.5,)), 0.5)

    assert recall.tolist() == [0.5, 1.0]
    assert precision.tolist() == pytest.approx([1.0, 2 / 3])


def test_an_interval_is_written_with_two_digits():
    assert str(Interval(0.5, 0.404, 0.601)) == "0.50 (0.40–0.60)"


EQUAL_SCORES = Matches(
    scores=np.array([0.9, 0.9, 0.9, 0.9, 0.5]),
    hits=np.array([True, False, False, False, True]),
    image=np.zeros(5, dtype=int),
    n_boxes=np.array([2]),
)
"""From 0.9 on one hit and three misses are reported, not the hit alone: F1 is best from 0.5 on."""


@given(seeds.map(lambda seed: matches_of(films(seed))))
@example(EQUAL_SCORES)
@settings(max_examples=60)
def test_the_best_threshold_reaches_the_best_f1_of_all_thresholds(matches):
    n_boxes = matches.n_boxes.sum()
    assume(len(matches.scores) and n_boxes)

    def f1_from(threshold):
        reported = matches.scores >= threshold
        return 2 * matches.hits[reported].sum() / (reported.sum() + n_boxes)

    best = best_f1_threshold(matches)

    assert f1_from(best) == max(f1_from(threshold) for threshold in matches.scores)


def test_there_is_no_best_threshold_without_boxes_or_detections():
    nothing = np.empty(0)
    no_box = Matches(np.array([0.5]), np.array([False]), np.array([0]), np.array([0]))
    no_detection = Matches(nothing, nothing.astype(bool), nothing.astype(int), np.array([2]))

    assert np.isnan(best_f1_threshold(no_box))
    assert np.isnan(best_f1_threshold(no_detection))
    assert np.isnan(expected_f1_threshold(np.array([0.5]), 0))
    assert np.isnan(expected_f1_threshold(nothing, 2))


@given(seeds, st.integers(0, 40))
def test_the_expected_best_threshold_lies_at_half_of_the_best_f1(seed: int, missed: int) -> None:
    """What is likelier than half of the best F1 is reported, and nothing else (Lipton et al., 2014)."""
    rng = np.random.default_rng(seed)
    probabilities = rng.choice(np.linspace(0.01, 0.99, 30), 50)
    n_boxes = int(probabilities.sum()) + missed

    threshold = expected_f1_threshold(probabilities, n_boxes)

    reported = probabilities >= threshold
    best = 2 * probabilities[reported].sum() / (reported.sum() + n_boxes)
    assert probabilities[reported].min() >= best / 2 - 1e-12
    assert (probabilities[~reported] <= best / 2 + 1e-12).all()


def test_probabilities_of_nought_and_one_have_the_threshold_of_what_hits() -> None:
    assert expected_f1_threshold(np.array([0.0, 1.0, 0.0, 1.0]), 3) == 1.0
