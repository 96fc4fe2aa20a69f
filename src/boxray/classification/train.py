"""Train the classifier: manifest → CLAHE → the head alone → all layers → weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.random import Generator
from safetensors.torch import load_file, save_file
from torch import nn

from boxray.classification.backbones import PooledClassifier, build_classifier, load_start
from boxray.classification.preprocess import equalized_square, network_input
from boxray.classification.recipe import ClassificationRecipe
from boxray.classification.targets import targets_and_weights, trained_findings
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.errors import DataError
from boxray.core.frames import Letterbox
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.imaging.read import decode
from boxray.runs.run import Run, latest_run, start_run

WEIGHTS = "classifier.safetensors"
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
    part = draw_images(manifest.part(Split.TRAIN), recipe)
    taught = prepare(part, recipe)
    findings = trained_findings(taught.targets, taught.weights, part.label_space.keys)
    if not findings:
        raise DataError("no finding has both a positive and a negative in the training part")
    classifier = build_classifier(recipe.architecture, len(part.label_space))
    if recipe.start is not None:
        load_start(classifier, load_file(recipe.start))
    classifier.to(recipe.device, memory_format=torch.channels_last)
    balance = positive_balance(taught)
    for epoch, lr, parameters in _schedule(classifier, recipe, run.folder):
        loss = _one_epoch(
            classifier, parameters, taught, balance, lr, np.random.default_rng([recipe.seed, epoch]), recipe
        )
        _save_epoch(classifier, run.folder, epoch)
        LOG.info("epoch %d: loss %.4f", epoch, loss)
    _save(classifier, run.folder / WEIGHTS)
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


def draw_images(manifest: Manifest, recipe: ClassificationRecipe) -> Manifest:
    """The training images of the recipe: at most so many a source, drawn with its seed."""
    keep = pd.Series(True, index=manifest.images.index)
    rng = np.random.default_rng(recipe.seed)
    for source, limit in sorted(recipe.at_most.items()):
        of_source = np.flatnonzero(manifest.images["source"] == source)
        keep.iloc[rng.permutation(of_source)[limit:]] = False
    return manifest.only(keep)


def prepare(manifest: Manifest, recipe: ClassificationRecipe) -> Taught:
    """Decode and equalize every picture once; grey squares of 320 px take 0.1 MB each."""
    squares = np.empty((len(manifest.images), recipe.side_px, recipe.side_px), dtype=np.uint8)
    for index, picture in enumerate(manifest.images["picture"]):
        rad = decode((manifest.folder / picture).read_bytes())
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


def _schedule(
    classifier: PooledClassifier, recipe: ClassificationRecipe, folder: Path
) -> Iterator[tuple[int, float, list[nn.Parameter]]]:
    """Epochs still to run, each with its learning rate and the parameters that learn."""
    done = max((int(path.stem.split("-")[1]) for path in folder.glob("epoch-*.safetensors")), default=0)
    if done:
        classifier.load_state_dict(load_file(folder / f"epoch-{done}.safetensors"))
    for epoch in range(done + 1, recipe.head_epochs + recipe.epochs + 1):
        if epoch <= recipe.head_epochs:
            yield epoch, recipe.head_lr, list(classifier.head.parameters())
        else:
            share = (epoch - recipe.head_epochs - 1) / max(recipe.epochs, 1)
            yield epoch, recipe.lr * 0.5 * (1 + np.cos(np.pi * share)), list(classifier.parameters())


def _one_epoch(
    classifier: PooledClassifier,
    parameters: list[nn.Parameter],
    taught: Taught,
    balance: FloatArray,
    lr: float,
    rng: Generator,
    recipe: ClassificationRecipe,
) -> float:
    # A fresh optimizer and seed an epoch: a run that was cut off and goes on ends with the very same weights.
    torch.manual_seed(int(rng.integers(2**31)))
    only_head = len(parameters) == 2
    classifier.train()
    blocks = list(classifier.features.children())
    for number, block in enumerate(blocks):
        learns = not only_head and number >= recipe.frozen_blocks
        block.train(learns)  # a frozen block keeps its batch statistics, too
        block.requires_grad_(learns)
    optimizer = torch.optim.AdamW([p for p in parameters if p.requires_grad], lr=lr, weight_decay=recipe.weight_decay)
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
    _save(classifier, folder / f"epoch-{epoch}.safetensors")
    if epoch > 1:
        (folder / f"epoch-{epoch - 1}.safetensors").unlink(missing_ok=True)


def _save(classifier: PooledClassifier, path: Path) -> None:
    temporary = path.with_suffix(".part")
    save_file({key: value.contiguous() for key, value in classifier.state_dict().items()}, temporary)
    temporary.replace(path)
