"""How fast one radiograph is read, part by part, and against what a user would do without boxray.

Run by `make bench`; prints medians of warm runs, all in one process on one machine. It is no test.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pydicom
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from boxray.classification.backbones import build_classifier
from boxray.classification.gate.gate import released_gate
from boxray.cli.demo import examples
from boxray.detection.release import load_torch_detector
from boxray.engines import EngineName
from boxray.imaging.read import decode, read_radiograph
from boxray.localization.reader import released_reader
from boxray.weights import load_card, released_card

GFLOP_AT_640 = 8.7
"""Of YOLOv8n at 640 px, as its authors state it; it grows with the square of the side."""

ROUNDS = 9


def seconds(job: Callable[[], object]) -> float:
    """Median of some runs after one to warm up."""
    job()
    runs = []
    for _ in range(ROUNDS):
        start = perf_counter()
        job()
        runs.append(perf_counter() - start)
    return median(runs)


def matrix_product_gflops(side: int = 2048) -> float:
    """What this machine does at best: a float32 matrix product."""
    a = np.random.default_rng(0).random((side, side), dtype=np.float32)
    return 2 * side**3 / seconds(lambda: a @ a) / 1e9


def stock_way(data: bytes, folder: Path) -> Callable[[], None]:
    """pydicom's pixels, the network in torch, pytorch-grad-cam once per finding: the usual notebook."""
    detector = load_torch_detector(released_card("detection").with_suffix(".safetensors"), folder)
    card, tensors = load_card(released_card("classification"), check=".safetensors")
    classifier = build_classifier(card.architecture, len(card.space)).eval()
    classifier.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(tensors).items()})
    explainer = GradCAM(classifier, [classifier.features[-1]])

    def read() -> None:
        pixels = pydicom.dcmread(io.BytesIO(data)).pixel_array
        assert pixels.size
        detector.detect(decode(data))
        square = torch.rand(1, 3, card.side_px, card.side_px)
        for index in range(len(card.space)):
            explainer(square, [ClassifierOutputTarget(index)])

    return read


def main() -> None:
    """Print the table."""
    torch.set_num_threads(os.cpu_count() or 1)
    data = examples()[0].read_bytes()
    rad = decode(data)
    table = Table("part", "ms", title=f"one DICOM of {rad.size_wh[0]} x {rad.size_wh[1]}, {os.cpu_count()} cores")
    engines: tuple[EngineName, ...] = ("openvino", "onnxruntime")
    whole = {}
    for engine in engines:
        reader = released_reader(engine)
        assert reader.detector is not None
        assert reader.classifier is not None
        detect = seconds(lambda reader=reader: reader.detector.detect(rad))
        table.add_row(f"{engine}: boxes", f"{1e3 * detect:.0f}")
        classify = seconds(lambda reader=reader: reader.classifier.classify(rad))
        table.add_row(f"{engine}: scores and all maps", f"{1e3 * classify:.0f}")
        whole[engine] = seconds(lambda reader=reader: reader.read(data, "x"))
        table.add_row(f"{engine}: the whole reading, from bytes", f"{1e3 * whole[engine]:.0f}")
        if engine == "openvino":
            side = released_reader(only="detector").detector.card.side_px  # type: ignore[union-attr]
            gflops = GFLOP_AT_640 * (side / 640) ** 2 / detect
    gate = released_gate()
    table.add_row("scope gate", f"{1e3 * seconds(lambda: gate.require(rad)):.1f}")
    table.add_row("decoding in this process", f"{1e3 * seconds(lambda: decode(data)):.0f}")
    table.add_row("decoding in the child", f"{1e3 * seconds(lambda: read_radiograph(data)):.0f}")
    with tempfile.TemporaryDirectory() as folder:
        stock = seconds(stock_way(data, Path(folder)))
    table.add_row("torch and pytorch-grad-cam, eight maps", f"{1e3 * stock:.0f}")
    console = Console()
    console.print(table)
    limit = matrix_product_gflops()
    console.print(f"whole reading against torch and pytorch-grad-cam: {stock / whole['openvino']:.1f} times as fast")
    console.print(f"detector: {gflops:.0f} of the {limit:.0f} GFLOP/s of a matrix product: {gflops / limit:.0%}")


if __name__ == "__main__":
    main()
