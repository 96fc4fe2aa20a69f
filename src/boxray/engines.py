"""Reading engines: an ONNX graph becomes something that turns one array into others.

OpenVINO is the faster one on a CPU, ONNX Runtime the one that also runs on a GPU. Neither knows what
the arrays mean. Both are imported when they are first used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final, Literal, Protocol

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.errors import MissingExtra, ModelError

EngineName = Literal["openvino", "onnxruntime"]

EXTERNAL_DATA: Final = b"\x0a\x08location\x12"
"""How an ONNX file begins to say that a tensor lies in another file: entry ``location`` of `external_data`."""


class Session(Protocol):
    """A compiled graph with one input. May be run from several threads."""

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        """Outputs by name for a float32 batch.

        Raises:
            ModelError: If the graph does not take the batch, or a number that comes out is not finite.
        """


def open_session(graph: Path, engine: EngineName = "openvino") -> Session:
    """Compile an ONNX graph.

    Raises:
        MissingExtra: If the engine is not installed.
        ModelError: If the file is missing, holds tensors in other files (which no hash covers), or is no graph
            that the engine accepts.
        ValueError: If there is no such engine.
    """
    engines: dict[str, Callable[[bytes], Session]] = {"openvino": _OpenVino, "onnxruntime": _OnnxRuntime}
    if engine not in engines:
        raise ValueError(f"there is no engine {engine!r}; there are: {', '.join(engines)}")
    try:
        content = graph.read_bytes()
    except OSError as error:
        raise ModelError(f"the graph {graph.name} cannot be read: {type(error).__name__}") from error
    if EXTERNAL_DATA in content:
        raise ModelError(f"the graph {graph.name} has tensors in other files; export it as one file")
    try:
        return engines[engine](content)
    except ImportError as error:
        raise MissingExtra(f"the engine {engine}", "all") from error
    except Exception as error:  # each engine has exceptions of its own, and no common root
        raise ModelError(f"{engine} does not accept the graph {graph.name}: {_short(error)}") from error


def require_finite(name: str, values: FloatArray) -> FloatArray:
    """The values, unless one is no number.

    Raises:
        ModelError: ``model.not_finite``.
    """
    if not np.isfinite(values).all():
        raise ModelError(f"output {name!r} holds values that are no finite numbers", "model.not_finite")
    return values


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


class _OpenVino:
    def __init__(self, graph: bytes) -> None:
        os.environ.setdefault("OPENVINO_TELEMETRY", "0")
        import openvino

        # One request at a time: all cores work on one radiograph.
        options = {"PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(graph, b""), "CPU", options)
        self._lock = Lock()  # a second caller would get "Infer Request is busy"
        self._names = [output.get_any_name() for output in self._compiled.outputs]

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        with self._lock:
            try:
                outputs = self._compiled(inputs)
            except RuntimeError as error:
                raise ModelError(f"the graph does not take {inputs.dtype} {inputs.shape}") from error
            copied = {name: np.array(outputs[i]) for i, name in enumerate(self._names)}
        return {name: require_finite(name, values) for name, values in copied.items()}


class _OnnxRuntime:
    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph, options, onnxruntime.get_available_providers())
        self._input = self._session.get_inputs()[0].name
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        try:
            outputs = self._session.run(self._names, {self._input: inputs})
        except Exception as error:  # its exceptions have no common root
            raise ModelError(f"the graph does not take {inputs.dtype} {inputs.shape}") from error
        return {name: require_finite(name, values) for name, values in zip(self._names, outputs, strict=True)}
