"""A detector by the name of its engine, torch and int8 included."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

from boxray.core.errors import ModelError
from boxray.detection.detect import YoloDetector
from boxray.engines import JUDGING, EngineName
from boxray.weights import load_card

DetectorEngine = Literal[
    "torch",
    "torch-cuda",
    "openvino",
    "openvino-f32",
    "openvino-bf16",
    "openvino-int8",
    "onnxruntime",
    "onnxruntime-int8",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
]
"""Those of `boxray.engines`; torch, which runs the `.safetensors`; and the int8 graph that `quantize` makes."""

ENGINES: Final[tuple[DetectorEngine, ...]] = get_args(DetectorEngine)

_INT8: Final[dict[str, EngineName]] = {"openvino-int8": "openvino-f32", "onnxruntime-int8": "onnxruntime"}
"""What runs the int8 graph: its few layers that are not int8 compute in float32."""


def load_detector(weights: Path, engine: DetectorEngine, state: Path, *, many: bool = False) -> YoloDetector:
    """Released weights by an engine's name. Nothing falls back to another engine.

    Args:
        weights: The card or a file beside it, of the float32 weights; for torch also the folder of a finished run.
        engine: One of `ENGINES`.
        state: Folder for ultralytics' settings; only torch asks for it.
        many: For `YoloDetector.detect_many`; see `boxray.engines.open_session`.

    Raises:
        MissingExtra: If the engine is not installed.
        ModelError: If the weights are not what their card says, or there is no int8 graph made from them, or
            this machine has not what the engine needs.
        ValueError: If there is no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"there is no engine {engine!r}; there are: {', '.join(ENGINES)}")
    if engine in ("torch", "torch-cuda"):
        from boxray.detection.release import load_torch_detector

        return load_torch_detector(weights, state, "cuda" if engine == "torch-cuda" else "cpu")
    if engine in _INT8:
        return _load_int8(weights, _INT8[engine], many)
    return YoloDetector.load(weights, engine, many=many)  # type: ignore[arg-type]  # what is left is an EngineName


def open_detector(weights: Path, state: Path) -> YoloDetector:
    """What is to be judged, opened for many radiographs, in float32: figures must not depend on the CPU.

    Args:
        weights: An ``.onnx`` or its card; a ``.safetensors``, which torch runs; or the folder of a finished run,
            whose tensors torch runs: it has no operating points.
        state: Folder for ultralytics' settings; only torch asks for it.

    Raises:
        MissingExtra: If torch is needed and not installed.
        ModelError: If the weights are not what their card says, or the run is not finished.
    """
    by_torch = weights.is_dir() or weights.suffix == ".safetensors"
    return load_detector(weights, "torch" if by_torch else JUDGING, state, many=True)


def int8_card(weights: Path) -> Path:
    """Where the card of the int8 graph lies: a folder below, so that a folder of weights holds no second card."""
    name = f"{weights.with_suffix('').name}-int8"
    return weights.parent / "int8" / f"{name}.json"


def _load_int8(weights: Path, engine: EngineName, many: bool) -> YoloDetector:
    card = int8_card(weights)
    how = f"make it with: boxray detection quantize {weights.name} --data BUILT"
    if not card.is_file():
        raise ModelError(f"there is no int8 graph of {weights.name}; {how}")
    detector = YoloDetector.load(card, engine, many=many)
    made_of = detector.card.quantized.of if detector.card.quantized else "unknown"
    if made_of != load_card(weights, check=".onnx")[0].identity().sha256:
        raise ModelError(f"the int8 graph {card.stem} was made from other weights than {weights.name}; {how}")
    return detector
