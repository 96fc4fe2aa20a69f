"""What a training of the classifier asks for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from boxray.runs.recipe import Clahe, FilePath, StrictModel


class ClassificationRecipe(StrictModel):
    """Everything that decides what comes out. Two stages: the new head alone, then all layers."""

    architecture: Literal["mobilenet_v2"] = "mobilenet_v2"
    start: FilePath | None = None
    """Safetensors in torchvision's layout; None starts from random weights."""
    data: FilePath
    side_px: int = Field(default=320, ge=64, multiple_of=32)
    clahe: Clahe = Clahe()
    frozen_blocks: int = Field(default=0, ge=0)
    """The first blocks of the backbone that keep the start weights in both stages."""
    head_epochs: int = Field(default=2, ge=0)
    epochs: int = Field(default=5, ge=0)
    head_lr: float = Field(default=0.002, gt=0)
    lr: float = Field(default=0.0003, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    batch: int = Field(default=16, ge=1)
    seed: int = 0
    device: str = "cpu"
    assumption_weight: float = Field(default=0.5, ge=0, le=1)
    """Weight of a negative where a card only assumes that a finding is absent."""
    at_most: dict[str, int] = Field(default_factory=dict)
    """Per source, how many training images are drawn (with the seed)."""
    brightness: float = Field(default=0.15, ge=0, lt=1)
    scale: float = Field(default=0.12, ge=0, lt=1)
    degrees: float = Field(default=7.0, ge=0, le=20)
    translate: float = Field(default=0.05, ge=0, le=0.5)
