"""What the detector itself sees in an image: its last backbone layer, pooled to one vector. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.data.manifest import Manifest
from boxray.detection.detect import prepare
from boxray.detection.release import trained_network


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

    network.to(memory_format=torch.channels_last)
    last_of_backbone = len(network.yaml["backbone"]) - 1
    seen: list[FloatArray] = []
    with torch.inference_mode():
        for picture in manifest.images["picture"]:
            batch, _ = prepare(manifest.radiograph(picture), card)
            (pooled,) = network.predict(torch.from_numpy(batch), embed=[last_of_backbone])  # goes no further
            seen.append(pooled.numpy())
            progress()
    return np.stack(seen) if seen else np.empty((0, 0), dtype=np.float32)
