"""What the detector itself sees in an image: its last backbone layer, pooled to one vector. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.data.manifest import Manifest
from boxray.detection.detect import prepare
from boxray.detection.release import trained_network

if TYPE_CHECKING:
    import torch


def pooled_features(
    weights: Path, manifest: Manifest, state: Path, progress: Callable[[], None] = lambda: None
) -> FloatArray:
    """The mean over the image of every channel of the backbone's last layer.

    Args:
        weights: Card or tensors, and the ``.safetensors`` must be there; or the folder of a finished run.
        manifest: Whose images to look at, in its order.
        state: Folder for ultralytics' settings.
        progress: Called after every image.

    Returns:
        Shape ``(I, C)``, float32; no image gives ``(0, 0)``. The grey padding of the letterbox
        is part of the mean, as it is of what the head sees.

    Raises:
        MissingExtra: If torch or ultralytics is not installed.
        ModelError: If the tensors are missing or not those of the card.
    """
    network: Any
    card, network = trained_network(weights, state)
    import torch

    last_of_backbone = network.model[len(network.yaml["backbone"]) - 1]
    seen: list[FloatArray] = []

    def keep(_layer: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        seen.append(output.mean(dim=(0, 2, 3)).numpy())  # (1, C, h, w) to (C,)

    hook = last_of_backbone.register_forward_hook(keep)
    with torch.inference_mode():
        for picture in manifest.images["picture"]:
            batch, _ = prepare(manifest.radiograph(picture), card)
            network(torch.from_numpy(batch))
            progress()
    hook.remove()
    return np.stack(seen) if seen else np.empty((0, 0), dtype=np.float32)
