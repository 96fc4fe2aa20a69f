"""How fast a classifier's maps of all findings are made: `make bench BENCH=explain`, or this file with --help.

In one run, on one picture and with the same random weights: a call of pytorch-grad-cam for each finding, as its users
write it; our closed form in torch; the same graph in OpenVINO, in float32 and, where the CPU has it, in bfloat16. All
give the logits too. The ways take turns, and of each the best turn counts: what the machine can do when nothing else
asks for it. Maps are compared after pytorch-grad-cam's own scaling to [0, 1] and enlarging, which it never leaves out.
No test: it asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from rich.console import Console
from rich.table import Table

from boxray.classification.backbones import BACKBONES, GraphOutputs, PooledClassifier, WithMaps, build_classifier
from boxray.classification.explain import GRADIENT_METHODS, gradient_map, pooled_gradients
from boxray.core.errors import ModelError
from boxray.engines import EngineName, open_session
from boxray.tensors import write_graph

BUSY = 0.5
"""A load above this at the start: something else computes too, and the figures are lower than they could be."""
THEIRS = "pytorch-grad-cam, a call for each finding"
EVERYBODY = Console(width=120)

Way = Callable[[], np.ndarray]
"""Gives the maps, shape ``(F, h, w)``; theirs ``(F, S, S)``, as pytorch-grad-cam has enlarged them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options."""

    backbone: str
    side: int
    findings: int
    rounds: int
    json: Path | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One way."""

    name: str
    ms: float | None
    """Of the best round; None: not on this machine."""
    times: float | None
    """How many times faster than pytorch-grad-cam."""
    largest_difference: float | None
    """Of the maps from pytorch-grad-cam's, both scaled to [0, 1]."""
    note: str = ""


def asked() -> Asked:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--backbone", default="densenet121", choices=sorted(BACKBONES))
    parse.add_argument("--side", type=int, default=512, help="pixels of the square")
    parse.add_argument("--findings", type=int, default=8)
    parse.add_argument("--rounds", type=int, default=5, help="turns of each way after one to warm up")
    parse.add_argument("--json", type=Path, help="write the figures here, too")
    return Asked(**vars(parse.parse_args()))


def network_and_picture(options: Asked) -> tuple[PooledClassifier, torch.Tensor]:
    """Random weights: as fast as trained ones. The picture is uneven, so that its maps are."""
    torch.manual_seed(0)
    network = build_classifier(options.backbone, options.findings).eval()
    picture = torch.rand(1, 3, options.side, options.side) * 2 - 1
    picture[:, :, : options.side // 3, : options.side // 2] += 1
    return network, picture


def their_way(network: PooledClassifier, picture: torch.Tensor, findings: int) -> Way:
    explainer = GradCAM(network, [network.features])

    def maps() -> np.ndarray:
        return np.stack([explainer(picture, [ClassifierOutputTarget(finding)])[0] for finding in range(findings)])

    return maps


def torch_way(network: PooledClassifier, picture: torch.Tensor) -> Way:
    with_maps = WithMaps(network).eval()

    def maps() -> np.ndarray:
        with torch.inference_mode():
            return with_maps(picture).maps[0].numpy()

    return maps


def engine_way(graph: Path, engine: EngineName, pixels: np.ndarray) -> Way:
    session = open_session(graph, engine)
    return lambda: session.run(pixels, ("logits", "maps"))["maps"][0]


def arithmetic_way(graph: Path, pixels: np.ndarray) -> Way:
    """All methods of one pass; hands over Grad-CAM as numpy makes it of the features."""
    session = open_session(graph, "openvino-f32")

    def maps() -> np.ndarray:
        outputs = session.run(pixels)
        features, head = outputs["features"][0], outputs["head"]
        gradients = pooled_gradients(head, features[0].size)
        return {method: gradient_map(method, features, gradients) for method in GRADIENT_METHODS}["grad_cam"]

    return maps


def all_ways(options: Asked, folder: Path) -> dict[str, Way | str]:
    """By name; a way that this machine does not have says why."""
    network, picture = network_and_picture(options)
    graph, pixels = folder / "network.onnx", picture.numpy()
    write_graph(WithMaps(network).eval(), options.side, GraphOutputs._fields, graph)
    ways: dict[str, Way | str] = {
        THEIRS: their_way(network, picture, options.findings),
        "closed form, torch, float32": torch_way(network, picture),
        "closed form, OpenVINO, float32": engine_way(graph, "openvino-f32", pixels),
        "all four methods, OpenVINO, float32, and numpy": arithmetic_way(graph, pixels),
    }
    try:
        ways["closed form, OpenVINO, bfloat16"] = engine_way(graph, "openvino-bf16", pixels)
    except ModelError as error:
        ways["closed form, OpenVINO, bfloat16"] = str(error)
    return ways


def measure(options: Asked, ways: dict[str, Way | str]) -> list[Measured]:
    there = {name: way for name, way in ways.items() if not isinstance(way, str)}
    best, maps = dict.fromkeys(there, float("inf")), {}
    for number in range(options.rounds + 1):
        for name, way in there.items():
            start = perf_counter()
            maps[name] = way()
            if number > 0:
                best[name] = min(best[name], perf_counter() - start)
    results = []
    for name, way in ways.items():
        if isinstance(way, str):
            results.append(Measured(name, None, None, None, way))
            continue
        scaled = maps[name] if name == THEIRS else enlarged(maps[name], options.side)
        difference = float(np.abs(scaled - maps[THEIRS]).max())
        results.append(Measured(name, 1e3 * best[name], best[THEIRS] / best[name], difference))
    return results


def enlarged(maps: np.ndarray, side: int) -> np.ndarray:
    """As pytorch-grad-cam hands a map over."""
    return scale_cam_image(scale_cam_image(maps, (side, side)))


def main() -> None:
    """Print the table."""
    options = asked()
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    torch.set_num_threads(cores)
    EVERYBODY.print(
        f"{cores} cores, load {load:.1f} at the start; torch {torch.__version__}, OpenVINO {version('openvino')}"
    )
    if load > BUSY:
        EVERYBODY.print("[bold]The machine is busy: times are longer than they could be; the ratio is less sure.")
    with tempfile.TemporaryDirectory() as name, EVERYBODY.status("measuring"):
        results = measure(options, all_ways(options, Path(name)))
    table = Table("", "ms", "times faster", "largest difference of maps")
    table.title = f"{options.backbone}, {options.side} px, scores and maps of {options.findings} findings"
    for one in results:
        if one.ms is None:
            table.add_row(one.name, "–", "–", one.note)
        else:
            table.add_row(one.name, f"{one.ms:.1f}", f"{one.times:.1f}", f"{one.largest_difference:.1e}")
    EVERYBODY.print(table)
    if options.json is not None:
        said = {"cores": cores, "load": load, "options": {**asdict(options), "json": None}}
        options.json.write_text(json.dumps({**said, "ways": [asdict(one) for one in results]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
