"""Is a finding boxed as often when films are softer, closer or darker? `detector_robustness.py WEIGHTS --data BUILT`.

`boxray classification robustness`, asked of a detector: it says a finding of a film on which it boxes it, at the
operating point. Known absences alone count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from boxray.classification.robustness import CHANGES, said_when_changed, scores_when_changed
from boxray.cli.classification_evaluate import print_said
from boxray.cli.show import progress_bar, steps
from boxray.core.findings import LabelSpace
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import EVERYTHING, YoloDetector
from boxray.detection.load import open_detector


@dataclass(frozen=True)
class HighestBox:
    """A detector as a scorer: the score of the boldest box of each finding, 0 where there is none."""

    detector: YoloDetector

    @property
    def label_space(self) -> LabelSpace:
        """The detector's."""
        return self.detector.label_space

    @property
    def assessed(self) -> tuple[str, ...]:
        """The detector's."""
        return self.detector.assessed

    def score_many(self, radiographs: Iterable[Radiograph]) -> Iterator[Mapping[str, float]]:
        """One after the other."""
        for boxes in self.detector.detect_many(radiographs, EVERYTHING):
            highest = dict.fromkeys(self.assessed, 0.0)
            for box in boxes:
                highest[box.finding] = max(highest[box.finding], box.score)
            yield highest


def main() -> None:
    """Print the tables."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("weights", type=Path)
    parse.add_argument("--data", type=Path, required=True)
    parse.add_argument("--split", type=Split, default=Split.TEST)
    asked = parse.parse_args()
    part = Manifest.load(asked.data).part(asked.split)
    with tempfile.TemporaryDirectory() as state:
        detector = open_detector(asked.weights, Path(state))
        with progress_bar("detecting", len(part.images) * (1 + len(CHANGES))) as progress:
            scores = scores_when_changed(HighestBox(detector), part, steps(progress))
    with progress_bar("measuring", None):
        found = said_when_changed(part, scores, detector.card.thresholds)
    print_said(found, part.label_space)


if __name__ == "__main__":
    main()
