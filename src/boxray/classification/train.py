"""Train the classifier: manifest → CLAHE → the head alone → all layers → weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import nn

from boxray.classification.backbones import PooledClassifier, build_classifier, load_start
from boxray.classification.load import WEIGHTS
from boxray.classification.preprocess import equalized_square, network_input
from boxray.classification.recipe import ClassificationRecipe
from boxray.classification.targets import targets_and_weights, trained_findings
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.errors import DataError
from boxray.core.frames import Letterbox
from boxray.data.draw import draw_at_most
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.runs.run import Run, latest_run, start_run
from boxray.tensors import read_tensors, write_tensors

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taught:
    """What is shown to the network: squares, targets and their weights, in the manifest's order."""

    squares: ByteArray
    """Shape ``(N, S, S)``."""
    targets: FloatArray
    """Shape ``(N, F)``, 0 or 1."""
    weights: FloatArray
    """Shape ``(N, F)``; 0 where unknown."""


def train(
    recipe: ClassificationRecipe,
    recipe_name: str,
    *,
    resume: bool = False,
    runs: Path = Path("runs"),
    threads: int | None = None,
) -> Run:
    """Run both stages and leave `classifier.safetensors` in the run folder.

    A checkpoint is written whole after every epoch; ``resume=True`` goes on after the last one.

    Raises:
        DataError: If no finding has both a positive and a negative in the training part.
        RecipeError: If there is nothing to resume.
    """
    manifest = Manifest.load(recipe.data)
    fingerprint = manifest.fingerprint
    run = (latest_run if resume else start_run)("classification", recipe_name, recipe, fingerprint, runs)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.manual_seed(recipe.seed)  # for the new head
    part = draw_at_most(manifest.part(Split.TRAIN), recipe.at_most, recipe.seed)
    taught = prepare(part, recipe)
    findings = trained_findings(taught.targets, taught.weights, part.label_space.keys)
    if not findings:
        raise DataError("no finding has both a positive and a negative in the training part")
    classifier = build_classifier(recipe.architecture, len(part.label_space))
    if recipe.start is not None:
        load_start(classifier, read_tensors(recipe.start))
    classifier.to(recipe.device).to(memory_format=torch.channels_last)
    balance = positive_balance(taught)
    for epoch in _epochs_to_run(classifier, recipe, run.folder):
        loss = _one_epoch(classifier, epoch, taught, balance, recipe)
        _save_epoch(classifier, run.folder, epoch.number)
        LOG.info("epoch %d: loss %.4f", epoch.number, loss)
    write_tensors(classifier.state_dict(), run.folder / WEIGHTS)
    positives = ((taught.targets == 1) & (taught.weights > 0)).sum(axis=0).tolist()
    trained = {
        "label_space": part.label_space.to_mapping(),
        "findings": list(findings),
        "images": len(part.images),
        "positives": dict(zip(part.label_space.keys, positives, strict=True)),
        "sources": sorted(part.images["source"].unique().tolist()),
        "fingerprint": fingerprint,
    }
    run.write_json("trained.json", trained)
    return run


def prepare(manifest: Manifest, recipe: ClassificationRecipe) -> Taught:
    """Decode and equalize every picture once; grey squares of 320 px take 0.1 MB each."""
    squares = np.empty((len(manifest.images), recipe.side_px, recipe.side_px), dtype=np.uint8)
    for index, picture in enumerate(manifest.images["picture"]):
        rad = manifest.radiograph(picture)
        letterbox = Letterbox.fit(rad.size_wh, recipe.side_px)
        squares[index] = equalized_square(rad, letterbox, recipe.clahe.clip, recipe.clahe.tiles)
    targets, weights = targets_and_weights(manifest, recipe.assumption_weight)
    return Taught(squares, targets, weights)


def positive_balance(taught: Taught) -> FloatArray:
    """Shape ``(F,)``: weight of a positive, the square root of negatives over positives, at most 10."""
    positives = (taught.targets * taught.weights).sum(axis=0)
    negatives = ((1 - taught.targets) * taught.weights).sum(axis=0)
    ratio = np.divide(negatives, positives, out=np.ones_like(positives), where=positives > 0)
    balance: FloatArray = np.sqrt(ratio).clip(1, 10)
    return balance


def masked_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, balance: torch.Tensor
) -> torch.Tensor:
    """Mean over findings of the weighted cross entropy; unknown has no loss and no share in the mean.

    All of shape ``(B, F)`` but `balance`, ``(F,)``. A batch in which nothing is known gives 0.
    """
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=balance)
    known = weights.sum(dim=0)
    per_finding = (losses * weights).sum(dim=0) / known.clamp(min=1e-6)
    return per_finding.sum() / (known > 0).sum().clamp(min=1)


@dataclass(frozen=True, slots=True)
class _Epoch:
    number: int
    lr: float
    only_head: bool


def _epochs_to_run(classifier: PooledClassifier, recipe: ClassificationRecipe, folder: Path) -> Iterator[_Epoch]:
    """The epochs after the last checkpoint, which is loaded: first the head's, then those of all layers."""
    done = max((int(path.stem.split("-")[1]) for path in folder.glob("epoch-*.safetensors")), default=0)
    if done:
        classifier.load_state_dict(read_tensors(folder / f"epoch-{done}.safetensors"))
    for number in range(done + 1, recipe.head_epochs + recipe.epochs + 1):
        if number <= recipe.head_epochs:
            yield _Epoch(number, recipe.head_lr, only_head=True)
        else:
            share = (number - recipe.head_epochs - 1) / recipe.epochs
            yield _Epoch(number, recipe.lr * 0.5 * (1 + np.cos(np.pi * share)), only_head=False)


def _let_learn(classifier: PooledClassifier, recipe: ClassificationRecipe, *, only_head: bool) -> list[nn.Parameter]:
    """Switch every part to learning or not, and give the parameters that learn."""
    classifier.train()
    for number, block in enumerate(classifier.features.children()):
        learns = not only_head and number >= recipe.frozen_blocks
        block.train(learns)  # a frozen block keeps its batch statistics, too
        block.requires_grad_(learns)
    return [parameter for parameter in classifier.parameters() if parameter.requires_grad]


def _one_epoch(
    classifier: PooledClassifier, epoch: _Epoch, taught: Taught, balance: FloatArray, recipe: ClassificationRecipe
) -> float:
    # A fresh optimizer and seed an epoch: a run that was cut off and goes on ends with the very same weights.
    rng = np.random.default_rng([recipe.seed, epoch.number])
    torch.manual_seed(int(rng.integers(2**31)))
    learning = _let_learn(classifier, recipe, only_head=epoch.only_head)
    optimizer = torch.optim.AdamW(learning, lr=epoch.lr, weight_decay=recipe.weight_decay)
    order = rng.permutation(len(taught.squares))
    total = 0.0
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[start : start + recipe.batch]
        squares = np.stack([draw_change(rng, recipe).apply(taught.squares[index]) for index in chosen])
        pixels = torch.from_numpy(network_input(squares)).to(recipe.device)  # (B, 3, S, S)
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # on a CPU half as fast again
        logits = classifier(pixels)  # (B, F)
        loss = masked_loss(
            logits,
            torch.from_numpy(taught.targets[chosen]).to(recipe.device),
            torch.from_numpy(taught.weights[chosen]).to(recipe.device),
            torch.from_numpy(balance.astype(np.float32)).to(recipe.device),
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        total += float(loss.detach())
    return total / max(1, len(order) // recipe.batch)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one square: turned, scaled, shifted, brightened. Never flipped: the heart has a side."""

    degrees: float
    scale: float
    shift_xy: tuple[float, float]
    gain: float

    def apply(self, square: ByteArray) -> ByteArray:
        """Same shape, same type; what comes in from outside is black."""
        side = square.shape[0]
        matrix = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), self.degrees, self.scale)
        matrix[:, 2] += np.array(self.shift_xy) * side
        moved = cv2.warpAffine(square, matrix, (side, side), flags=cv2.INTER_LINEAR)
        changed: ByteArray = cv2.convertScaleAbs(moved, alpha=self.gain)
        return changed


def draw_change(rng: Generator, recipe: ClassificationRecipe) -> Change:
    """Decides, without seeing a pixel."""
    shift = rng.uniform(-recipe.translate, recipe.translate, size=2)
    return Change(
        degrees=rng.uniform(-recipe.degrees, recipe.degrees),
        scale=1 + rng.uniform(-recipe.scale, recipe.scale),
        shift_xy=(float(shift[0]), float(shift[1])),
        gain=1 + rng.uniform(-recipe.brightness, recipe.brightness),
    )


def _save_epoch(classifier: PooledClassifier, folder: Path, epoch: int) -> None:
    write_tensors(classifier.state_dict(), folder / f"epoch-{epoch}.safetensors")
    if epoch > 1:
        (folder / f"epoch-{epoch - 1}.safetensors").unlink(missing_ok=True)
