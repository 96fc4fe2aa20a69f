"""Made images of several sources with scores, so that the right figures are known."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from boxray.core.findings import LabelSpace, Presence
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.data.presence import Rule
from built import TWO, image_row, manifest_of

THERE, BOXED = (Presence.PRESENT.value, Rule.LABEL.value), (Presence.BOXED.value, Rule.BOX.value)
ABSENT, ASSUMED = (Presence.ABSENT.value, Rule.LABEL.value), (Presence.ABSENT.value, Rule.ASSUMPTION.value)
UNKNOWN = (Presence.UNKNOWN.value, Rule.NONE.value)


@dataclass(frozen=True)
class Judge:
    """Of a classifier, what an evaluation asks when the scores are there."""

    label_space: LabelSpace = TWO
    assessed: tuple[str, ...] = ("fluid", "heart")
    thresholds: dict[str, float] = field(default_factory=lambda: {"fluid": 0.5, "heart": 0.5})

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity("made", "1", "0" * 64, self.thresholds)


def rows_of(source: str, states: list[dict[str, tuple[str, str]]], first: int = 0) -> list[dict[str, object]]:
    """Images of a source, a patient each."""
    nothing = dict.fromkeys(("fluid", "heart"), UNKNOWN)
    return [image_row(first + place, "test", nothing | cells, source=source) for place, cells in enumerate(states)]


def random_set(seed: int, n: int = 90, space: LabelSpace = TWO) -> tuple[Manifest, np.ndarray]:
    """Images of three sources in every state, some patients with several, and scores that know a little."""
    rng = np.random.default_rng(seed)
    states = [THERE, BOXED, ABSENT, ABSENT, ASSUMED, UNKNOWN]
    rows = []
    for number in range(n):
        cells = {key: states[rng.integers(len(states))] for key in space.keys}
        row = image_row(number, "test", cells, source=str(rng.choice(["a", "b", "c"])))
        row["patient"] = hashlib.sha256(str(number // 2).encode()).hexdigest()[:32]
        row |= {"sex": rng.choice(["F", "M", None]), "age_years": float(rng.integers(5, 90))}
        rows.append(row)
    there = np.array([[row[f"presence_{key}"] in ("boxed", "present") for key in space.keys] for row in rows])
    scores = np.clip(0.3 + 0.3 * there + rng.normal(0, 0.25, there.shape), 0, 1).round(2)
    return manifest_of(Path(), rows, [], space), scores
