"""How to choose a threshold of few examples: `python tests/benchmarks/operating_points.py WEIGHTS… --data BUILT`.

Within the validation part alone, cut into fifths by patient: each rule chooses on four fifths and is judged on the
fifth that it has not seen; again with other fifths. The sample's own best is what is customary; the fitted one reads
the threshold off the calibration's curve. Classifiers are judged by Youden's index, detectors by F1 at IoU 0.5.
`spread` is the standard deviation of the threshold's logit over all that was chosen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from boxray.classification.calibrate import FEWEST_POSITIVES, fitted_youden_threshold, logits_of, youden_threshold
from boxray.classification.classify import CamClassifier
from boxray.classification.targets import targets_and_weights
from boxray.cli.show import progress_bar, steps
from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.calibration import logit, sigmoid
from boxray.core.metrics import Matches, best_f1_threshold
from boxray.data.manifest import Manifest
from boxray.detection.calibrate import FEWEST_BOXES, LOWEST_THRESHOLD, calibrate, fitted_f1_threshold
from boxray.detection.detect import YoloDetector
from boxray.detection.evaluate import detect_all, match_finding
from boxray.engines import JUDGING

FIFTHS: Final = 5

Names = np.ndarray[tuple[int], np.dtype[np.object_]]


@dataclass(frozen=True)
class Question:
    """One finding of one model: images that count, and what a threshold chosen on some of them does on others."""

    finding: str
    examples: str
    patients: Names
    choose: Mapping[str, Callable[[BoolArray], float]]
    """Rule -> threshold, given which images it may see."""
    judge: Callable[[FloatArray], float]
    """The figure, given the threshold that holds for each image."""


def of_classifier(weights: Path, part: Manifest) -> Iterable[Question]:
    classifier = CamClassifier.load(weights, JUDGING, many=True)
    scores = sigmoid(logits_of(classifier, part).astype(np.float64))
    targets, counts = targets_and_weights(part, 1.0)
    for index, finding in enumerate(part.label_space.keys):
        known = counts[:, index] > 0
        values, there = scores[known, index], targets[known, index] == 1
        if min(there.sum(), (~there).sum()) >= FEWEST_POSITIVES:
            patients = part.images["patient"].to_numpy()[known]
            yield _youden(finding, values, there, patients)


def _youden(finding: str, values: FloatArray, there: BoolArray, patients: Names) -> Question:
    def judge(thresholds: FloatArray) -> float:
        said = values >= thresholds
        return float(said[there].mean() - said[~there].mean())

    rules = {
        "own best": lambda seen: youden_threshold(values[seen], there[seen]),
        "fitted": lambda seen: fitted_youden_threshold(values[seen], there[seen]),
    }
    return Question(finding, f"{there.sum()} with, {(~there).sum()} without", patients, rules, judge)


def of_detector(weights: Path, part: Manifest, progress: Callable[[], None]) -> Iterable[Question]:
    detector = YoloDetector.load(weights, JUDGING, many=True)
    raw = replace(detector, card=detector.card.model_copy(update={"calibration": {}}))
    detections = list(detect_all(raw, part, progress))
    for finding in detector.assessed:
        matches, images = match_finding(part, detections, finding, with_assumed=True)
        if matches.n_boxes.sum() >= FEWEST_BOXES:
            yield _f1(finding, matches, images["patient"].to_numpy())


def _f1(finding: str, matches: Matches, patients: Names) -> Question:
    def among(seen: BoolArray) -> Matches:
        kept = seen[matches.image]
        n_boxes: IntArray = np.where(seen, matches.n_boxes, 0)
        return Matches(matches.scores[kept], matches.hits[kept], matches.image[kept], n_boxes)

    def own_best(seen: BoolArray) -> float:
        return max(best_f1_threshold(among(seen)), LOWEST_THRESHOLD)

    def fitted(seen: BoolArray) -> float:
        some = among(seen)
        return max(fitted_f1_threshold(some, calibrate(some)[0]), LOWEST_THRESHOLD)

    def judge(thresholds: FloatArray) -> float:
        reported = matches.scores >= thresholds[matches.image]
        return float(2 * matches.hits[reported].sum() / (reported.sum() + matches.n_boxes.sum()))

    rules = {"own best": own_best, "fitted": fitted}
    return Question(finding, f"{matches.n_boxes.sum()} boxes", patients, rules, judge)


def answer(question: Question, repeats: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Rule -> mean figure on images it has not seen, and spread of its thresholds' logits."""
    names = np.unique(question.patients)
    places = np.searchsorted(names, question.patients)
    figures: dict[str, list[float]] = {rule: [] for rule in question.choose}
    chosen: dict[str, list[float]] = {rule: [] for rule in question.choose}
    for _ in range(repeats):
        fifth = (rng.permutation(len(names)) % FIFTHS)[places]
        for rule, choose in question.choose.items():
            of_fifth = np.array([choose(fifth != number) for number in range(FIFTHS)])
            chosen[rule].extend(logit(of_fifth))
            figures[rule].append(question.judge(of_fifth[fifth]))
    return {rule: (float(np.mean(figures[rule])), float(np.std(chosen[rule]))) for rule in question.choose}


def main() -> None:
    """Print a table for each model."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("weights", type=Path, nargs="+", help="released .onnx files of either kind")
    parse.add_argument("--data", type=Path, required=True)
    parse.add_argument("--repeats", type=int, default=40)
    asked = parse.parse_args()
    part = Manifest.load(asked.data).validation("to choose thresholds on")
    for weights in asked.weights:
        job = json.loads(weights.with_suffix(".json").read_text())["job"]
        if job == "classification":
            figure, questions = "Youden's index", list(of_classifier(weights, part))
        else:
            with progress_bar("detecting", len(part.images)) as progress:
                figure, questions = "F1", list(of_detector(weights, part, steps(progress)))
        Console().print(table_of(f"{weights.stem}: {figure}", questions, asked.repeats))


def table_of(title: str, questions: Iterable[Question], repeats: int) -> Table:
    """A line for each finding, and the means."""
    table = Table("finding", "examples", "own best", "spread", "fitted", "spread", title=title)
    rng, means = np.random.default_rng(0), []
    for question in questions:
        answered = answer(question, repeats, rng)
        means.append([figure for figure, _ in answered.values()])
        cells = (f"{number:.2f}" for pair in answered.values() for number in pair)
        table.add_row(question.finding, question.examples, *cells)
    own_best, fitted = np.mean(means, axis=0)
    table.add_row("mean", "", f"{own_best:.3f}", "", f"{fitted:.3f}", "")
    return table


if __name__ == "__main__":
    main()
