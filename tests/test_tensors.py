from pathlib import Path

import numpy as np
import pytest

from built import same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.core.errors import ModelError  # noqa: E402
from boxray.engines import open_session  # noqa: E402
from boxray.tensors import TorchSession, read_tensors, write_graph, write_tensors  # noqa: E402


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"weight": torch.randn(3, 4), "steps": torch.tensor(7)}

    write_tensors(state, tmp_path / "a.safetensors")

    again = read_tensors(tmp_path / "a.safetensors")
    same_numbers(again["weight"], state["weight"])
    assert again["steps"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_halves_are_stored_in_sixteen_bits_and_read_in_thirty_two(tmp_path: Path) -> None:
    weight = torch.randn(64, 64)

    write_tensors({"weight": weight}, tmp_path / "a.safetensors", half=True)

    again = read_tensors(tmp_path / "a.safetensors")["weight"]
    assert again.dtype == torch.float32
    np.testing.assert_array_equal(again, weight.half().float())
    assert (tmp_path / "a.safetensors").stat().st_size < 64 * 64 * 2 + 200


def test_a_graph_answers_as_its_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU()).eval()

    write_graph(network, 32, ["output"], tmp_path / "a.onnx")

    pixels = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    (ours,) = open_session(tmp_path / "a.onnx", "onnxruntime").run(pixels).values()
    np.testing.assert_allclose(ours, network(torch.from_numpy(pixels)).detach(), atol=1e-5)


class Twice(torch.nn.Module):
    """Its input doubled, and its input."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2 * pixels, pixels


def test_a_network_as_a_session_gives_its_outputs_by_name():
    pixels = np.ones((1, 3, 2, 2), dtype=np.float32)

    outputs = TorchSession(Twice(), ("double", "same")).run(pixels)
    (single,) = TorchSession(torch.nn.Identity(), ("same",)).run(pixels).values()

    assert outputs["double"].tolist() == (2 * pixels).tolist()
    assert outputs["same"].tolist() == single.tolist() == pixels.tolist()


def test_a_network_whose_answer_is_no_number_is_refused():
    with pytest.raises(ModelError, match="'same' holds values that are no finite numbers"):
        TorchSession(torch.nn.Identity(), ("same",)).run(np.full((1, 2), np.nan, dtype=np.float32))
