"""The one file that knows ultralytics: its hygiene, its trainer with our loss, its export.

What ultralytics does unasked is switched off here before it is imported: it looks up hosts, installs
packages, reports usage, executes code in checkpoints and in a data file's `download:` key, rewrites JPEGs in place,
and drops a whole image for one bad row. It sees only pictures and labels that we wrote.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from boxray.core.arrays import FloatArray
from boxray.core.errors import MissingExtra, ModelError
from boxray.detection.recipe import DetectionRecipe, Stage

if TYPE_CHECKING:
    import torch

ENVIRONMENT = {
    "YOLO_OFFLINE": "1",  # no look-up of hosts at import, no usage reports, no weights by name
    "YOLO_AUTOINSTALL": "0",  # no pip at run time
    "ULTRALYTICS_SAFE_LOAD": "1",  # no code out of a checkpoint
    "YOLO_VERBOSE": "false",
}


def tame_ultralytics(state: Path) -> None:
    """Set ultralytics' switches, before its first import in this process.

    Args:
        state: Folder for its settings; nothing is written to the user's home.

    Raises:
        MissingExtra: If the extra [train] is not installed.
    """
    state.mkdir(parents=True, exist_ok=True)
    os.environ.update(ENVIRONMENT)
    os.environ["YOLO_CONFIG_DIR"] = str(state.resolve())
    try:
        from ultralytics import settings
    except ImportError as error:
        raise MissingExtra("training a detector", "train") from error
    reporting = ("sync", "clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "tensorboard", "wandb")
    settings.update({key: False for key in reporting if key in settings})
    logging.getLogger("ultralytics").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class StageFiles:
    """What a stage reads: lists of pictures and the weight of every cell, by the picture's path."""

    data_yaml: Path
    weights_by_picture: Mapping[str, FloatArray]


def write_stage_files(
    folder: Path, names: tuple[str, ...], pictures: list[str], times: list[int], cells: FloatArray
) -> StageFiles:
    """Write the list of pictures (repeated as asked) and a data file of our own with absolute paths only."""
    folder.mkdir(parents=True, exist_ok=True)
    repeated = [picture for picture, n in zip(pictures, times, strict=True) for _ in range(n)]
    listing = folder / "pictures.txt"
    listing.write_text("".join(f"{picture}\n" for picture in repeated), encoding="utf-8")
    data_yaml = folder / "data.yaml"
    # ultralytics wants a validation list; we judge by our own evaluation, so it only ever opens one picture.
    one = folder / "one_picture.txt"
    one.write_text(f"{pictures[0]}\n", encoding="utf-8")
    content = {"train": str(listing.resolve()), "val": str(one.resolve()), "names": dict(enumerate(names))}
    data_yaml.write_text(yaml.safe_dump(content), encoding="utf-8")
    by_picture = dict(zip(pictures, cells.astype(np.float32), strict=True))
    return StageFiles(data_yaml, by_picture)


def train_stage(
    recipe: DetectionRecipe,
    stage: Stage,
    files: StageFiles,
    folder: Path,
    start: Mapping[str, torch.Tensor] | None,
    threads: int | None,
) -> dict[str, torch.Tensor]:
    """Train one stage, or go on with it if `folder` holds a checkpoint.

    Args:
        recipe: Of the whole training.
        stage: The size, epochs and learning rates of this one.
        files: What `write_stage_files` wrote.
        folder: Of the stage; `weights/last.pt` in it is written whole after every epoch.
        start: State to begin with (float32); tensors of other shapes (another number of findings) are
            left as the architecture makes them. None starts from random weights.
        threads: Of a CPU; None takes all cores.

    Returns:
        The smoothed (EMA) state after the last epoch, float32.
    """
    import torch

    last = folder / "weights" / "last.pt"
    forget_label_caches(files)
    trainer = _trainer_class()(
        overrides={
            "task": "detect",
            "mode": "train",
            "model": f"{recipe.architecture}.yaml",
            "data": str(files.data_yaml),
            "imgsz": stage.side_px,
            "epochs": stage.epochs,
            "batch": recipe.batch,
            "seed": recipe.seed,
            "device": recipe.device,
            "deterministic": True,
            "project": str(folder.resolve().parent),
            "name": folder.name,
            "exist_ok": True,
            "resume": str(last) if last.is_file() else False,
            "optimizer": "AdamW",
            "lr0": stage.lr,
            "lrf": stage.lr_final,
            "warmup_epochs": 1.0,
            "patience": 0,
            "amp": recipe.device != "cpu",
            "plots": False,
            "val": False,
            "pretrained": False,
            "freeze": recipe.frozen_layers or None,
            "channels_last": True,
            **_augmentation(recipe),
        }
    )
    torch.set_num_threads(threads or os.cpu_count() or 1)  # making a trainer leaves one core idle
    trainer.cell_weights = files.weights_by_picture
    trainer.start_state = start
    try:
        trainer.train()
    finally:
        forget_label_caches(files)
    state: dict[str, torch.Tensor] = trainer.ema.ema.float().state_dict()
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}


def forget_label_caches(files: StageFiles) -> None:
    """Remove what ultralytics remembers of label files beside them.

    It trusts its memory when names and sizes are unchanged, so a corrected label of equal length would go
    unseen; and a built set is not the place for it.
    """
    for folder in {str(Path(picture).parent) for picture in files.weights_by_picture}:
        labels = "/labels".join(folder.rsplit("/images", 1))  # where ultralytics looks for them
        Path(labels).with_suffix(".cache").unlink(missing_ok=True)


def _augmentation(recipe: DetectionRecipe) -> dict[str, float]:
    augment = recipe.augment
    off = (
        "fliplr",
        "flipud",
        "mosaic",
        "mixup",
        "cutmix",
        "copy_paste",
        "hsv_h",
        "hsv_s",
        "shear",
        "perspective",
        "erasing",
        "bgr",
    )
    return {
        **dict.fromkeys(off, 0.0),
        "hsv_v": augment.brightness,
        "degrees": augment.degrees,
        "translate": augment.translate,
        "scale": augment.scale,
    }


def partial_label_loss(network: torch.nn.Module) -> Any:
    """The stock loss, in which a finding teaches nothing in an image where it is unknown.

    The batch carries `cell_weights` of shape ``(B, F)``; see `boxray.detection.weighting`. Boxes exist only
    where a finding is boxed, so that the losses of place and size need no mask.
    """
    from torch import nn
    from ultralytics.utils.loss import v8DetectionLoss

    class WeightedBCE(nn.Module):
        """Binary cross entropy of shape ``(B, anchors, F)`` in which each image weighs its findings."""

        def __init__(self, weights: torch.Tensor) -> None:
            super().__init__()
            self.weights = weights[:, None, :]  # (B, 1, F)

        def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            return losses * self.weights

    class PartialLabelLoss(v8DetectionLoss):  # type: ignore[misc]  # ultralytics has no types
        def get_assigned_targets_and_loss(self, preds: Any, batch: Any, **assign: Any) -> Any:
            self.bce = WeightedBCE(batch["cell_weights"])
            return super().get_assigned_targets_and_loss(preds, batch, **assign)

    return PartialLabelLoss(network)


def _trainer_class() -> Any:
    import torch
    from ultralytics.models.yolo.detect import DetectionTrainer

    class PartialLabelTrainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics has no types
        """The stock trainer with our loss, our start weights, whole checkpoints and no validation of its own."""

        cell_weights: Mapping[str, FloatArray]
        start_state: Mapping[str, torch.Tensor] | None
        last: Path
        best: Path

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            model = super().get_model(cfg, weights, verbose=verbose)
            if weights is None and self.start_state is not None:
                load_matching(model, self.start_state)
            return model

        def _setup_train(self) -> None:
            super()._setup_train()
            # The model stays the stock class, so that its checkpoints open in safe mode.
            self.model.criterion = partial_label_loss(self.model)

        def preprocess_batch(self, batch: Any) -> Any:
            batch = super().preprocess_batch(batch)
            rows = np.stack([self.cell_weights[path] for path in batch["im_file"]])
            batch["cell_weights"] = torch.from_numpy(rows).to(self.device)
            return batch

        def validate(self) -> tuple[dict[str, float], float]:
            return dict(self.metrics), 0.0

        def final_eval(self) -> None:
            pass

        def save_model(self) -> bool:
            final, self.last = self.last, self.last.with_suffix(".part")
            best, self.best = self.best, self.last  # no validation, so no best: only the last is kept
            try:
                super().save_model()
                self.last.replace(final)
            finally:
                self.last, self.best = final, best
            return True

    return PartialLabelTrainer


def load_matching(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Load the tensors whose shapes fit, and refuse if that is less than four fifths of them.

    The branch that scores findings is as wide as there are findings, so about a tenth never fits.
    """
    own = model.state_dict()
    fitting = {
        key: value.to(own[key].dtype) for key, value in state.items() if key in own and value.shape == own[key].shape
    }
    if len(fitting) < 0.8 * len(own):
        raise ModelError(f"start weights fit {len(fitting)} of {len(own)} tensors: they belong to another architecture")
    model.load_state_dict({**own, **fitting})


def build_network(architecture: str, n_findings: int, state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The network in evaluation mode; its output has shape ``(B, 4 + F, anchors)``: centre, size, scores."""
    from ultralytics.nn.tasks import DetectionModel

    network: Any = DetectionModel(f"{architecture}.yaml", nc=n_findings, verbose=False)
    network.load_state_dict(dict(state), strict=True)
    network.float().eval()
    head = network.model[-1]
    head.export, head.format = True, "onnx"  # one tensor out, no training outputs
    built: torch.nn.Module = network
    return built
