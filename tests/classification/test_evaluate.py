"""Who takes part in which figure, within source and pooled; figures against scikit-learn."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference

from boxray.classification.evaluate import FEWEST_IMAGES, Known, evaluate, judge, said_of
from boxray.classification.results import MEAN_FIGURES
from boxray.classification.score import score_all
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.protocols import FixedClassifier
from boxray.data.split import Split
from built import TWO, build_tiny_set, manifest_of
from making import a_finding, label_space
from scored import ABSENT, ASSUMED, BOXED, THERE, UNKNOWN, Judge, random_set, rows_of

ORGANS = LabelSpace("organs", tuple(a_finding(key) for key in ("chest", "hand", "head")), exclusive=True)


def fluid_of(rows, scores, **changes):
    """The result of one finding, from scores of one column."""
    both = np.stack([scores, np.zeros(len(scores))], axis=1)
    options = {"rounds": 20} | changes
    return judge(manifest_of(Path(), rows, []), both, Judge(), **options).findings[0]


def test_boxed_and_present_are_positives_unknown_and_assumed_take_no_part():
    rows = rows_of("a", [{"fluid": cell} for cell in (THERE, BOXED, ABSENT, ASSUMED, UNKNOWN)])

    result = fluid_of(rows, np.array([0.9, 0.8, 0.1, 0.95, 0.99]))
    with_assumed = fluid_of(rows, np.array([0.9, 0.8, 0.1, 0.95, 0.99]), with_assumed=True)

    assert (result.pooled.counts.images_with, result.pooled.counts.images_without) == (2, 1)
    assert result.pooled.auroc.value == 1
    assert with_assumed.pooled.counts.images_without == 2
    assert with_assumed.pooled.auroc.value == 0.5


def test_a_classifier_that_knows_only_the_source_shines_pooled_and_not_within_it():
    sick = rows_of("sick", [{"fluid": THERE}] * 9 + [{"fluid": ABSENT}])
    well = rows_of("well", [{"fluid": ABSENT}] * 9 + [{"fluid": THERE}], first=10)

    result = fluid_of(sick + well, np.repeat([0.9, 0.1], 10))

    assert result.pooled.auroc.value == pytest.approx(0.9)
    assert result.within.auroc.value == 0.5


def test_a_source_of_one_kind_has_no_part_within_source():
    both = rows_of("both", [{"fluid": THERE}, {"fluid": ABSENT}])
    only = rows_of("only", [{"fluid": THERE}] * 3, first=2)

    result = fluid_of(both + only, np.array([0.9, 0.1, 0.0, 0.0, 0.0]))

    assert (result.within.counts.images_with, result.within.counts.images_without) == (1, 1)
    assert (result.within.sources, result.pooled.sources) == (("both",), ("both", "only"))
    assert (result.within.auroc.value, result.pooled.auroc.value) == (1, 0.25)


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_is_that_of_scikit_learn_on_the_images_that_count(seed):
    manifest, scores = random_set(seed)

    judgement = judge(manifest, scores, Judge(), rounds=5)

    known = Known.of(manifest)
    alone = {name: [] for name in MEAN_FIGURES}
    for index, result in enumerate(judgement.findings):
        images = known.counted[:, index]
        there, values = known.there[images, index], scores[images, index]
        said = values >= 0.5
        sources = np.array(known.sources)[images]
        pairs = {s: there[sources == s].sum() * (~there[sources == s]).sum() for s in np.unique(sources)}
        of_source = [reference.roc_auc_score(there[sources == s], values[sources == s]) for s in pairs]
        expected = {
            "auroc_within": np.average(of_source, weights=list(pairs.values())),
            "auroc_pooled": reference.roc_auc_score(there, values),
            "ap_pooled": reference.average_precision_score(there, values),
            "accuracy": reference.accuracy_score(there, said),
            "precision": reference.precision_score(there, said),
            "recall": reference.recall_score(there, said),
            "f1": reference.f1_score(there, said),
        }
        ours = {
            "auroc_within": result.within.auroc,
            "auroc_pooled": result.pooled.auroc,
            "ap_pooled": result.pooled.ap,
            **result.at_threshold.figures,
        }
        for name, value in expected.items():
            assert ours[name].value == pytest.approx(value), name
            alone[name].append(value)
        assert result.calibration.brier.value == pytest.approx(reference.brier_score_loss(there, values))
        assert list(result.at_threshold.confusion) == reference.confusion_matrix(there, said).ravel().tolist()
    positives = (known.there & known.counted).sum(axis=0)
    for name in ("auroc_within", "auroc_pooled", "f1"):
        assert judgement.means[name].macro.value == pytest.approx(np.mean(alone[name]))
        assert judgement.means[name].weighted.value == pytest.approx(np.average(alone[name], weights=positives))


def test_a_finding_of_which_nothing_is_known_has_no_figure_and_no_part_in_the_mean():
    manifest, scores = random_set(0)
    unknown = manifest_of(
        Path(), [row | {"presence_heart": "unknown"} for row in manifest.images.to_dict("records")], []
    )

    judgement = judge(unknown, scores, Judge(), rounds=10)

    fluid, heart = judgement.findings
    assert np.isnan([heart.within.auroc.value, heart.pooled.auroc.value, heart.pooled.ap.value]).all()
    assert (heart.calibration, heart.curves, heart.groups) == (None, None, ())
    assert judgement.means["auroc_within"].findings == ("fluid",)
    assert judgement.means["auroc_within"].macro == fluid.within.auroc
    json.dumps(judgement.to_json(), allow_nan=False)


def test_of_images_of_one_kind_alone_only_the_share_that_is_found_is_told():
    result = fluid_of(rows_of("a", [{"fluid": THERE}] * 4), np.array([0.9, 0.8, 0.7, 0.1]))

    figures = {name: each.value for name, each in result.at_threshold.figures.items()}
    assert figures["recall"] == 0.75
    assert np.isnan([figures[name] for name in ("accuracy", "precision", "specificity", "f1")]).all()
    assert (result.calibration, result.curves) == (None, None)


def test_a_handful_of_images_has_no_part_in_the_mean():
    rows = rows_of("a", [{"fluid": THERE}] * (FEWEST_IMAGES - 1) + [{"fluid": ABSENT}] * 9)
    scores = np.zeros((len(rows), 2))

    judgement = judge(manifest_of(Path(), rows, []), scores, Judge(), rounds=5)

    assert judgement.findings[0].within.auroc.value == 0.5
    assert judgement.means["auroc_within"].findings == ()
    assert np.isnan(judgement.means["auroc_within"].macro.value)


def test_what_is_not_assessed_has_counts_alone():
    manifest, scores = random_set(1)
    scores[:, 1] = np.nan

    _, heart = judge(manifest, scores, Judge(assessed=("fluid",)), rounds=5).findings

    assert not heart.assessed
    assert heart.pooled.counts.images_with > 0
    assert np.isnan(heart.pooled.auroc.value)
    assert (heart.at_threshold, heart.calibration, heart.groups, heart.curves) == (None, None, (), None)


def test_without_a_stored_threshold_scores_are_ranked_and_nothing_is_said():
    manifest, scores = random_set(1)

    fluid, heart = judge(manifest, scores, Judge(thresholds={"fluid": 0.5}), rounds=5).findings

    assert fluid.at_threshold is not None
    assert heart.at_threshold is None
    assert heart.pooled.auroc.value > 0.5
    assert all(np.isnan(group.recall.value) for group in heart.groups)


def test_groups_are_judged_for_themselves():
    manifest, scores = random_set(2, n=120)

    fluid = judge(manifest, scores, Judge(), rounds=20).findings[0]

    known = Known.of(manifest)
    of_source = {group.group: group for group in fluid.groups if group.attribute == "source"}
    for source, group in of_source.items():
        images = known.counted[:, 0] & (np.array(known.sources) == source)
        there, values = known.there[images, 0], scores[images, 0]
        assert group.within == group.pooled
        assert group.pooled.value == pytest.approx(reference.roc_auc_score(there, values))
        assert group.recall.value == pytest.approx(reference.recall_score(there, values >= 0.5))
        assert group.specificity.value == pytest.approx(reference.recall_score(~there, values < 0.5))
        alone = judge(manifest.only(images), scores[images], Judge(), rounds=20).findings[0]
        assert group.ece == alone.calibration.ece
        assert group.excess.value == pytest.approx(values.mean() - there.mean())
    assert {group.attribute for group in fluid.groups} == {"source", "sex", "age"}
    for group in fluid.groups:
        few = min(group.counts.images_with, group.counts.images_without) < FEWEST_IMAGES
        assert np.isnan([group.pooled.value, group.ece.value, group.excess.value]).tolist() == [few] * 3


def organs(classes, scores, rounds=20):
    """A judgement of images that are of one class each (None: of no known one)."""
    rows = []
    for place, name in enumerate(classes):
        cells = {key: UNKNOWN if name is None else THERE if key == name else ABSENT for key in ORGANS.keys}
        rows += rows_of("a", [cells], first=place)
    judge_of = Judge(ORGANS, ORGANS.keys, {})
    return judge(manifest_of(Path(), rows, [], ORGANS), np.asarray(scores), judge_of, rounds=rounds)


def test_of_classes_that_exclude_each_other_the_best_is_said_and_each_mix_up_is_counted():
    rng = np.random.default_rng(4)
    names = rng.choice(ORGANS.keys, 80)
    truth = np.array([ORGANS.index(name) for name in names])
    scores = rng.dirichlet([1, 1, 1], 80) * 0.5 + 0.5 * np.eye(3)[rng.choice([0, 1, 2], 80)]

    judgement = organs([*names, None], [*scores, [1, 0, 0]])

    said = scores.argmax(axis=1)
    classes = judgement.classes
    assert np.array(classes.confusion).tolist() == reference.confusion_matrix(truth, said).tolist()
    assert classes.images == 80
    assert classes.accuracy.value == pytest.approx(reference.accuracy_score(truth, said))
    brier = reference.brier_score_loss(truth, scores, scale_by_half=False, labels=[0, 1, 2])
    assert classes.brier.value == pytest.approx(brier)
    for average in ("macro", "weighted"):
        theirs = reference.precision_recall_fscore_support(truth, said, average=average)[:3]
        ours = [getattr(judgement.means[name], average).value for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx(theirs)
    over_rest = reference.roc_auc_score(truth, scores, multi_class="ovr", average="macro")
    assert judgement.means["auroc_pooled"].macro.value == pytest.approx(over_rest)
    assert all(result.at_threshold.threshold is None for result in judgement.findings)


def test_findings_that_do_not_exclude_each_other_have_no_table_of_classes():
    manifest, scores = random_set(0)

    assert judge(manifest, scores, Judge(), rounds=5).classes is None


def test_without_any_image_there_is_no_figure_and_no_crash():
    for space in (TWO, ORGANS):
        manifest, scores = random_set(0, space=space)
        nothing = manifest.only(manifest.images["split"] == "train")

        judgement = judge(nothing, scores[:0], Judge(space, space.keys), rounds=5)

        assert all(np.isnan(mean.macro.value) for mean in judgement.means.values())


def test_a_score_of_the_threshold_says_it_and_an_unassessed_finding_says_nothing():
    scores = np.array([[0.5, np.nan], [0.49, np.nan]])

    said = said_of(scores, TWO.keys, {"fluid": 0.5})

    assert said[:, 0].tolist() == [1, 0]
    assert np.isnan(said[:, 1]).all()


def test_patients_are_resampled_once_for_all_findings():
    manifest, scores = random_set(3)
    twice = np.repeat(scores[:, :1], 2, axis=1)
    same = manifest.images.assign(
        presence_heart=manifest.images["presence_fluid"], rule_heart=manifest.images["rule_fluid"]
    )

    judgement = judge(replace(manifest, images=same), twice, Judge(), rounds=50)

    # Two findings that are one: were they resampled apart, their mean would vary less than each.
    fluid, heart = judgement.findings
    assert fluid.within.auroc == heart.within.auroc == judgement.means["auroc_within"].macro


def test_scores_stand_in_the_order_of_the_images_and_of_the_label_space(tmp_path):
    test = build_tiny_set(tmp_path, per_split=2).part(Split.TEST)
    steps = []

    scores = score_all(FixedClassifier(TWO, {"heart": 0.25}), test, lambda: steps.append(1))

    assert scores[:, 1].tolist() == [0.25, 0.25]
    assert np.isnan(scores[:, 0]).all()
    assert len(steps) == 2


def test_another_label_space_is_refused(tmp_path):
    test = build_tiny_set(tmp_path, per_split=2).part(Split.TEST)

    with pytest.raises(ModelError, match="missing: heart"):
        evaluate(FixedClassifier(label_space("fluid", "lung"), {}), test)


def test_a_weighted_mean_within_source_counts_what_is_compared_within_source():
    fluid = rows_of("a", [{"fluid": THERE}] * 10 + [{"fluid": ABSENT}] * 10)
    heart = rows_of("b", [{"heart": THERE}] * 5 + [{"heart": ABSENT}] * 5, first=20)
    alone = rows_of("c", [{"heart": THERE}] * 100, first=30)  # no negative: pooled they count, within source not
    scores = np.zeros((130, 2))
    scores[:10, 0] = 1  # every fluid right, every heart a guess

    means = judge(manifest_of(Path(), fluid + heart + alone, []), scores, Judge(), rounds=20).means

    assert means["auroc_within"].weighted.value == pytest.approx((10 * 1.0 + 5 * 0.5) / 15)
    assert means["auroc_pooled"].weighted.value == pytest.approx((10 * 1.0 + 105 * 0.5) / 115)
