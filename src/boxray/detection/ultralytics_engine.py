"""The one file that knows ultralytics: its hygiene, its trainer with our data and our loss, its export.

What ultralytics does unasked is switched off here before it is imported: it looks up hosts, installs
packages, reports usage and executes code in checkpoints. It reads no data of its own: what it does there
(executing a data file's `download:` key, rewriting JPEGs in place, dropping a whole image for one bad row,
remembering labels beside them) cannot happen, because its batches come from `boxray.detection.films`.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from boxray.core.errors import MissingExtra, ModelError, ResourceError
from boxray.detection.films import FilmSet, TrainingImages
from boxray.detection.narrowing import narrowed
from boxray.detection.partial_loss import anchor_weights, film_under, present_losses, same_film
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.widening import widened
from boxray.runs.step import Step, Tell
from boxray.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    import torch

STAGE_STATE: Final = "ema.safetensors"
"""In a stage's folder: that the stage is done, and what came out."""

OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""How CUDA, torch's CPU allocator and the system say it."""

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


def train_stage(
    recipe: DetectionRecipe,
    number: int,
    names: tuple[str, ...],
    images: TrainingImages,
    folder: Path,
    start: Path | None,
    threads: int | None,
    tell: Tell,
) -> None:
    """Train one stage in this process, or go on with it if `folder` holds a checkpoint.

    `weights/last.pt` in the folder is replaced by a whole file after every epoch, and `STAGE_STATE` is written
    after the last: the smoothed (EMA) state, float32.

    Args:
        recipe: Of the whole training.
        number: Of the stage, from 0.
        names: The findings' keys.
        images: To train on.
        folder: Of the stage.
        start: Safetensors to begin with, of the same architecture or of one half as wide (`boxray.detection.widening`);
            of another number of findings (`boxray.detection.narrowing`), whose last layer is left as the architecture
            makes it. None starts from random weights.
        threads: Of a CPU; None takes all cores.
        tell: Called after every batch, in the first of several processes.

    Raises:
        ModelError: If a loss is not finite, or the start weights are of another architecture.
        ResourceError: If memory or disk are used up.
    """
    import torch

    tame_ultralytics(folder.parent / "ultralytics")
    stage = recipe.stages[number]
    last = folder / "weights" / "last.pt"
    begin = None if start is None else read_tensors(start)
    with said_plainly(recipe.batch, recipe.world_size):
        trainer = _trainer_class(recipe, names, images, begin)(
            overrides={
                "task": "detect",
                "mode": "train",
                "model": f"{recipe.architecture}.yaml",
                "data": "built",  # a word only: the trainer has its data from us
                "imgsz": stage.side_px,
                "epochs": stage.epochs,
                "batch": recipe.batch,
                "nbs": recipe.pictures_per_update,
                "seed": recipe.seed,
                "device": recipe.device,
                "deterministic": True,
                "project": str(folder.resolve().parent),
                "name": folder.name,
                "exist_ok": True,
                "save_dir": str(folder.resolve()),  # and not where the folder lay when its checkpoint was written
                "resume": str(last) if last.is_file() else False,
                "optimizer": "AdamW",
                "lr0": stage.lr,
                "lrf": stage.lr_final,
                "warmup_epochs": 1.0,
                "warmup_bias_lr": 0.0,  # else biases begin at SGD's 0.1, which takes start weights apart in 16 updates
                "patience": 0,
                "amp": False if recipe.device == "cpu" else _gpu_precision(),
                "plots": False,
                "val": False,
                "pretrained": False,
                "freeze": recipe.frozen_layers or None,
                "channels_last": recipe.device != "cpu",  # on a CPU ultralytics refuses, and we do it
                "close_mosaic": recipe.epochs_without_mosaic(number),
            }
        )
        cores = threads or os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // recipe.world_size))  # making a trainer leaves one core idle
        trainer.add_callback("on_train_batch_end", _require_finite_loss)
        if os.environ.get("RANK", "0") == "0":
            trainer.add_callback("on_train_batch_end", _teller(recipe, number, tell))
        trainer.train()


def _require_finite_loss(trainer: Any) -> None:
    _require_finite(trainer, "the loss is no number", trainer.loss_items.values())


def _require_finite_weights(trainer: Any) -> None:
    """Before a checkpoint is written: the stock one would hold zeros in their place, and the last good one be gone."""
    states = (trainer.model.state_dict(), trainer.ema.ema.state_dict())
    _require_finite(trainer, "weights are no numbers", (tensor for state in states for tensor in state.values()))


def _require_finite(trainer: Any, otherwise: str, tensors: Iterable[torch.Tensor]) -> None:
    if all(bool(tensor.isfinite().all()) for tensor in tensors):
        return
    raise ModelError(
        f"{otherwise} in epoch {trainer.epoch + 1} of the stage at {trainer.args.imgsz} px; the "
        "checkpoint of the last whole epoch is kept. Train with a lower lr, or precision=float32",
        "model.not_finite",
    )


def require_one_network(network: torch.nn.Module) -> None:
    """That all processes of this training hold the same parameters, as they must if they learned from each other.

    Raises:
        ModelError: In each of them, if they do not: each learned from its own share of the films alone.
    """
    import torch
    from torch import distributed

    parameters = list(network.parameters())
    ours = torch.stack([of.detach().double().norm() for of in parameters])
    everybodys = [torch.empty_like(ours) for _ in range(distributed.get_world_size())]
    distributed.all_gather(everybodys, ours)
    if any(not torch.equal(ours, theirs) for theirs in everybodys):
        raise ModelError(
            "the processes of this training hold different weights: gradients were not exchanged between them; "
            "train in one process (processes=1, or one device)"
        )


def _teller(recipe: DetectionRecipe, number: int, tell: Tell) -> Callable[[Any], None]:
    """A callback of ultralytics' that counts the batches of each epoch of stage `number`, and tells."""
    earlier = sum(stage.epochs for stage in recipe.stages[:number])
    epochs = sum(stage.epochs for stage in recipe.stages)
    batches: Counter[int] = Counter()

    def after_batch(trainer: Any) -> None:
        batches[trainer.epoch] += 1
        losses = {name.removesuffix("_loss"): float(mean) for name, mean in trainer.tloss.items()}
        tell(Step(earlier + trainer.epoch + 1, epochs, batches[trainer.epoch], len(trainer.train_loader), losses))

    return after_batch


def _gpu_precision() -> str | bool:
    """bfloat16 where the GPU has it: it needs no scaling of the loss, and no check by weights from the network."""
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else True


@contextmanager
def said_plainly(batch: int, world_size: int = 1) -> Iterator[None]:
    """Say in our words that disk or memory are used up.

    Args:
        batch: That was asked for.
        world_size: Processes that share it.

    Raises:
        ResourceError: Instead of what Python or torch say.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ResourceError(
            "the disk is full; the checkpoint of the last whole epoch is kept. Make room and go on with --resume"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _says_out_of_memory(error)):
            raise
        raise _out_of_memory(batch, world_size) from error


def _says_out_of_memory(error: Exception) -> bool:
    return any(words in str(error).lower() for words in OUT_OF_MEMORY)


def _out_of_memory(batch: int, world_size: int) -> ResourceError:
    half = batch // 2 // world_size * world_size  # each process has its share
    advice = f"train with batch={half}" if half else "train at a smaller side_px or with a smaller network"
    return ResourceError(f"batch={batch} does not fit into memory; {advice}")


def partial_label_loss(network: torch.nn.Module, present_weight: float = 0.0) -> Any:
    """The stock loss, in which a place teaches of a finding what the film that lies there knows of it.

    The batch is one of `boxray.detection.films.collate`. Boxes exist only where a finding is boxed, so that the
    losses of place and size need no mask.

    Args:
        network: The stock model.
        present_weight: Of a finding that is present without a box, against a box of weight 1.
    """
    import torch
    from torch import nn
    from ultralytics.utils.loss import v8DetectionLoss
    from ultralytics.utils.tal import TaskAlignedAssigner, make_anchors

    class WeightedBCE(nn.Module):
        """Binary cross entropy in which each anchor weighs its findings; the rest of the stock loss takes its sum."""

        def __init__(self, weights: torch.Tensor, present: torch.Tensor, under: torch.Tensor) -> None:
            super().__init__()
            self.weights, self.present, self.under = weights, present, under

        def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * self.weights
            if present_weight == 0:
                return losses
            whole_films = present_losses(logits, self.present, self.under)
            return torch.cat([losses.flatten(), present_weight * whole_films])

    class FilmAssigner(TaskAlignedAssigner):  # type: ignore[misc]  # ultralytics has no types
        """The stock assigner, which gives a box only anchors on the box's own film."""

        allowed: torch.Tensor

        def _forward(self, *args: Any, **options: Any) -> Any:
            try:
                return super()._forward(*args, **options)
            except RuntimeError as error:
                if not _says_out_of_memory(error):
                    raise
                # Stock would go on film by film, of which `allowed` knows nothing; this it lets through.
                raise MemoryError(str(error)) from error

        def select_candidates_in_gts(self, *args: Any, **options: Any) -> Any:
            return super().select_candidates_in_gts(*args, **options) & self.allowed

    class PartialLabelLoss(v8DetectionLoss):  # type: ignore[misc]  # ultralytics has no types
        assigner: Any

        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__(model)
            stock = self.assigner
            self.assigner = FilmAssigner(
                topk=stock.topk, num_classes=stock.num_classes, alpha=stock.alpha, beta=stock.beta, stride=stock.stride
            )

        def get_assigned_targets_and_loss(self, preds: Any, batch: Any, **assign: Any) -> Any:
            scores = preds["scores"]
            with torch.autocast(scores.device.type, enabled=False):  # sums over thousands of anchors need float32
                one = scores.new_zeros((), dtype=torch.float32)
                preds = {
                    "boxes": preds["boxes"].float(),
                    "scores": scores.float(),
                    "feats": [one.expand(level.shape) for level in preds["feats"]],  # only their shapes are asked for
                }
                cells_xy, strides = make_anchors(preds["feats"], self.stride, 0.5)
                under = film_under(cells_xy * strides, batch["rects"], batch["to_canvas"])
                self.bce = WeightedBCE(anchor_weights(batch["cells"], under), batch["present"], under)
                self.assigner.allowed = same_film(self._film_of_box(batch, len(scores)), under)
                return super().get_assigned_targets_and_loss(preds, batch, **assign)

        def _film_of_box(self, batch: Any, batch_size: int) -> torch.Tensor:
            """Shape ``(B, n)``, padded as the stock loss pads its boxes."""
            films = torch.stack([batch["batch_idx"], batch["film_of_box"]], dim=1)
            places = torch.zeros(len(films), 4, device=films.device)
            rows = torch.cat([films, places], dim=1)
            padded: torch.Tensor = self.preprocess(rows, batch_size, torch.ones(4, device=films.device))
            return padded[..., 0]

    return PartialLabelLoss(network)


def averaging_decay(mean_age: float) -> Callable[[int], float]:
    """By how much the average of the weights is kept at update `t`, counted from 1.

    The average of power γ weighs the weights of update τ by τ^γ, so that its mean age stays the share 1 / (γ + 2) of
    the updates made, and no length of the training has to be known (Karras et al., CVPR 2024, section 3).

    Args:
        mean_age: That share, in (0, 0.5].
    """
    return lambda t: float((1 - 1 / t) ** (1 / mean_age - 1))


def _trainer_class(
    recipe: DetectionRecipe,
    names: tuple[str, ...],
    images: TrainingImages,
    start: Mapping[str, torch.Tensor] | None,
) -> Any:
    import torch
    from torch import distributed, nn
    from ultralytics.data.build import build_dataloader
    from ultralytics.models.yolo.detect import DetectionTrainer

    on_cpu = recipe.device == "cpu"

    class PartialLabelTrainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics has no types
        """The stock trainer with our data, loss, start weights and whole checkpoints, and without its validation."""

        last: Path
        best: Path
        model: Any

        def get_dataset(self) -> dict[str, Any]:
            findings = dict(enumerate(names))
            return {"train": "train", "val": "val", "names": findings, "nc": len(findings), "channels": 3}

        def get_dataloader(self, _path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
            if mode == "train":
                films = FilmSet(images, recipe, self.args.imgsz)
                return build_dataloader(films, batch_size, self.args.workers, rank=rank, device=self.device)
            # ultralytics wants something to validate on; we judge by our own evaluation, so it is never read.
            first = FilmSet(replace(images, showings=images.showings[:1]), recipe, self.args.imgsz)
            return build_dataloader(first, 1, 0, shuffle=False, device=self.device)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            model = super().get_model(cfg, weights, verbose=verbose)
            if weights is None and start is not None:
                load_matching(model, start)
            return model.to(memory_format=torch.channels_last)

        def _setup_ddp(self) -> None:
            if not on_cpu:
                super()._setup_ddp()
                return
            distributed.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=recipe.world_size)

        def _setup_train(self) -> None:
            super()._setup_train()
            # The model stays the stock class, so that its checkpoints open in safe mode.
            inner = self.model.module if recipe.world_size > 1 else self.model
            inner.criterion = partial_label_loss(inner, recipe.present_weight if recipe.partial_labels else 0.0)
            if recipe.average_age is not None:
                self.ema.decay = averaging_decay(recipe.average_age)
            if self.start_epoch > 0:  # else what the first epochs drew would be drawn again
                self.train_loader.generator.manual_seed(self.train_loader.generator.initial_seed() + self.start_epoch)
                self.train_loader.dataset.go_on_after(self.start_epoch)

        def _build_train_pipeline(self) -> None:
            if getattr(self, "_oom_retries", 0):
                # Stock halves the batch on its own: another training than asked for.
                raise _out_of_memory(recipe.batch, recipe.world_size)
            if on_cpu and recipe.world_size > 1:  # stock shares work between GPUs only
                self.world_size = recipe.world_size
                self.model = nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=True)
            super()._build_train_pipeline()

        def _do_train(self) -> None:
            if on_cpu and recipe.world_size > 1:
                self._setup_ddp()
            super()._do_train()
            if distributed.is_initialized():
                require_one_network(self.model)
                distributed.destroy_process_group()

        def preprocess_batch(self, batch: Any) -> Any:
            batch = super().preprocess_batch(batch)
            three = batch["img"].expand(-1, 3, -1, -1)
            batch["img"] = three.contiguous(memory_format=torch.channels_last)
            if on_cpu and recipe.precision == "bfloat16":
                # Inside of ultralytics' own context, which is off on a CPU and sets back what it finds at its end.
                torch.set_autocast_dtype("cpu", torch.bfloat16)
                torch.set_autocast_enabled("cpu", True)
            return batch

        def validate(self) -> tuple[dict[str, float], float]:
            return dict(self.metrics or {}), 0.0

        def final_eval(self) -> None:
            pass

        def save_model(self) -> bool:
            _require_finite_weights(self)
            if self.epoch + 1 >= self.epochs:
                # First: a checkpoint of the last epoch cannot be gone on with, so this must not be missing then.
                write_tensors(self.ema.ema.float().state_dict(), Path(self.save_dir) / STAGE_STATE)
            final, self.last = self.last, self.last.with_suffix(".part")
            best, self.best = self.best, self.last  # no validation, so no best: only the last is kept
            try:
                super().save_model()
                with self.last.open("rb") as written:
                    os.fsync(written.fileno())
                self.last.replace(final)
            finally:
                self.last.unlink(missing_ok=True)
                self.last, self.best = final, best
            return True

    return PartialLabelTrainer


def made_to_fit(state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Start weights as a network of the tensors `own` begins with them: cut, doubled, or left out."""
    shapes = {key: value.shape for key, value in own.items()}
    return widened(narrowed(state, shapes), shapes)


def load_matching(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Load the tensors whose shapes fit; those of a network half as wide doubled, of more classes cut.

    If that is less than four fifths of all, they are refused. What gives the classes never fits another number of them.

    Raises:
        ModelError: If the tensors are of another architecture.
    """
    own = model.state_dict()
    fitting = made_to_fit(state, own)
    if len(fitting) < 0.8 * len(own):
        raise ModelError(
            f"start weights fit {len(fitting)} of {len(own)} tensors: they belong to another architecture. Start from "
            "the same one, from one half as wide and as deep (yolov8n for yolov8s), or from nothing (start=null)"
        )
    model.load_state_dict({**own, **{key: value.to(own[key].dtype) for key, value in fitting.items()}})


def untrained_network(architecture: str, n_findings: int) -> torch.nn.Module:
    """The network before any training."""
    from ultralytics.nn.tasks import DetectionModel

    network: torch.nn.Module = DetectionModel(f"{architecture}.yaml", nc=n_findings, verbose=False)
    return network


def build_network(architecture: str, n_findings: int, state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The network in evaluation mode; its output has shape ``(B, 4 + F, anchors)``: centre, size, scores."""
    network: Any = untrained_network(architecture, n_findings)
    network.load_state_dict(dict(state), strict=True)
    network.float().eval()
    head = network.model[-1]
    head.export, head.format = True, "onnx"  # one tensor out, no training outputs
    built: torch.nn.Module = network
    return built
