"""What the detector itself sees in an image, taken out of the very pass that finds its boxes; without torch."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.errors import ModelError
from boxray.core.finite import require_finite
from boxray.engines import FirstCall, silence_openvino

LAST_OF_BACKBONE: Final = "/model.9/cv2/act/Mul_output_0"
"""Tensor of the graph that a YOLOv8 backbone ends with, in every size of it."""


class TappedSession:
    """A `boxray.engines.Session` of a detector's graph that also keeps the pooled features of the last pass.

    A thread finds its own: ask for `features` in the thread that ran the pass.
    """

    lanes = 1

    def __init__(self, graph: Path) -> None:
        silence_openvino()
        import openvino

        core = openvino.Core()
        try:
            model = core.read_model(graph.read_bytes(), b"")
            model.add_outputs(LAST_OF_BACKBONE)
        except (OSError, RuntimeError) as error:
            raise ModelError(f"the graph {graph.name} has no features to take: {type(error).__name__}") from error
        self._compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        self._kept = threading.local()

    @property
    def features(self) -> FloatArray:
        """Shape ``(C,)``: the mean over the image of every channel, as `boxray.detection.features` has it."""
        found: FloatArray = self._kept.features
        return found

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        """The detector's one output for a batch of one."""
        request: Any = getattr(self._kept, "request", None)
        if request is None:
            request = self._kept.request = self._compiled.create_infer_request()
        with FirstCall.alone():
            answer = request.infer(inputs, share_inputs=True)
            output, features = (np.array(answer[place], dtype=np.float32) for place in range(2))
        self._kept.features = require_finite("features", features[0].mean(axis=(1, 2)))
        return {"output": require_finite("output", output)}
