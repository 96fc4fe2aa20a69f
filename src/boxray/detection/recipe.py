"""What a training of the detector asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from boxray.runs.recipe import StrictModel


class Stage(StrictModel):
    """Some epochs at one size. Small sizes first cost little and learn most of what there is to learn."""

    side_px: int = Field(ge=32, multiple_of=32)
    """Side of the square; five halvings lie between it and the coarsest grid."""
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    lr_final: float = Field(default=0.05, gt=0, le=1)
    """Last learning rate as a share of the first; it falls linearly."""


class Augment(StrictModel):
    """Random changes that leave a radiograph a radiograph.

    No flip (the heart has a side), no mosaic (a film has one source, and what is unknown there is masked
    per film), no colour.
    """

    brightness: float = Field(default=0.3, ge=0, lt=1)
    degrees: float = Field(default=5.0, ge=0, le=20)
    translate: float = Field(default=0.08, ge=0, le=0.5)
    scale: float = Field(default=0.2, ge=0, lt=1)


class DetectionRecipe(StrictModel):
    """Everything that decides what comes out. What is not here is not configurable."""

    architecture: Literal["yolov8n", "yolov8s", "yolov8m"] = "yolov8n"
    start: Path | None = None
    """Safetensors to start from; None starts from random weights."""
    data: Path
    """Folder of a built data set."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    batch: int = Field(default=16, ge=1)
    seed: int = 0
    device: str = "cpu"
    frozen_layers: int = Field(default=0, ge=0)
    """The first layers that keep the start weights: on a CPU their backward pass costs a third of the whole."""
    unknown: Literal["mask", "background"] = "mask"
    """What an unknown finding does in the loss: nothing, or what stock YOLO does with it."""
    assumption_weight: float = Field(default=0.5, ge=0, le=1)
    """Weight of background where a card only assumes that a finding is absent."""
    at_most: dict[str, int] = Field(default_factory=dict)
    """Per source, how many training images are drawn (with the seed)."""
    repeat: dict[str, int] = Field(default_factory=dict)
    """Per finding, how often an image boxed for it is shown in an epoch."""
    augment: Augment = Augment()
