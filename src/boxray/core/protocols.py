"""The seams where models are swapped. No engine is known on this side of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from boxray.core.findings import LabelSpace
from boxray.core.lungs import LungField
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection, ModelIdentity, SaliencyMap

_NOBODY = ModelIdentity("fixed", "0", "0" * 64)


class Model(Protocol):
    """Detector, classifier or scorer, as far as it says who speaks and of what."""

    @property
    def label_space(self) -> LabelSpace: ...
    @property
    def assessed(self) -> tuple[str, ...]:
        """The findings it was trained for; for all others its silence means nothing."""

    @property
    def identity(self) -> ModelIdentity: ...


class Detector(Model, Protocol):
    """One radiograph in, boxes out."""

    def detect(self, rad: Radiograph, min_score: float | None = None) -> tuple[Detection, ...]:
        """Boxes in the radiograph's frame by falling score; None means the stored operating points."""

    def detect_many(
        self, radiographs: Iterable[Radiograph], min_score: float | None = None
    ) -> Iterator[tuple[Detection, ...]]:
        """What `detect` says to each, in order; only a few are held at a time, however many there are."""


@dataclass(frozen=True, slots=True)
class Classified:
    """Scores in [0, 1] per assessed finding, and a map for each."""

    scores: Mapping[str, float]
    maps: tuple[SaliencyMap, ...]
    lungs: LungField | None = None
    """None from a classifier that draws none."""


class Classifier(Model, Protocol):
    """One radiograph in, a score and a saliency map per finding out."""

    def classify(self, rad: Radiograph) -> Classified:
        """Scores and raw maps in the radiograph's frame."""


class Scorer(Model, Protocol):
    """Many radiographs in, scores out: what an evaluation asks for."""

    def score_many(self, radiographs: Iterable[Radiograph]) -> Iterator[Mapping[str, float]]:
        """A score in [0, 1] per assessed finding of each, in order; only a few are held at a time."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Scores in [0, 1] per assessed finding, and by method a map for each."""

    scores: Mapping[str, float]
    maps: Mapping[str, tuple[SaliencyMap, ...]]
    """Method, such as ``grad_cam`` -> a map per assessed finding, in the order of `scores`."""


class Explainer(Classifier, Protocol):
    """A classifier that explains its scores in more ways than one."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it knows, ``grad_cam`` first."""

    @property
    def taught_by_boxes(self) -> bool:
        """Whether its maps learned from readers' boxes too; else it knows labels alone."""

    def explain(self, rad: Radiograph, methods: Sequence[str]) -> Explained:
        """Scores, and raw maps by each of the methods, in the radiograph's frame.

        Raises:
            ModelError: If it does not know a method; those that it knows are named.
        """


class Gate(Protocol):
    """Keeps from the models what they do not answer for."""

    def require(self, rad: Radiograph) -> None:
        """Nothing for what may be read.

        Raises:
            InputError: With a code of `CODES` for all else.
        """


@dataclass(frozen=True, slots=True)
class FixedDetector:
    """Finds the same in every radiograph: for users' tests as for ours."""

    label_space: LabelSpace
    detections: tuple[Detection, ...] = ()
    assessed: tuple[str, ...] = ()
    identity: ModelIdentity = _NOBODY

    def detect(self, rad: Radiograph, min_score: float | None = None) -> tuple[Detection, ...]:  # noqa: ARG002 - as the protocol has it
        """The detections it was made with, at or above `min_score`."""
        return tuple(det for det in self.detections if det.score >= (min_score or 0))

    def detect_many(
        self, radiographs: Iterable[Radiograph], min_score: float | None = None
    ) -> Iterator[tuple[Detection, ...]]:
        """The same for each of them."""
        return (self.detect(rad, min_score) for rad in radiographs)


@dataclass(frozen=True, slots=True)
class FixedClassifier:
    """Gives the same scores to every radiograph, and maps that are zero everywhere."""

    label_space: LabelSpace
    scores: Mapping[str, float] = field(default_factory=dict)
    identity: ModelIdentity = _NOBODY
    lungs: LungField | None = None
    """In the frame of every radiograph that it is shown."""

    @property
    def assessed(self) -> tuple[str, ...]:
        """The findings that have a score."""
        return tuple(self.scores)

    def classify(self, rad: Radiograph) -> Classified:
        """The scores it was made with."""
        zeros = np.zeros(rad.pixels.shape, dtype=np.float32)
        return Classified(self.scores, tuple(SaliencyMap(key, zeros) for key in self.scores), self.lungs)

    def score_many(self, radiographs: Iterable[Radiograph]) -> Iterator[Mapping[str, float]]:
        """The same for each of them."""
        return (self.scores for _ in radiographs)
