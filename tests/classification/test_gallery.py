"""The most confident errors: which they are, and how they are drawn."""

from pathlib import Path

import numpy as np
import pytest

from boxray.classification.evaluate import said_of
from boxray.classification.gallery import ErrorKind, fault_picture, worst_faults
from boxray.core.findings import LabelSpace
from boxray.core.protocols import FixedClassifier
from boxray.data.split import Split
from built import TWO, build_tiny_set, manifest_of
from making import a_finding
from scored import ABSENT, ASSUMED, THERE, UNKNOWN, rows_of


def faults_of(cells, scores, patients=None, space=TWO):
    rows = rows_of("a", [{"fluid": cell} for cell in cells])
    for row, patient in zip(rows, patients or [], strict=False):
        row["patient"] = patient
    both = np.stack([scores, np.zeros(len(scores))], axis=1)
    manifest = manifest_of(Path(), rows, [], space)
    return worst_faults(manifest, both, said_of(both, space.keys, {"fluid": 0.5, "heart": 0.5}), "fluid", most=2)


def kinds_and_scores(faults):
    return [(fault.kind, fault.score) for fault in faults.worst]


def test_the_surest_false_alarms_come_first_then_the_surest_misses_and_all_are_counted():
    scores = np.array([0.6, 0.9, 0.7, 0.4, 0.1, 0.2, 0.8])

    faults = faults_of([ABSENT] * 4 + [THERE] * 3, scores)

    alarm, miss = ErrorKind.FALSE_ALARM, ErrorKind.MISS
    assert kinds_and_scores(faults) == [(alarm, 0.9), (alarm, 0.7), (miss, 0.1), (miss, 0.2)]
    assert faults.n_of == {alarm: 3, miss: 2}
    assert faults.worst[0].why == "absent (somebody said so)"


def test_of_one_patient_only_the_worst_is_shown_and_both_are_counted():
    faults = faults_of([ABSENT] * 3, np.array([0.7, 0.9, 0.6]), ["p", "p", "q"])

    assert [score for _, score in kinds_and_scores(faults)] == [0.9, 0.6]
    assert faults.n_of[ErrorKind.FALSE_ALARM] == 3


@pytest.mark.parametrize("cell", [ASSUMED, UNKNOWN])
def test_where_nobody_knows_there_is_no_error(cell):
    assert faults_of([cell], np.array([0.9])).worst == ()


def test_an_image_of_another_class_says_which():
    rows = [{"fluid": ABSENT, "heart": THERE}]
    space = LabelSpace("classes", tuple(a_finding(key) for key in TWO.keys), exclusive=True)
    scores = np.array([[0.9, 0.1]])

    faults = worst_faults(
        manifest_of(Path(), rows_of("a", rows), [], space), scores, said_of(scores, TWO.keys, None), "fluid"
    )

    assert faults.worst[0].why == "absent (somebody said so), it is Heart"


def test_the_picture_shows_film_and_map_side_by_side_above_the_disclaimer(tmp_path):
    test = build_tiny_set(tmp_path, per_split=2).part(Split.TEST)
    classifier = FixedClassifier(TWO, {"fluid": 0.1, "heart": 0.9})
    scores = np.array([[0.1, 0.9], [0.1, 0.9]])

    faults = worst_faults(test, scores, said_of(scores, TWO.keys, {"fluid": 0.5, "heart": 0.5}), "fluid")
    picture = fault_picture(faults.worst[0], test, classifier)

    assert faults.worst[0].kind is ErrorKind.MISS
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 2 * 256
    assert (picture == (255, 196, 0)).all(axis=2).any()  # the disclaimer in the warning's colour
