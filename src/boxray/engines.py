"""Reading engines: an ONNX graph becomes something that turns one array into others.

OpenVINO is the faster one on a CPU, ONNX Runtime the one that also runs on a GPU. Neither knows what
the arrays mean. Both are imported when they are first used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.errors import MissingExtra, ModelError

EngineName = Literal["openvino", "onnxruntime"]


class Session(Protocol):
    """A compiled graph with one input."""

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        """Outputs by name for a float32 batch."""


def open_session(graph: Path, engine: EngineName = "openvino") -> Session:
    """Compile an ONNX graph.

    Raises:
        MissingExtra: If the engine is not installed.
        ModelError: If the engine does not accept the graph.
    """
    make = {"openvino": _OpenVino, "onnxruntime": _OnnxRuntime}[engine]
    try:
        return make(graph)
    except ImportError as error:
        raise MissingExtra(f"the engine {engine}", "all") from error
    except RuntimeError as error:
        raise ModelError(f"{engine} does not accept the graph {graph.name}: {error}") from error


def require_finite(name: str, values: FloatArray) -> FloatArray:
    """The values, unless one is no number.

    Raises:
        ModelError: ``model.not_finite``.
    """
    if not np.isfinite(values).all():
        raise ModelError(f"output {name!r} holds values that are no finite numbers", "model.not_finite")
    return values


class _OpenVino:
    def __init__(self, graph: Path) -> None:
        os.environ.setdefault("OPENVINO_TELEMETRY", "0")
        import openvino

        # One request at a time: all cores work on one radiograph.
        options = {"PERFORMANCE_HINT": "LATENCY"}
        self._compiled = openvino.Core().compile_model(str(graph), "CPU", options)
        self._names = [output.get_any_name() for output in self._compiled.outputs]

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        outputs = self._compiled(inputs)
        return {name: require_finite(name, np.array(outputs[i])) for i, name in enumerate(self._names)}


class _OnnxRuntime:
    def __init__(self, graph: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(graph), options, onnxruntime.get_available_providers())
        self._input = self._session.get_inputs()[0].name
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        outputs = self._session.run(self._names, {self._input: inputs})
        return {name: require_finite(name, values) for name, values in zip(self._names, outputs, strict=True)}
