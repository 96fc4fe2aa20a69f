"""Maps at any layer of any network, for all findings by one forward pass and one batched backward pass. Needs torch.

Where the layer is the last before pooling and a linear head no gradient is needed at all: `classify.CamClassifier`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from boxray.classification.explain import EPSILON, GRADIENT_METHODS, gradient_map
from boxray.core.arrays import FloatArray
from boxray.core.errors import ModelError
from boxray.core.finite import require_finite

LAST_FEATURES = "features"
"""Of a `PooledClassifier`: what is pooled."""


class LayerSession:
    """A network as a session whose Grad-CAM maps are made at another layer than the last features."""

    lanes = 1
    outputs = ("logits", "maps")

    def __init__(self, network: nn.Module, layer: str) -> None:
        """A network in evaluation mode, and the dotted name of one of its layers.

        Raises:
            ModelError: If there is no such layer.
        """
        find_layer(network, layer)
        self._network = network
        self._layer = layer

    def run(self, inputs: FloatArray, only: Sequence[str] | None = None) -> Mapping[str, FloatArray]:
        """Logits ``(B, F)`` and maps ``(B, F, h, w)`` for a float32 batch; with `only`, those of these names.

        Raises:
            ModelError: If a number that comes out is not finite, or the layer gives no features with places.
        """
        pixels, found = torch.from_numpy(inputs), {}
        wanted = self.outputs if only is None else only
        if "logits" in wanted:
            with torch.inference_mode():
                found["logits"] = self._network(pixels).numpy()
        if "maps" in wanted:
            found["maps"] = layer_maps(self._network, pixels, ("grad_cam",), self._layer)["grad_cam"]
        return {name: require_finite(name, found[name]) for name in wanted}


def layer_maps(
    network: nn.Module,
    pixels: torch.Tensor,
    methods: Sequence[str] = GRADIENT_METHODS,
    layer: str | None = None,
    epsilon: float = EPSILON,
) -> dict[str, FloatArray]:
    """Maps of all findings at one layer.

    Args:
        network: Gives logits ``(B, F)``; it is asked in evaluation mode and left in the mode it was in.
        pixels: Shape ``(B, 3, S, S)``, what the network takes, on its device.
        methods: Of `GRADIENT_METHODS`.
        layer: Dotted name of a layer that gives ``(B, K, h, w)``, such as ``features.denseblock3``;
            None means the last features of a `PooledClassifier`.
        epsilon: As `gradient_map` has it.

    Returns:
        Per method shape ``(B, F, h, w)``, raw, >= 0; the grid covers the square.

    Raises:
        ModelError: If there is no such layer (those that there are where the name goes astray are listed), if it is
            passed several times or never, or gives no features with places.
        ValueError: If there is no such method.
    """
    features, gradients = features_and_gradients(network, pixels, layer)
    return {
        method: np.stack(
            [gradient_map(method, one, gradients[:, number], epsilon) for number, one in enumerate(features)]
        )
        for method in methods
    }


def features_and_gradients(
    network: nn.Module, pixels: torch.Tensor, layer: str | None = None
) -> tuple[FloatArray, FloatArray]:
    """What a layer gives, and how each logit changes with it; arguments and errors as `layer_maps` has them.

    Returns:
        Features of shape ``(B, K, h, w)`` and gradients of shape ``(F, B, K, h, w)``.
    """
    name = LAST_FEATURES if layer is None else layer
    watched = find_layer(network, name)
    held: list[torch.Tensor] = []

    def hold(_module: nn.Module, _inputs: Any, output: Any) -> torch.Tensor:
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ModelError(f"layer {name!r} gives {shape}, and a map needs (B, K, h, w); choose an earlier layer")
        torch.set_grad_enabled(True)  # from here on; what lies before costs no memory
        held.append(output.detach().requires_grad_())
        return held[-1].clone()  # what comes next may work in place (torchvision's ReLU does)

    was_training = network.training
    hook = watched.register_forward_hook(hold)
    try:
        network.eval()
        with torch.no_grad():  # its end also undoes what the hook switched
            logits = network(pixels)
        if len(held) != 1:
            raise ModelError(f"layer {name!r} is passed {len(held)} times by a picture; choose one that is passed once")
        gradients = _gradients_of_each(logits, held[0])
    finally:
        hook.remove()
        network.train(was_training)
    return held[0].detach().cpu().numpy(), gradients.cpu().numpy()


def _gradients_of_each(logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Shape ``(F, B, K, h, w)``: all findings go back together, each picture by itself."""
    n_findings = logits.shape[1]
    each = torch.eye(n_findings, dtype=logits.dtype, device=logits.device)[:, None].expand(-1, len(logits), -1)
    (gradients,) = torch.autograd.grad(logits, features, each, is_grads_batched=True)
    return gradients


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """A part of a network by its dotted name.

    Raises:
        ModelError: If there is none; the names at the place where it goes astray are listed.
    """
    here, gone = network, ""
    for step in name.split("."):
        children = dict(here.named_children())
        if step not in children:
            where = f"in {gone!r}" if gone else "at the top"
            there = ", ".join(f"{gone}.{child}".lstrip(".") for child in children) or "none: it has no parts"
            raise ModelError(f"there is no layer {name!r}; layers {where}: {there}")
        here, gone = children[step], f"{gone}.{step}".lstrip(".")
    return here
