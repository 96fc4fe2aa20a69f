"""An int8 graph out of a float32 one, without training: ONNX Runtime's static quantization.

Activations get the range that they have on real radiographs of the validation part, weights one scale per
channel. Only convolutions become int8, and of those not the one that turns the distribution of an edge into
its distance. The graph has QuantizeLinear and DequantizeLinear pairs (QDQ), so that every engine reads it.
See docs/decisions/0009.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.errors import DataError, MissingExtra, ModelError
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import YoloDetector, prepare, require_detector
from boxray.detection.evaluate import evaluate
from boxray.detection.load import int8_card
from boxray.engines import JUDGING
from boxray.weights import ModelCard, Quantized, load_card, save_card

KEPT_FLOAT = "/dfl/"
"""In a node's name: the convolution of the distribution focal loss, a weighted mean whose weights are 0 to 15."""


def quantize(
    weights: Path, manifest: Manifest, *, images: int = 100, progress: Callable[[], None] = lambda: None
) -> Path:
    """Make the int8 graph and its card in a folder `int8` beside the weights.

    Args:
        weights: The float32 card or a file beside it.
        manifest: A built set; its validation part sets the ranges.
        images: So many of it, spread over the sources.
        progress: Called after each image.

    Returns:
        The card of the int8 graph; its findings, thresholds and calibration are those of the weights.

    Raises:
        DataError: If the validation part is empty.
        MissingExtra: If `onnx` is not installed.
        ModelError: If the weights are no detector's or quantized already, or are not what their card says.
    """
    card, graph = load_card(weights, check=".onnx")
    require_detector(card)
    if card.quantized is not None:
        raise ModelError(f"{card.name} is quantized already; name the float32 weights")
    chosen = manifest.validation("to set the ranges of int8 from").spread(images)
    out = int8_card(weights)
    out.parent.mkdir(exist_ok=True)
    radiographs = (chosen.radiograph(picture) for picture in chosen.images["picture"])
    write_int8(graph, _watched(radiographs, progress), card, out.with_suffix(".onnx"))
    quantized = Quantized(of=card.identity().sha256, calibrated_on=len(chosen.images), fingerprint=manifest.fingerprint)
    changes = {"name": out.stem, "quantized": quantized, "default": False}
    return save_card(card.model_copy(update=changes), out.parent)


def write_int8(graph: Path, radiographs: Iterable[Radiograph], card: ModelCard, out: Path) -> None:
    """Write the int8 graph of `graph`; it appears whole or not at all.

    Args:
        graph: A float32 ONNX graph.
        radiographs: That set the ranges of the activations; at least one.
        card: Of the graph.
        out: The file.

    Raises:
        MissingExtra: If `onnx` is not installed.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingExtra("quantization", "train") from error
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        plain, made = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(graph), str(plain), skip_symbolic_shape=True)  # the graph's sizes are fixed
        network = onnx.load(plain).graph
        quantize_static(
            str(plain),
            str(made),
            _Inputs(network.input[0].name, radiographs, card),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[node.name for node in network.node if KEPT_FLOAT in node.name],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
            # A convolution's sum goes through SiLU in float32 and is rounded once, before the next convolution.
            extra_options={"OpTypesToExcludeOutputQuantization": ["Conv"]},
        )
        made.replace(out)


def with_accuracy(
    int8: Path, weights: Path, manifest: Manifest, split: Split, *, progress: Callable[[], None] = lambda: None
) -> Path:
    """Measure both graphs on the same images and write into the int8 card what was lost.

    Args:
        int8: Card of the int8 graph.
        weights: Of the float32 graph.
        manifest: A built set.
        split: Its part.
        progress: Called after each image of each graph.

    Returns:
        The card again.

    Raises:
        DataError: If it is the validation part, which set the ranges.
    """
    require_unseen(split)
    part = manifest.part(split)
    plain, small = (_ap50(YoloDetector.load(card, JUDGING, many=True), part, progress) for card in (weights, int8))
    card, _ = load_card(int8, check=".onnx")
    assert card.quantized is not None, "quantize wrote the card"
    found = {key: (round(value, 4), round(small[key], 4)) for key, value in plain.items()}
    quantized = card.quantized.model_copy(update={"measured_on": split.value, "ap50": found})
    return save_card(card.model_copy(update={"quantized": quantized}), int8.parent)


def require_unseen(split: Split) -> None:
    """What int8 costs is measured on films that had no say in its ranges.

    Raises:
        DataError: If it is the validation part.
    """
    if split is Split.VAL:
        raise DataError("the validation part sets the ranges of int8, what it costs is measured on another: test")


def _ap50(detector: YoloDetector, part: Manifest, progress: Callable[[], None]) -> dict[str, float]:
    """AP50 of the assessed findings that have boxes in the part."""
    results = evaluate(detector, part, rounds=1, progress=progress)
    return {row.finding: row.ap50.value for row in results if row.assessed and not np.isnan(row.ap50.value)}


def _watched(radiographs: Iterable[Radiograph], progress: Callable[[], None]) -> Iterator[Radiograph]:
    for rad in radiographs:
        yield rad
        progress()


class _Inputs:
    """What ONNX Runtime asks for the next input until there is none."""

    def __init__(self, name: str, radiographs: Iterable[Radiograph], card: ModelCard) -> None:
        self._name = name
        self._batches = (prepare(rad, card)[0] for rad in radiographs)

    def get_next(self) -> dict[str, FloatArray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
