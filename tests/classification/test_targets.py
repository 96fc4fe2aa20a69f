from pathlib import Path

import numpy as np
import pytest

from boxray.classification.targets import targets_and_weights, trained_findings
from boxray.core.findings import Presence
from boxray.data.presence import Rule
from built import image_row, manifest_of


@pytest.mark.parametrize(
    ("presence", "rule", "target", "weight"),
    [
        pytest.param(Presence.BOXED, Rule.BOX, 1, 1.0, id="boxed is there"),
        pytest.param(Presence.PRESENT, Rule.LABEL, 1, 1.0, id="present without a box is there as well"),
        pytest.param(Presence.ABSENT, Rule.NO_LABEL, 0, 1.0, id="absent is not there"),
        pytest.param(Presence.ABSENT, Rule.ASSUMPTION, 0, 0.25, id="assumed absence weighs less"),
        pytest.param(Presence.UNKNOWN, Rule.NONE, 0, 0.0, id="unknown has no part"),
    ],
)
def test_what_a_cell_says_to_the_classifier(presence: Presence, rule: Rule, target: int, weight: float) -> None:
    cell = (presence.value, rule.value)
    manifest = manifest_of(Path(), [image_row(0, "train", {"fluid": cell, "heart": cell})], [])

    targets, weights = targets_and_weights(manifest, assumption_weight=0.25)

    assert targets.tolist() == [[target, target]]
    assert weights.tolist() == [[weight, weight]]


def test_a_finding_without_a_known_negative_cannot_be_learned() -> None:
    targets = np.array([[1, 1], [1, 0]])
    weights = np.array([[1, 1], [1, 1]])

    assert trained_findings(targets, weights, ("always", "sometimes")) == ("sometimes",)


def test_a_negative_that_is_unknown_is_none() -> None:
    targets = np.array([[1], [0]])
    weights = np.array([[1.0], [0.0]])

    assert trained_findings(targets, weights, ("finding",)) == ()
