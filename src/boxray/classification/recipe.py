"""What a training of the classifier asks for."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from boxray.runs.recipe import Clahe, FilePath, Precision, StrictModel

Architecture = Literal["mobilenet_v2", "vgg16", "inception_v3", "resnet50", "densenet121"]

Shades = Literal["symmetric", "imagenet"]
"""What start weights were trained on: shades in [-1, 1], or mean 0 and deviation 1 on ImageNet as torchvision's."""

SIDE_PX: Final = MappingProxyType(
    {"mobilenet_v2": 224, "vgg16": 224, "inception_v3": 299, "resnet50": 224, "densenet121": 224}
)
"""The square that each backbone was designed for."""


class ImageFolder(StrictModel):
    """Pictures sorted into folders by class, to be built into the recipe's data set before the training."""

    folder: FilePath
    """Holds ``<class>/`` or ``train|val|test/<class>/``."""
    card: str
    """Says what the folders' names mean: a name of data/cards."""
    label_space: str
    """A name of data/label_spaces, or a YAML file."""


class ClassificationRecipe(StrictModel):
    """Everything that decides what comes out. Two stages: the new head alone, then all layers."""

    architecture: Architecture = "mobilenet_v2"
    start: FilePath | None = None
    """Safetensors in torchvision's layout; None starts from random weights."""
    shades: Shades = "symmetric"
    data: FilePath
    """Folder of a built data set."""
    image_folder: ImageFolder | None = None
    """Where `data` is built from first; None takes it as it is."""
    side_px: int = Field(ge=64)
    """Side of the square; left out, that of the backbone's designers."""
    clahe: Clahe | None = Clahe()
    """null leaves the shades as they are."""
    cam_layer: str | None = None
    """Where torch makes the Grad-CAM maps of the run, such as ``features.denseblock3``. null, and all that is released:
    the last features, whose map needs no gradient."""
    frozen_blocks: int = Field(default=0, ge=0)
    """The first blocks of the backbone, by torchvision's names, that keep the start weights in both stages."""
    keep_statistics: bool = False
    """Normalize by the start weights' statistics in the second stage too, not by each batch's: the head has learned
    from features that were normalized so, and learning rates as small as the default do not make up for the change."""
    head_epochs: int = Field(default=5, ge=0)
    epochs: int = Field(default=10, ge=0)
    averaged_epochs: int = Field(default=1, ge=1)
    """The last epochs, whose weights are averaged and whose learning rate stays that of the first of them: stochastic
    weight averaging (Izmailov et al., UAI 2018). 1 takes the last epoch's weights as they are."""
    head_lr: float = Field(default=1e-3, gt=0)
    lr: float = Field(default=1e-5, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    batch: int = Field(default=16, ge=1)
    seed: int = 0
    device: str = "cpu"
    precision: Precision = "float32"
    """Of the convolutions; the loss and the weights are float32. On a CPU bfloat16 is faster only where that has units
    for it (AVX512-BF16, AMX)."""
    partial_labels: bool = True
    """off: what is unknown counts as absent, as where findings are learned from a table of ones and zeros."""
    assumption_weight: float = Field(default=0.5, ge=0, le=1)
    """Weight of a negative where a card only assumes that a finding is absent; of classes that exclude each other it
    says nothing: an image rules out as many as its card assumes."""
    pointing: float = Field(default=0.0, ge=0)
    """Weight of the loss by which a map learns to point into the boxes, where there are any; 0: from labels alone."""
    at_most: dict[str, int] = Field(default_factory=dict)
    """Per source, how many training images are drawn (with the seed)."""
    brightness: float = Field(default=0.15, ge=0, lt=1)
    scale: float = Field(default=0.12, ge=0, lt=1)
    degrees: float = Field(default=7.0, ge=0, le=20)
    translate: float = Field(default=0.05, ge=0, le=0.5)
    coarsen: float = Field(default=0.0, ge=0, lt=1)
    """At most so large a share of the side's pixels is lost before the picture is enlarged again: how sharp a film is
    must not tell where it comes from."""
    grain: float = Field(default=0.0, ge=0, lt=0.5)
    """Noise of at most this deviation, as a share of the scale of grey: nor must grain tell that."""
    flip: bool = False
    """Mirror every other picture; only in a label space of which a mirrored picture is still one."""

    @model_validator(mode="before")
    @classmethod
    def _take_the_designers_side(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "side_px" in content:
            return content
        return {**content, "side_px": SIDE_PX.get(content.get("architecture", "mobilenet_v2"), 224)}

    @model_validator(mode="after")
    def _shades_are_the_backbones(self) -> ClassificationRecipe:
        if self.architecture == "inception_v3" and self.shades == "imagenet":
            raise ValueError("torchvision's Inception-v3 was trained on shades in [-1, 1]: leave `shades` out")
        return self

    @model_validator(mode="after")
    def _average_epochs_of_all_layers(self) -> ClassificationRecipe:
        if self.averaged_epochs > max(1, self.epochs):
            raise ValueError(
                f"averaged_epochs={self.averaged_epochs}, but all layers learn for {self.epochs} epochs only"
            )
        return self
