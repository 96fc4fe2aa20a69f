"""Whoever scores films is told apart by the card beside the weights."""

from pathlib import Path

import numpy as np
import pytest

from boxray.cli.scorers import open_scorer
from boxray.core.errors import ModelError
from boxray.core.radiograph import Radiograph
from boxray.detection.detect import EVERYTHING
from boxray.detection.load import open_detector
from making import chest

BENCH = Path(__file__).parents[2]
FILMS = [Radiograph(chest((200, 240), seed).astype(np.float32) / 255) for seed in (1, 2)]


def test_a_detector_scores_each_finding_by_its_boldest_box(tmp_path: Path) -> None:
    weights = BENCH / "detection/weights/yolov8n.onnx"
    detector = open_detector(weights, tmp_path)

    scorer = open_scorer(weights, tmp_path)

    assert (scorer.assessed, scorer.identity) == (detector.assessed, detector.identity)
    for film, scores in zip(FILMS, scorer.score_many(FILMS), strict=True):
        boxes = detector.detect(film, EVERYTHING)
        assert tuple(scores) == detector.assessed
        for finding, score in scores.items():
            assert score == max((box.score for box in boxes if box.finding == finding), default=0.0)


def test_a_classifier_scores_as_it_classifies(tmp_path: Path) -> None:
    scorer = open_scorer(BENCH / "classification/weights/mobilenetv2-chest8.onnx", tmp_path)

    assert [list(scores) for scores in scorer.score_many(FILMS)] == [list(scorer.assessed)] * 2


@pytest.mark.parametrize("name", ["nobody.onnx", "nobody.safetensors", "nobody.json"])
def test_weights_that_are_not_there_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="nobody"):
        open_scorer(tmp_path / name, tmp_path)


def test_a_folder_that_is_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none of a run"):
        open_scorer(tmp_path, tmp_path)
