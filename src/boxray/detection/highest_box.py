"""A detector asked as a classifier is: of each finding, the score of the box that it is surest of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from boxray.core.findings import LabelSpace
from boxray.core.protocols import Detector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity
from boxray.detection.detect import EVERYTHING


@dataclass(frozen=True, slots=True)
class HighestBox:
    """A `boxray.core.protocols.Scorer`: it says a finding of a film where a box of it reaches the operating point."""

    detector: Detector

    @property
    def label_space(self) -> LabelSpace:
        """The detector's."""
        return self.detector.label_space

    @property
    def assessed(self) -> tuple[str, ...]:
        """The detector's."""
        return self.detector.assessed

    @property
    def identity(self) -> ModelIdentity:
        """The detector's."""
        return self.detector.identity

    def score_many(self, radiographs: Iterable[Radiograph]) -> Iterator[Mapping[str, float]]:
        """Calibrated, in [0, 1], of the assessed findings; 0 where there is no box. In order; only a few are held."""
        for boxes in self.detector.detect_many(radiographs, EVERYTHING):
            yield {
                finding: max((box.score for box in boxes if box.finding == finding), default=0.0)
                for finding in self.assessed
            }
