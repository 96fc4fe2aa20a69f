"""How fast radiographs become boxes: `make bench BENCH=detection`, or this file with --help.

In one run: every engine against `ultralytics` predict with the same weights and pictures, from decoded pixels and from
PNG files; the network alone against the matrix-product limit of the same machine; memory; training against stock.
No test: it asserts nothing. Pictures are those of a built set where there is one, else the bundled examples.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track as rich_track
from rich.table import Table
from stock_reading import stock_yolo
from stock_training import copied_set

from boxray.cli.demo import examples
from boxray.core.ahead import in_order
from boxray.core.errors import BoxrayError, InputError
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.load import ENGINES, load_detector
from boxray.detection.quantize import quantize
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.train import train
from boxray.detection.ultralytics_engine import build_network, tame_ultralytics
from boxray.engines import Session, silence_openvino
from boxray.imaging.read import decode
from boxray.localization.reader import Reader
from boxray.tensors import read_tensors, write_graph, write_tensors
from boxray.weights import load_card, released_card, save_card

BUSY = 0.5
"""A load above this at the start: something else computes too, and the figures are lower than they could be."""
ROUNDS = 5
EPOCHS = 5
PICTURES = 100
"""At most so many different ones are held; more images are these again."""
EVERYBODY = Console(width=120)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options."""

    data: Path
    images: int
    grow: int
    train_images: int
    train_side: int
    weights: Path | None
    architecture: str | None
    side: int | None
    device: str
    engines: tuple[str, ...]


def asked() -> Asked:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--data", type=Path, default=Path("data/built/real"), help="a built set, if there is one")
    parse.add_argument("--images", type=int, default=100, help="read per engine")
    parse.add_argument(
        "--grow", type=int, default=10_000, help="images of the second look at memory and speed; 0 skips it"
    )
    parse.add_argument("--train-images", type=int, default=100, help="of an epoch; 0 skips the training")
    parse.add_argument("--train-side", type=int, default=320, help="pixels of the training's square")
    parse.add_argument("--weights", type=Path, help="a card; default: that of the released detector")
    parse.add_argument("--architecture", help="such as yolov8m: random weights instead of released ones")
    parse.add_argument("--side", type=int, help="pixels of the square, if it is not to be the card's")
    parse.add_argument(
        "--device", default="cpu", help="of stock's reading and of both trainings: cpu, or a GPU's number"
    )
    parse.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    options = parse.parse_args()
    return Asked(**{**vars(options), "engines": tuple(options.engines)})


def track(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    return rich_track(items, what, total, console=EVERYBODY, transient=True)


# --- weights and pictures ---------------------------------------------------------------------------------


def weights_of(options: Asked, folder: Path) -> Path:
    """Released weights; or, where another square or architecture is asked for, such weights made for this run.

    An untrained network is as fast as a trained one. The graph of int8 is made with them, from the pictures below.
    """
    released = options.weights or released_card("detection")
    if options.architecture is None and options.side is None:
        return released
    from ultralytics.nn.tasks import DetectionModel

    card, tensors = load_card(released, check=".safetensors")
    state = read_tensors(tensors)
    if options.architecture is not None:
        torch.manual_seed(0)
        untrained = DetectionModel(f"{options.architecture}.yaml", nc=len(card.space), verbose=False)
        card = card.model_copy(
            update={"name": f"{options.architecture}-untrained", "architecture": options.architecture}
        )
        state = untrained.state_dict()
    card = card.model_copy(update={"side_px": options.side or card.side_px})
    write_tensors(state, folder / f"{card.name}.safetensors")
    network = build_network(card.architecture, len(card.space), read_tensors(folder / f"{card.name}.safetensors"))
    write_graph(network, card.side_px, ["output"], folder / f"{card.name}.onnx")
    made = save_card(card, folder)
    if "int8" in " ".join(options.engines) and (options.data / "manifest.json").is_file():
        with EVERYBODY.status("making the graph of int8"):
            quantize(made, Manifest.load(options.data), images=20)
    return made


def pictures_of(options: Asked, folder: Path) -> list[Path]:
    """PNG files: of the built set's test part, or of the examples that are not refused."""
    if (options.data / "manifest.json").is_file():
        part = Manifest.load(options.data).part(Split.TEST).spread(min(options.images, PICTURES))
        return [options.data / picture for picture in part.images["picture"]]
    files = []
    for example in examples():
        try:
            rad = decode(example.read_bytes())
        except InputError:
            continue
        files.append(folder / f"{example.stem}.png")
        cv2.imwrite(str(files[-1]), np.round(rad.pixels * 255).astype(np.uint8))
    return files


def grey(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return pixels


# --- reading ------------------------------------------------------------------------------------------------


def per_second(images: int, results: Iterable[object]) -> float:
    """Images per second, the first tenth (start, compiling, caches) not counted."""
    warm = max(1, images // 10)
    start = 0.0
    for number, _ in enumerate(results, start=1):
        if number == warm:
            start = perf_counter()
    return (images - warm) / (perf_counter() - start)


def reading(options: Asked, weights: Path, files: list[Path], state: Path) -> None:
    card = load_card(weights, check=".onnx")[0]
    n = options.images
    pixels = [grey(file) for file in files]
    radiographs = [Radiograph(picture.astype(np.float32) / 255) for picture in pixels]
    colour = [cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) for picture in pixels]
    table = Table("", "pixels → boxes, images/s", "times", "PNG files → boxes, images/s", "times")
    table.title = f"{card.name}, {card.side_px} px, {n} images of {len(files)} pictures"

    stock = stock_yolo(weights, state)
    settings: dict[str, Any] = {"imgsz": card.side_px, "conf": 0.05, "device": options.device, "verbose": False}
    by_pixels = per_second(n, (stock.predict(p, **settings) for p in track(islice(cycle(colour), n), "ultralytics", n)))
    named = [str(file) for file in islice(cycle(files), n)]
    by_file = per_second(n, (stock.predict(f, **settings) for f in track(named, "ultralytics, files", n)))
    table.add_row(f"ultralytics predict, torch, {_place(options)}", f"{by_pixels:.1f}", "1", f"{by_file:.1f}", "1")
    del stock
    for engine in options.engines:
        try:
            detector = load_detector(weights, engine, state, many=True)
        except BoxrayError as error:
            table.add_row(engine, f"not here: {error}")
            continue
        ours = per_second(n, detector.detect_many(track(islice(cycle(radiographs), n), engine, n), 0.05))
        reader = Reader(detector, None, detector.session.lanes)
        named_files = ((file, "x") for file in islice(cycle(files), n))
        ours_by_file = per_second(n, track(reader.read_many(named_files, min_score=0.05), f"{engine}, files", n))
        table.add_row(
            f"{engine} ({detector.session.lanes} lanes)",
            f"{ours:.1f}",
            f"{ours / by_pixels:.1f}",
            f"{ours_by_file:.1f}",
            f"{ours_by_file / by_file:.1f}",
        )
    EVERYBODY.print(table)
    EVERYBODY.print("Files are decoded in child processes with limits by boxray, by OpenCV unguarded in ultralytics.\n")


# --- the network alone against the machine's limit ----------------------------------------------------------


def seconds(job: Callable[[], object]) -> float:
    """Best of some runs after one to warm up: what the machine can do when nothing else asks for it."""
    job()
    runs = []
    for _ in range(ROUNDS):
        start = perf_counter()
        job()
        runs.append(perf_counter() - start)
    return min(runs)


def openvino_product(precision: str, side: int) -> Callable[[], object]:
    """A product in ``f32``, ``bf16`` or ``int8``; the last rounds its left side as a quantized graph does."""
    import openvino
    from openvino import opset13 as op

    rng = np.random.default_rng(0)
    values = rng.random((side, side), dtype=np.float32)
    left = op.parameter([side, side], np.float32)
    whole = op.convert(op.constant(rng.integers(-127, 128, (side, side)).astype(np.int8)), "f32")
    right, rounded = op.multiply(whole, op.constant(np.float32(1 / 127))), left
    if precision == "int8":
        low, high = op.constant(np.float32(0)), op.constant(np.float32(1))
        rounded = op.fake_quantize(left, low, high, low, high, 256)
    else:
        right = op.constant(values)
    model = openvino.Model([op.matmul(rounded, right, False, False)], [left])
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision}
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    return lambda: compiled(values)


def cpu_precisions() -> list[str]:
    """What this CPU has units for, as OpenVINO names it: ``FP32``, ``BF16``, ``INT8`` …"""
    silence_openvino()
    import openvino

    return list(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def matrix_products(side: int = 2048) -> dict[str, float]:
    """GFLOP/s of a matrix product by whoever is good at it, by name."""
    a = np.random.default_rng(0).random((side, side), dtype=np.float32)
    t = torch.from_numpy(a)
    jobs: dict[str, Callable[[], object]] = {"numpy f32": lambda: a @ a, "torch f32": lambda: t @ t}
    there = cpu_precisions()
    for precision in ("f32", *(name for name in ("bf16", "int8") if name.upper() in there)):
        jobs[f"OpenVINO {precision}"] = openvino_product(precision, side)
    return {name: 2 * side**3 / seconds(job) / 1e9 for name, job in jobs.items()}


def network_gflop(weights: Path) -> float:
    """Of one image, as ultralytics itself counts."""
    from ultralytics.utils.torch_utils import get_flops

    card, tensors = load_card(weights, check=".safetensors")
    return float(get_flops(build_network(card.architecture, len(card.space), read_tensors(tensors)), card.side_px))


def per_image(session: Session, side_px: int) -> float:
    """Seconds per image of the network alone, all lanes busy."""
    batch = np.random.default_rng(0).random((1, 3, side_px, side_px), dtype=np.float32)
    n = 4 * session.lanes

    def job() -> None:
        for _ in in_order(session.run, [batch] * n, threads=session.lanes):
            pass

    return seconds(job) / n


def limit(options: Asked, weights: Path, state: Path) -> None:
    limits = matrix_products()
    gflop, side_px = network_gflop(weights), load_card(weights, check=".onnx")[0].side_px
    took = {}
    for engine in options.engines:
        try:
            one, many = (load_detector(weights, engine, state, many=many).session for many in (False, True))
        except BoxrayError:
            continue
        took[engine] = per_image(one, side_px), per_image(many, side_px)
    limits = {name: max(value, limits[name]) for name, value in matrix_products().items()}  # a busy moment counts once
    table = Table("", "one at a time, ms", "all lanes, ms/image", "GFLOP/s", "of the limit")
    said = ", ".join(f"{name} {value:.0f}" for name, value in limits.items())
    table.title = f"{gflop:.1f} GFLOP a picture; matrix product, GFLOP/s: {said}"
    for engine, (alone, together) in took.items():
        reached, most = gflop / min(alone, together), limit_of(engine, limits)
        share = "" if most is None else f"{reached / most:.0%}"
        table.add_row(engine, f"{1e3 * alone:.1f}", f"{1e3 * together:.1f}", f"{reached:.0f}", share)
    EVERYBODY.print(table)


def limit_of(engine: str, limits: dict[str, float]) -> float | None:
    """GFLOP/s of the best product in the engine's precision; None for a GPU, whose product is not measured."""
    if engine.endswith(("cuda", "tensorrt")):
        return None
    precision = "int8" if engine.endswith("int8") else "f32"
    if engine in ("openvino", "openvino-bf16") and "OpenVINO bf16" in limits:
        precision = "bf16"
    return max((value for name, value in limits.items() if name.endswith(precision)), default=None)


# --- memory -------------------------------------------------------------------------------------------------


def memory(options: Asked, weights: Path, files: list[Path]) -> None:
    few = max(2, min(100, options.grow // 10))
    script = Path(__file__).with_name("memory_of_reading.py")
    command = [sys.executable, script, weights, few, options.grow, *files]
    with EVERYBODY.status(f"reading {options.grow} images"):
        said = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout
    first, last, most, fast, still = json.loads(said)
    EVERYBODY.print(
        f"Memory of reading files with openvino: {first:.0f} MiB after {few}, {last:.0f} MiB after {options.grow} "
        f"images ({last - first:+.0f}); at the most {most:.0f} MiB, the decoding children not counted. "
        f"{fast:.1f} images/s over the first {few}, {still:.1f} over the last.\n"
    )


# --- training -----------------------------------------------------------------------------------------------


def training_speed(job: Callable[[], object]) -> tuple[float, list[float]]:
    """Images per second of the best epoch but the first, and each epoch's loss, in ultralytics' own trainer.

    It calls what stands in its default callbacks, and our trainer is made of it: both are timed at the same places.
    """
    from ultralytics.utils.callbacks.base import default_callbacks

    speeds: list[float] = []
    begun: list[float] = []
    losses: list[float] = []

    def begin(_trainer: Any) -> None:
        begun.append(perf_counter())

    def end(trainer: Any) -> None:
        speeds.append(len(trainer.train_loader.dataset) / (perf_counter() - begun[-1]))
        losses.append(sum(float(part) for part in trainer.tloss.values()))

    default_callbacks["on_train_epoch_start"].append(begin)
    default_callbacks["on_train_epoch_end"].append(end)
    try:
        job()
    finally:
        default_callbacks["on_train_epoch_start"].remove(begin)
        default_callbacks["on_train_epoch_end"].remove(end)
    return max(speeds[1:]), losses


def training(options: Asked, weights: Path, folder: Path) -> None:
    if not (options.data / "manifest.json").is_file():
        EVERYBODY.print("Training: skipped, there is no built set to train on (--data).")
        return
    from ultralytics import YOLO

    architecture = load_card(weights, check=".onnx")[0].architecture
    part = Manifest.load(options.data).part(Split.TRAIN).spread(options.train_images)
    data, n = copied_set(part, folder), len(part.images)
    batch = 16

    def ours(precision: str) -> None:
        # Stock's rate, loss and mosaics: the losses can be compared, and the work is alike.
        stage = {"side_px": options.train_side, "epochs": EPOCHS, "lr": 0.00083, "lr_final": 0.01}
        strong = {"mosaic": 1.0, "brightness": 0.4, "degrees": 0.0, "translate": 0.1, "scale": 0.5}
        content = {"architecture": architecture, "data": folder, "stages": (stage,), "batch": batch}
        content |= {"augment": strong, "partial_labels": False, "precision": precision, "device": options.device}
        train(DetectionRecipe.model_validate(content), "bench", runs=folder / "runs")

    def stock() -> None:
        YOLO(f"{architecture}.yaml", verbose=False).train(
            data=str(data),
            epochs=EPOCHS,
            close_mosaic=0,  # as in all but the last ten epochs of a training
            imgsz=options.train_side,
            batch=batch,
            device=options.device,
            val=False,
            plots=False,
            verbose=False,
            project=str(folder / "stock"),
        )

    title = f"training {architecture}, {n} images of {options.train_side} px, batch {batch}, {_place(options)}"
    table = Table("", "images/s", "times", "loss, epoch by epoch", title=title, min_width=len(title))
    with EVERYBODY.status("training, stock"):
        theirs, their_losses = training_speed(stock)
    table.add_row("ultralytics", f"{theirs:.1f}", "1", _said(their_losses))
    in_bfloat16 = options.device == "cpu" and "BF16" in cpu_precisions()  # on a GPU both take what AMP takes
    for precision in ("float32", *(["bfloat16"] if in_bfloat16 else [])):
        with EVERYBODY.status(f"training, boxray, {precision}"):
            own, own_losses = training_speed(partial(ours, precision))
        table.add_row(
            f"boxray, {precision if options.device == 'cpu' else 'AMP'}",
            f"{own:.1f}",
            f"{own / theirs:.2f}",
            _said(own_losses),
        )
    EVERYBODY.print(table)


def _place(options: Asked) -> str:
    return "CPU" if options.device == "cpu" else f"GPU {options.device}"


def _said(losses: Iterable[float]) -> str:
    return " ".join(f"{loss:.2f}" for loss in losses)


def main() -> None:
    """Print the tables."""
    options = asked()
    load = os.getloadavg()[0]
    EVERYBODY.print(f"{os.cpu_count()} cores, load {load:.1f} at the start")
    if load > BUSY:
        EVERYBODY.print("[bold]The machine is busy: these figures are no statement about boxray or ultralytics.")
    torch.set_num_threads(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tame_ultralytics(folder / "state")
        weights, files = weights_of(options, folder), pictures_of(options, folder)
        reading(options, weights, files, folder / "state")
        limit(options, weights, folder / "state")
        if options.grow:
            memory(options, weights, files)
        if options.train_images:
            training(options, weights, folder / "set")


if __name__ == "__main__":
    main()
