"""Weights of a detector of two convolutions that nobody trained: a graph and its card, for the findings of `built`."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from boxray.weights import save_card
from built import TWO
from making import detector_card

SIDE = 64


def tiny_graph(path: Path, seed: int = 0) -> None:
    """Two convolutions, the second with the name of those that stay float; output (1, 4 + 2, 4) in [0, 1]."""
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Conv", ["pixels", "first"], ["half"], "/model.0/Conv", strides=[8, 8]),
        helper.make_node("Conv", ["half", "second"], ["cells"], "/model.22/dfl/conv/Conv", strides=[4, 4]),
        helper.make_node("Sigmoid", ["cells"], ["scores"]),
        helper.make_node("Reshape", ["scores", "shape"], ["output"]),
    ]
    tensors = [
        numpy_helper.from_array(rng.normal(size=(8, 3, 8, 8)).astype(np.float32) / 8, "first"),
        numpy_helper.from_array(rng.normal(size=(6, 8, 4, 4)).astype(np.float32) / 8, "second"),
        numpy_helper.from_array(np.array([1, 6, 4]), "shape"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("pixels", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [value("output", TensorProto.FLOAT, (1, 6, 4))],
        tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def tiny_weights(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    tiny_graph(folder / "tiny.onnx", seed)
    card = detector_card(TWO, ("fluid",), SIDE, {"fluid": 0.5}, name="tiny", sha256={})
    return save_card(card, folder)
