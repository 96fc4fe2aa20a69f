"""Tensors on disk, graphs out of networks, networks as sessions: what both models share. Needs the extra [train].

Weights are safetensors, never pickles. A file appears whole or not at all.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from boxray.core.arrays import FloatArray
from boxray.core.errors import MissingExtra, ModelError
from boxray.core.finite import require_finite

if TYPE_CHECKING:
    import torch

State = Mapping[str, "torch.Tensor"]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """A state, floating-point tensors as float32 whatever they are stored as.

    Raises:
        MissingExtra: If torch is not installed.
    """
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("reading tensors", "train") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}


def write_tensors(state: State, path: Path, *, half: bool = False) -> None:
    """Write a state; `half` rounds floating-point tensors to float16, for release."""
    from safetensors.torch import save

    stored = {key: value.half() if half and value.is_floating_point() else value for key, value in state.items()}
    temporary = path.with_suffix(".part")
    try:
        temporary.write_bytes(save({key: value.detach().cpu().contiguous() for key, value in stored.items()}))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # a full disk is left no fuller


def write_graph(network: torch.nn.Module, side_px: int, outputs: Sequence[str], path: Path) -> None:
    """Export a network in evaluation mode as ONNX, with one input ``pixels (1, 3, S, S)``."""
    import torch

    example = torch.zeros(1, 3, side_px, side_px)
    with warnings.catch_warnings():
        # The exporter that traces is called old; the new one wants a further library and writes larger graphs.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["pixels"],
            output_names=list(outputs),
            opset_version=17,
            dynamo=False,
        )


class TorchSession:
    """A network itself as a session: what the exported graph must equal, and how training tensors are judged."""

    lanes = 1

    def __init__(self, network: torch.nn.Module, names: Sequence[str], device: str = "cpu") -> None:
        """A network in evaluation mode.

        Args:
            network: Of one input.
            names: Of its outputs, in order.
            device: As torch names it; ``cuda`` for a GPU.

        Raises:
            ModelError: If a GPU is asked for and there is none.
        """
        import torch

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(f"torch finds no GPU for {device!r} on this machine; take cpu")
        self._network = network.to(device).to(memory_format=torch.channels_last)  # a tenth faster on a CPU
        self._names = tuple(names)
        self._device = device

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes out."""
        return self._names

    def run(self, inputs: FloatArray, only: Sequence[str] | None = None) -> Mapping[str, FloatArray]:
        """Outputs by name for a float32 batch; with `only`, those of these names.

        Raises:
            ModelError: If a number that comes out is not finite.
        """
        import torch

        with torch.inference_mode():
            answer = self._network(torch.from_numpy(inputs).to(self._device))
        outputs = (answer,) if isinstance(answer, torch.Tensor) else answer
        wanted = self._names if only is None else only
        found = dict(zip(self._names, outputs, strict=True))
        return {name: require_finite(name, found[name].cpu().numpy()) for name in wanted}
