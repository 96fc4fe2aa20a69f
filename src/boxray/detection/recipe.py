"""What a training of the detector asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from boxray.runs.recipe import AS_LIST, Clahe, FilePath, Precision, StrictModel

Architecture = Literal[
    "yolov8n", "yolov8s", "yolov8m", "yolov8l", "yolov8x",
    "yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x",
    "yolov9t", "yolov9s", "yolov9m", "yolov9c", "yolov9e",
    "yolo11n", "yolo11s", "yolo11m", "yolo11l", "yolo11x",
    "yolo12n", "yolo12s", "yolo12m", "yolo12l", "yolo12x",
]  # fmt: skip
"""The detectors of ultralytics that have YOLOv8's head and loss, which is where partial labels enter. Those with
another head (RT-DETR, YOLOv10, YOLO26) would be taught that the unknown is background: there are none."""


GRID_PX = 32
"""Five halvings lie between the square and the coarsest grid: its side is a multiple of this."""


class Stage(StrictModel):
    """Some epochs at one size. Small sizes first cost little and learn most of what there is to learn."""

    side_px: int = Field(ge=GRID_PX, multiple_of=GRID_PX)
    """Side of the square."""
    epochs: int = Field(ge=1)
    lr: float = Field(gt=0)
    lr_final: float = Field(default=0.05, gt=0, le=1)
    """Last learning rate as a share of the first; it falls linearly."""


class Augment(StrictModel):
    """Random changes that leave a radiograph a radiograph.

    No flip (the heart has a side) and no colour. No mixing of two films in one place either (mixup,
    copy-paste): a place would then be known only for what both films know, which is next to nothing when
    the two come from different sources.
    """

    mosaic: float = Field(default=0.0, ge=0, le=1)
    """Share of the pictures that are put together from four films, each with its own mask."""
    close_mosaic: int = Field(default=0, ge=0)
    """The last epochs of the whole training, over all its stages, that see single films only."""
    brightness: float = Field(default=0.3, ge=0, lt=1)
    """Grey values times 1 ± so much."""
    gamma: float = Field(default=0.0, ge=0, lt=1)
    """Exponent of the grey values, up to 1 + so much or one over that."""
    windowing: float = Field(default=0.0, ge=0, lt=0.5)
    """At most so large a share of the pixels is cut off at either end before the rest is stretched to full contrast."""
    coarsen: float = Field(default=0.0, ge=0, lt=1)
    """At most so large a share of the side's pixels is lost before the film is enlarged again: how sharp a film is must
    not tell where it comes from."""
    grain: float = Field(default=0.0, ge=0, lt=0.5)
    """Noise of at most this deviation, as a share of the scale of grey: nor must grain tell that."""
    degrees: float = Field(default=5.0, ge=0, le=20)
    translate: float = Field(default=0.08, ge=0, le=0.5)
    scale: float = Field(default=0.2, ge=0, lt=1)


class DetectionRecipe(StrictModel):
    """Everything that decides what comes out. What is not here is not configurable."""

    architecture: Architecture = "yolov8n"
    start: FilePath | None = None
    """Safetensors to start from; those of a network half as wide and as deep are doubled. None: random weights."""
    data: FilePath
    """Folder of a built data set."""
    stages: Annotated[tuple[Stage, ...], AS_LIST, Field(min_length=1)]
    batch: int = Field(default=16, ge=1)
    """Pictures in a step, over all processes together."""
    pictures_per_update: int = Field(default=64, ge=1)
    """Batches are gathered until they hold so many, then the weights move once. Stock's 64 leaves a short training
    few updates."""
    average_age: float | None = Field(default=None, gt=0, le=0.5)
    """The weights that come out are an average whose mean age is this share of the updates made so far, however many
    these are (Karras et al., CVPR 2024, section 3). None: stock's average, which in a few hundred updates hardly
    reaches back."""
    keep_start: float = Field(default=0.0, ge=0, lt=1)
    """How far the weights that come out stay with those of `start`, as the network began with them (doubled, where it
    is twice as wide); they must be of the same findings then (`boxray.detection.blending`). 0: as trained."""
    seed: int = 0
    device: str = "cpu"
    """``cpu``, or the numbers of GPUs such as ``0`` or ``0,1``; each has a process of its own."""
    processes: int = Field(default=1, ge=1)
    """Of a CPU: how many share a batch (gloo). One is faster on one machine; more are there to be tested."""
    precision: Precision = "float32"
    """Of the network on a CPU. bfloat16 is faster only where the CPU has units for it (AVX512-BF16, AMX)."""
    frozen_layers: int = Field(default=0, ge=0)
    """The first layers that keep the start weights: on a CPU their backward pass costs a third of the whole."""
    partial_labels: bool = True
    """off: what stock YOLO does: all that is not boxed is background, whether anybody looked or not."""
    assumption_weight: float = Field(default=0.5, ge=0, le=1)
    """Weight of background where a card only assumes that a finding is absent."""
    present_weight: float = Field(default=0.0, ge=0)
    """Weight of the loss for a finding that is present without a box: some place of the film must fire. 0: no loss."""
    at_most: dict[str, int] = Field(default_factory=dict)
    """Per source, how many training images are drawn (with the seed)."""
    repeat: dict[str, int] = Field(default_factory=dict)
    """Per finding, how often an image boxed for it is shown in an epoch."""
    sampling: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Per source, how many of its showings an epoch has, as a multiple of all; which ones is drawn anew each time."""
    hide: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Per finding, the share of the training patients in whose images it is made unknown: for experiments."""
    hide_by: Literal["chance", "brightness"] = "chance"
    """Which patients those are: any, or of each source those of the brightest films, so that unknown has a look."""
    clahe: Clahe | None = None
    augment: Augment = Augment()

    @model_validator(mode="before")
    @classmethod
    def _read_former_word(cls, content: Any) -> Any:
        """Older runs say `unknown: mask` or `unknown: background`; they can still be released."""
        if not isinstance(content, dict) or "partial_labels" in content or "unknown" not in content:
            return content
        meant = {"mask": True, "background": False}
        if content["unknown"] not in meant:
            return content
        rest = {key: value for key, value in content.items() if key != "unknown"}
        return {**rest, "partial_labels": meant[content["unknown"]]}

    @model_validator(mode="after")
    def _has_what_it_keeps(self) -> DetectionRecipe:
        if self.keep_start and self.start is None:
            raise ValueError("keep_start keeps a share of the start weights; name them, or set it to 0")
        return self

    @model_validator(mode="after")
    def _shares_its_batch(self) -> DetectionRecipe:
        if self.device != "cpu" and self.processes != 1:
            raise ValueError("processes are counted on a CPU only; on GPUs there is one for each that device names")
        if self.batch % self.world_size:
            raise ValueError(f"a batch of {self.batch} cannot be shared by {self.world_size} processes")
        return self

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self.processes if self.device == "cpu" else len(self.device.split(","))

    def epochs_without_mosaic(self, number: int) -> int:
        """How many of the last epochs of stage `number`, counted from 0, belong to the training's last ones."""
        later = sum(stage.epochs for stage in self.stages[number + 1 :])
        return min(max(self.augment.close_mosaic - later, 0), self.stages[number].epochs)
