"""Whoever scores films: a classifier, or a detector that is asked as one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from boxray.classification.load import open_classifier
from boxray.core.protocols import Scorer
from boxray.detection.highest_box import HighestBox
from boxray.detection.load import open_detector
from boxray.weights import read_card

SCORER_HELP: Final = (
    "Released .onnx or .safetensors (run by torch), card beside it, of a classifier, or of a detector, whose boldest "
    "box of a finding is its score; or the folder of a classifier's finished run."
)


def open_scorer(weights: Path, state: Path) -> Scorer:
    """What is to be judged, opened for many radiographs, in float32: figures must not depend on the CPU.

    Args:
        weights: As `SCORER_HELP` says.
        state: Folder for ultralytics' settings; only a detector's tensors ask for it.

    Raises:
        MissingExtra: If torch is needed and not installed.
        ModelError: If the weights are not what their card says, or the run is not finished.
    """
    if not weights.is_dir() and read_card(weights).job == "detection":
        return HighestBox(open_detector(weights, state))
    return open_classifier(weights)
