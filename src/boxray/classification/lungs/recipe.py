"""What a training of the lung fields asks for."""

from __future__ import annotations

from pydantic import Field, model_validator

from boxray.runs.recipe import FilePath, StrictModel


class LungRecipe(StrictModel):
    """Everything that decides what comes out. The squares and their changes are those of the classifier's recipe."""

    classifier: FilePath
    """Card of a released classifier, its safetensors beside it: the backbone that both heads share."""
    data: FilePath
    """Built in the label space `lungs`."""
    masks: FilePath | None = None
    """A folder of the layout `covid_seg`, an archive (``.zip``), or ``torchxrayvision``, which is the archive of the
    installed package: where it has masks of an image's lungs, they teach in the boxes' place."""
    joint: bool = False
    """off: the backbone stays as released, and with it every answer on findings. on: all layers learn both."""
    findings: FilePath | None = None
    """Only with `joint`: the data set that the findings are learned from."""
    findings_weight: float = Field(default=1.0, ge=0)
    width: int = Field(default=32, ge=4)
    """Channels of the decoder."""
    epochs: int = Field(default=12, ge=1)
    lr: float = Field(default=0.003, gt=0)
    backbone_lr: float = Field(default=1e-4, gt=0)
    """Only with `joint`."""
    weight_decay: float = Field(default=0.01, ge=0)
    batch: int = Field(default=16, ge=2)
    seed: int = 0
    device: str = "cpu"
    outside: float = Field(default=4.0, ge=0)
    """Weight of what a box leaves out: most of the square, so that its mean says little of the cells beside the box."""
    likeness: float = Field(default=1.0, ge=0)
    """Weight of the term that holds neighbours of like shade together."""
    likeness_from: int = Field(default=3, ge=1)
    """The epoch from which it has its full weight; before, it grows: the boxes come first."""
    alike_below: float = Field(default=12.0, gt=0, le=255)
    """Shades of 255 by which like neighbours may differ."""

    @model_validator(mode="after")
    def _joint_needs_findings(self) -> LungRecipe:
        if self.joint != (self.findings is not None):
            raise ValueError("'joint: true' needs 'findings', the data set they are learned from, and only it does")
        return self
