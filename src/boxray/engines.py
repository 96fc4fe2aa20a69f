"""Reading engines: an ONNX graph becomes something that turns one array into others.

OpenVINO is the faster one on a CPU, ONNX Runtime the one that also runs on a GPU. Neither knows what
the arrays mean. Both are imported when they are first used. An engine is what its name says or is refused
with a reason: nothing falls back to another precision or another device unsaid.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from boxray.core.ahead import cores
from boxray.core.arrays import FloatArray
from boxray.core.errors import MissingExtra, ModelError
from boxray.core.finite import require_finite

if TYPE_CHECKING:
    from collections.abc import Iterator

EngineName = Literal[
    "openvino", "openvino-f32", "openvino-bf16", "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt"
]
"""`openvino` computes in bfloat16 where the CPU has it and in float32 elsewhere; `onnxruntime` is its CPU."""

JUDGING: Final[EngineName] = "openvino-f32"
"""What makes cards and figures, in float32 everywhere: they must not depend on what a CPU has units for."""

EXTERNAL_DATA: Final = b"\x0a\x08location\x12"
"""How an ONNX file begins to say that a tensor lies in another file: entry ``location`` of `external_data`."""

_GPU_LANES: Final = 4
"""A GPU computes faster than one thread makes its input."""


class Session(Protocol):
    """A compiled graph with one input. May be run from several threads."""

    @property
    def lanes(self) -> int:
        """How many threads should run it at once when there are many radiographs; 1 is the least."""

    def run(self, inputs: FloatArray) -> Mapping[str, FloatArray]:
        """Outputs by name for a float32 batch.

        Raises:
            ModelError: If the graph does not take the batch, or a number that comes out is not finite.
        """


class GraphSession(Session, Protocol):
    """A session that knows what comes out of its graph."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Their names."""

    def run(self, inputs: FloatArray, only: Sequence[str] | None = None) -> Mapping[str, FloatArray]:
        """As `Session.run`; with `only`, nothing but the outputs of these names is copied out of the engine."""


def open_session(graph: Path, engine: EngineName = "openvino", *, many: bool = False) -> GraphSession:
    """Compile an ONNX graph.

    Args:
        graph: The file.
        engine: What runs it.
        many: Compile for many radiographs at once instead of for one at a time: on a CPU each core then works
            on a radiograph of its own, which makes a single one slower and a hundred faster.

    Raises:
        MissingExtra: If the engine is not installed.
        ModelError: If the file is missing, holds tensors in other files (which no hash covers), or is no graph
            that the engine accepts; or if this machine has not what the engine's name promises.
        ValueError: If there is no such engine.
    """
    if engine not in _ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there are: {', '.join(_ENGINES)}")
    try:
        content = graph.read_bytes()
    except OSError as error:
        raise ModelError(f"the graph {graph.name} cannot be read: {type(error).__name__}") from error
    if EXTERNAL_DATA in content:
        raise ModelError(f"the graph {graph.name} has tensors in other files; export it as one file")
    try:
        return _ENGINES[engine](content, many)
    except ModelError:
        raise
    except ImportError as error:
        raise MissingExtra(f"the engine {engine}", "all") from error
    except Exception as error:  # each engine has exceptions of its own, and no common root
        raise ModelError(f"{engine} does not accept the graph {graph.name}: {_short(error)}") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _not_taken(inputs: FloatArray, error: Exception) -> ModelError:
    return ModelError(f"the graph does not take {inputs.dtype} {inputs.shape}: {_short(error)}")


def _openvino_name(output: Any) -> str:
    """As the graph calls it: a tensor that is only handed through, such as a weight, has its own name beside it."""
    declared: str = output.get_node().get_friendly_name().split("/sink_port")[0]
    return declared if declared in output.get_names() else str(output.get_any_name())


class FirstCall:
    """OpenVINO's first call of a process is made alone; later ones wait for nobody.

    Its binding makes something of its own at that call while it holds the GIL: two threads that call at once lock each
    other up for good (seen with 2026.4, one time in three).
    """

    _lock = Lock()
    _made = False

    @classmethod
    @contextmanager
    def alone(cls) -> Iterator[None]:
        """Around every call."""
        if cls._made:
            yield
            return
        with cls._lock:
            yield
            cls._made = True


def silence_openvino() -> None:
    """Call it before OpenVINO's first import of a process, which would send an event to an analytics service.

    It also keeps an id in the user's home, and heeds no variable. Where its reporting package cannot be imported it
    takes its own stub that does nothing.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to say: cannot be imported


class _OpenVino:
    def __init__(self, graph: bytes, many: bool, precision: str | None) -> None:
        silence_openvino()
        import openvino

        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            cpu = platform.processor() or platform.machine()
            raise ModelError(f"this CPU ({cpu}) does not compute in bfloat16; take openvino or openvino-f32")
        # For one at a time all cores work on one radiograph.
        options = {"PERFORMANCE_HINT": "THROUGHPUT" if many else "LATENCY"}
        if precision is not None:
            options["INFERENCE_PRECISION_HINT"] = precision
        compiled = core.compile_model(core.read_model(graph, b""), "CPU", options)
        self.outputs = tuple(_openvino_name(output) for output in compiled.outputs)
        self.lanes = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) if many else 1
        self._idle: SimpleQueue[Any] = SimpleQueue()  # a request serves one caller: a second would find it busy
        for _ in range(self.lanes):
            self._idle.put(compiled.create_infer_request())

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)

    def run(self, inputs: FloatArray, only: Sequence[str] | None = None) -> Mapping[str, FloatArray]:
        with self._request() as request, FirstCall.alone():
            try:
                outputs = request.infer(inputs, share_inputs=True)
            except RuntimeError as error:
                raise _not_taken(inputs, error) from error
            wanted = self.outputs if only is None else only
            copied = {name: np.array(outputs[self.outputs.index(name)]) for name in wanted}
        return {name: require_finite(name, values) for name, values in copied.items()}


class _OnnxRuntime:
    def __init__(self, graph: bytes, many: bool, provider: str) -> None:
        import onnxruntime

        there = onnxruntime.get_available_providers()
        if provider not in there:
            raise ModelError(f"the installed ONNX Runtime has no {provider}, only {', '.join(there)}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        on_cpu = provider == "CPUExecutionProvider"
        self.lanes = 1
        if many:
            self.lanes = cores() if on_cpu else _GPU_LANES
            options.intra_op_num_threads = 1
        # What a GPU lacks an operator for may run on the CPU; a GPU that does not answer at all may not.
        wanted = [provider] if on_cpu else [provider, "CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(graph, options, wanted)
        self._session.disable_fallback()
        if self._session.get_providers()[0] != provider:
            raise ModelError(f"{provider} is installed but does not start: is there a GPU with its driver?")
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, inputs: FloatArray, only: Sequence[str] | None = None) -> Mapping[str, FloatArray]:
        wanted = list(self.outputs if only is None else only)
        try:
            outputs = self._session.run(wanted, {self._input: inputs})
        except MemoryError:
            raise
        except Exception as error:  # its exceptions have no common root
            raise _not_taken(inputs, error) from error
        return {name: require_finite(name, values) for name, values in zip(wanted, outputs, strict=True)}


_ENGINES: Final[dict[str, Callable[[bytes, bool], GraphSession]]] = {
    "openvino": lambda graph, many: _OpenVino(graph, many, None),
    "openvino-f32": lambda graph, many: _OpenVino(graph, many, "f32"),
    "openvino-bf16": lambda graph, many: _OpenVino(graph, many, "bf16"),
    "onnxruntime": lambda graph, many: _OnnxRuntime(graph, many, "CPUExecutionProvider"),
    "onnxruntime-cuda": lambda graph, many: _OnnxRuntime(graph, many, "CUDAExecutionProvider"),
    "onnxruntime-tensorrt": lambda graph, many: _OnnxRuntime(graph, many, "TensorrtExecutionProvider"),
}
