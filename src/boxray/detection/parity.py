"""How far the engines differ from torch in float32, on the very radiographs that are read.

What the network says is compared, before calibration: that is one function for all engines, and would stretch their
differences or shrink them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.boxes import box_iou, cxcywh_to_xyxy
from boxray.core.errors import MissingExtra, ModelError
from boxray.core.radiograph import Radiograph
from boxray.detection.detect import YoloDetector, prepare
from boxray.detection.load import DetectorEngine, load_detector

SPEAKS = 0.05
"""A place counts as a box if its score reaches this: the lowest operating point that a release sets, by the network's
own score (`boxray.detection.calibrate.LOWEST_THRESHOLD`)."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest differences of an engine from torch over all places of all radiographs."""

    engine: str
    score: float
    """Largest difference of a score, whatever it is; scores lie in [0, 1]."""
    box_px: float
    """Largest difference of a corner's coordinate, in pixels of the network's square, where torch speaks."""
    iou: float
    """Lowest overlap of a box with torch's own, where torch speaks; 1 is the same box."""
    n_boxes: int
    """Places where torch speaks. None of them: `box_px` is 0 and `iou` is 1."""
    n_images: int


@dataclass(frozen=True, slots=True)
class NoParity:
    """An engine that cannot be asked here."""

    engine: str
    reason: str


def measure_parity(
    weights: Path, radiographs: Sequence[Radiograph], engines: Sequence[DetectorEngine], state: Path
) -> Iterator[Parity | NoParity]:
    """Each engine against torch in float32 on the CPU.

    Args:
        weights: Released weights, the card beside them.
        radiographs: At least one.
        engines: In the order in which they are answered.
        state: Folder for ultralytics' settings.

    Raises:
        ModelError: If torch itself cannot run the weights.
        MissingExtra: If torch is not installed.
        ValueError: If there are no radiographs.
    """
    if not radiographs:
        raise ValueError("parity needs at least one radiograph")
    reference = load_detector(weights, "torch", state)
    expected = raw_outputs(reference, radiographs)
    for engine in engines:
        try:
            found = raw_outputs(load_detector(weights, engine, state), radiographs)
        except (ModelError, MissingExtra) as error:
            yield NoParity(engine, str(error))
        else:
            yield compare(engine, expected, found)


def raw_outputs(detector: YoloDetector, radiographs: Sequence[Radiograph]) -> list[FloatArray]:
    """What the network says before anything is chosen: per radiograph shape ``(4 + F, A)``."""
    return [next(iter(detector.session.run(prepare(rad, detector.card)[0]).values()))[0] for rad in radiographs]


def compare(engine: str, expected: Sequence[FloatArray], found: Sequence[FloatArray]) -> Parity:
    """The differences of an engine's outputs from those of torch, place by place.

    Args:
        engine: Its name.
        expected: Of torch: per radiograph shape ``(4 + F, A)``, centre and size in pixels, then scores.
        found: Of the engine, the same shapes.
    """
    score = max(float(np.abs(ours[4:] - theirs[4:]).max()) for ours, theirs in zip(found, expected, strict=True))
    speaks = [output[4:].max(axis=0) >= SPEAKS for output in expected]
    rows = [
        np.concatenate([output[:4, places].T for output, places in zip(outputs, speaks, strict=True)])
        for outputs in (found, expected)
    ]
    ours_xyxy, theirs_xyxy = (cxcywh_to_xyxy(boxes.astype(np.float64)) for boxes in rows)
    apart = np.abs(ours_xyxy - theirs_xyxy)
    overlaps = [float(box_iou(a[None], b[None])[0, 0]) for a, b in zip(ours_xyxy, theirs_xyxy, strict=True)]
    return Parity(
        engine, score, float(apart.max(initial=0.0)), min(overlaps, default=1.0), len(overlaps), len(expected)
    )
