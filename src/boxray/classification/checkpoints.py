"""What a training of the classifier or of the lungs leaves after every epoch, and goes on from after a cut."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from boxray.tensors import read_tensors, write_tensors


def save_epoch(network: nn.Module, folder: Path, epoch: int, *, kept: int = 1) -> None:
    """Write the checkpoint of an epoch whole, then remove what is older than the last `kept`."""
    write_tensors(network.state_dict(), folder / _name(epoch))
    (folder / _name(epoch - kept)).unlink(missing_ok=True)


def load_last_epoch(network: nn.Module, folder: Path) -> int:
    """Load the last checkpoint and give its epoch; 0, and the network as it was, if there is none."""
    found = _checkpoints(folder)
    if not found:
        return 0
    network.load_state_dict(read_tensors(found[-1]))
    return _epoch_of(found[-1])


def average_of_last(n: int, folder: Path) -> dict[str, torch.Tensor]:
    """The mean of the last `n` checkpoints, batch statistics too; counters are the last one's. Empty: there is none."""
    states = [read_tensors(path) for path in _checkpoints(folder)[-n:]]
    if not states:
        return {}
    return {key: _mean([state[key] for state in states]) for key in states[-1]}


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(values).mean(dim=0) if values[-1].is_floating_point() else values[-1]


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*.safetensors"), key=_epoch_of)


def _name(epoch: int) -> str:
    return f"epoch-{epoch}.safetensors"


def _epoch_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.split("-")[1])
