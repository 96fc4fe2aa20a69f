"""What a user of each gets: `python tests/benchmarks/stock_reading.py OURS STOCK --data BUILT [--side 384]`.

OURS is read by boxray, at `--side` where one is given; STOCK by ultralytics' `predict`, at the size it was trained at,
with the limits that its own validation has. AP50 of both and the difference on the same resampled patients, by boxray's
evaluation. Weights are released ones or the folder of a finished run, as `stock_training.py` leaves one too; with the
same weights twice the difference is that of the reading alone.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from boxray.cli.comparison import print_comparison
from boxray.cli.show import progress_bar, steps
from boxray.core.boxes import Box
from boxray.core.findings import LabelSpace
from boxray.core.protocols import FixedDetector
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Detection
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.compare import compare_detections
from boxray.detection.evaluate import detect_all
from boxray.detection.load import open_detector
from boxray.detection.release import trained_network

LIMITS: Final = {"conf": 0.001, "iou": 0.7, "max_det": 300}
"""Of ultralytics' own validation; its `predict` asks for 0.25 and would cut the precision-recall curve off."""


def stock_yolo(weights: Path, state: Path) -> Any:
    """ultralytics' own object with these weights in it; `state` is a folder for its settings."""
    from ultralytics import YOLO

    card, trained = trained_network(weights, state)
    yolo = YOLO(f"{card.architecture}.yaml", verbose=False)
    network = type(yolo.model)(f"{card.architecture}.yaml", nc=len(card.space), verbose=False)
    network.load_state_dict(trained.state_dict(), strict=True)
    network.args, network.task, network.names = yolo.model.args, "detect", dict(enumerate(card.space.keys))
    yolo.model = network.float().eval()
    return yolo


@dataclass(frozen=True)
class ByUltralytics(FixedDetector):
    """Its network, letterbox and suppression."""

    yolo: Any = None
    side_px: int = 0

    def detect(self, rad: Radiograph, min_score: float | None = None) -> tuple[Detection, ...]:
        """All that reaches `LIMITS`; `min_score` is not asked."""
        grey = np.rint(rad.pixels * 255).astype(np.uint8)
        colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        (found,) = self.yolo.predict(colour, imgsz=self.side_px, device="cpu", verbose=False, **LIMITS)
        keys = self.label_space.keys
        rows = found.boxes.data.tolist()
        return tuple(Detection(keys[int(index)], score, Box(*xyxy)) for *xyxy, score, index in rows if wide(xyxy))


def wide(xyxy: list[float]) -> bool:
    """Whether anything lies between the edges: a box of ultralytics may be cut to a line at the film's edge."""
    return xyxy[0] < xyxy[2] and xyxy[1] < xyxy[3]


def main() -> None:
    """Print the table."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("ours", type=Path)
    parse.add_argument("stock", type=Path)
    parse.add_argument("--data", type=Path, required=True)
    parse.add_argument("--split", type=Split, default=Split.TEST)
    parse.add_argument("--side", type=int, help="at which boxray reads; default: the one it was trained for")
    asked = parse.parse_args()
    part = Manifest.load(asked.data).part(asked.split)
    with tempfile.TemporaryDirectory() as state:
        ours = open_detector(asked.ours, Path(state))
        if asked.side is not None:  # released graphs are of one size, tensors of any
            ours = open_detector(
                asked.ours if asked.ours.is_dir() else asked.ours.with_suffix(".safetensors"), Path(state)
            )
            ours = replace(ours, card=ours.card.model_copy(update={"side_px": asked.side}))
        card, _ = trained_network(asked.stock, Path(state))
        space: LabelSpace = card.space
        theirs = ByUltralytics(
            space,
            assessed=card.assessed,
            identity=card.identity(),
            yolo=stock_yolo(asked.stock, Path(state)),
            side_px=card.side_px,
        )
        with progress_bar("detecting", 2 * len(part.images)) as progress:
            found, others = (list(detect_all(each, part, steps(progress))) for each in (ours, theirs))
    with progress_bar("measuring", None):
        rows = compare_detections(part, found, others, ours.assessed)
    lines = ((row.finding, row.ours, row.theirs, row.difference, str(row.n_boxes)) for row in rows)
    print_comparison(
        "AP50 (95 %)", "boxes", lines, space, (ours.identity, theirs.identity), "boxray, and ultralytics' predict"
    )


if __name__ == "__main__":
    main()
