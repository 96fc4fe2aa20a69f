"""The branch that scores classes, cut from the 80 classes of start weights to the few findings of ours.

ultralytics makes that branch as wide as there are classes, within limits: 80 channels for COCO's 80 classes, 64 for
eight findings. By shape alone none of its layers fits, and stock training leaves the branch random. Here the channels
stay that carry most: by the factor of their normalization (Liu et al., "network slimming", ICCV 2017) times what the
next layer makes of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

_FIRST_LAYER: Final = re.compile(r"(.+\.cv3\.\d+)\.0\.conv\.weight")
"""Of YOLOv5 and YOLOv8: two convolutions, and a third that gives the classes. YOLO11 and YOLO12 build theirs
otherwise, and are left as they are."""

_PER_CHANNEL: Final = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")


def narrowed(wide: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """The tensors of start weights, those of the branches that score classes cut to the width of the network.

    Args:
        wide: State of a network of YOLOv8's form.
        shapes: Of the tensors of the network that begins with it, by the same names.

    Returns:
        All tensors of `wide`; those of a branch that is not wider than asked for are untouched. The last layer of
        each branch, which gives the classes, stays as it is and does not fit.
    """
    state = dict(wide)
    for key in wide:
        if found := _FIRST_LAYER.fullmatch(key):
            state.update(_narrowed_branch(wide, shapes, found[1]))
    return state


def _narrowed_branch(
    wide: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size], branch: str
) -> dict[str, torch.Tensor]:
    import torch

    cut: dict[str, torch.Tensor] = {}
    first, second, classes = f"{branch}.0", f"{branch}.1", f"{branch}.2"
    comes_in = torch.arange(wide[f"{first}.conv.weight"].shape[1])
    for layer, onward in ((first, f"{second}.conv.weight"), (second, f"{classes}.weight")):
        weights = wide[f"{layer}.conv.weight"]
        width = shapes.get(f"{layer}.conv.weight", weights.shape)[0]
        carries = wide[f"{layer}.bn.weight"].abs() * wide[onward].abs().sum(dim=(0, 2, 3))
        stay = carries.topk(min(width, len(carries))).indices.sort().values
        cut[f"{layer}.conv.weight"] = weights[stay][:, comes_in]
        cut |= {f"{layer}.{part}": wide[f"{layer}.{part}"][stay] for part in _PER_CHANNEL}
        comes_in = stay
    return cut
