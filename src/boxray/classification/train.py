"""Train the classifier: manifest → CLAHE → the head alone → all layers → weights."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from boxray.classification.backbones import PooledClassifier, build_classifier, load_start
from boxray.classification.change import draw_change
from boxray.classification.checkpoints import average_of_last, load_last_epoch, save_epoch
from boxray.classification.folder import build_from_folder
from boxray.classification.layers import find_layer
from boxray.classification.load import WEIGHTS
from boxray.classification.loss import exclusive_loss, masked_loss, positive_balance
from boxray.classification.pointing import TaughtPlaces
from boxray.classification.preprocess import equalized_square, network_input
from boxray.classification.recipe import ClassificationRecipe
from boxray.classification.targets import targets_and_weights, trained_findings
from boxray.core.ahead import cores, in_order
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.errors import DataError, ModelError, RecipeError
from boxray.core.findings import LabelSpace
from boxray.core.frames import Letterbox
from boxray.data.draw import draw_at_most
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.runs.recipe import require_start
from boxray.runs.run import Run, latest_run, start_run
from boxray.runs.step import Step, Tell, kept_in, tell_nobody
from boxray.tensors import read_tensors, write_tensors

SQUARES = "squares.npy"
"""Lies in the run folder while it trains."""
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Taught:
    """What is shown to the network: squares, targets and their weights, in the manifest's order."""

    squares: ByteArray
    """Shape ``(N, S, S)``; on disk, of which only what is looked at takes memory."""
    targets: FloatArray
    """Shape ``(N, F)``, 0 or 1."""
    weights: FloatArray
    """Shape ``(N, F)``; 0 where unknown."""
    loss: Loss
    """Of findings side by side, or of classes that exclude each other."""
    places: TaughtPlaces | None = None
    """Of each square; None where maps are not taught."""


def train(
    recipe: ClassificationRecipe,
    recipe_name: str,
    *,
    resume: bool = False,
    runs: Path = Path("runs"),
    threads: int | None = None,
    tell: Tell = tell_nobody,
) -> Run:
    """Run both stages and leave `classifier.safetensors` in the run folder.

    A checkpoint is written whole after every epoch; ``resume=True`` goes on after the last one.

    Args:
        recipe: What is asked for.
        recipe_name: Stands in the name of the run folder.
        resume: Go on with the newest run of this recipe on this data.
        runs: Where run folders lie.
        threads: Of the processor; None means all cores.
        tell: Called after every batch.

    Raises:
        DataError: If no finding has both a positive and a negative in the training part, there are fewer images than a
            batch has, or the start weights are not there.
        ModelError: If the loss is not finite, start weights do not fit, or there is no layer `cam_layer`.
        RecipeError: If there is nothing to resume, pictures are to be mirrored that have sides, or maps are to be
            taught by boxes and no training image has one.
    """
    require_start(recipe.start)
    if recipe.cam_layer is not None:
        find_layer(build_classifier(recipe.architecture, 1, shades=recipe.shades), recipe.cam_layer)
    if recipe.image_folder is not None:
        build_from_folder(recipe.image_folder, recipe.data)
    manifest = Manifest.load(recipe.data)
    _require_mirrored(recipe, manifest.label_space)
    fingerprint = manifest.fingerprint
    run = (latest_run if resume else start_run)("classification", recipe_name, recipe, fingerprint, runs)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.manual_seed(recipe.seed)  # for the new head
    part = draw_at_most(manifest.part(Split.TRAIN), recipe.at_most, recipe.seed)
    targets, weights = targets_and_weights(part, recipe.assumption_weight, unknown_is_absent=not recipe.partial_labels)
    findings = trained_findings(targets, weights, part.label_space.keys)
    if not findings:
        raise DataError("no finding has both a positive and a negative in the training part")
    if len(part.images) < recipe.batch:
        raise DataError(f"{len(part.images)} training images are fewer than a batch of {recipe.batch}; take fewer")
    if recipe.pointing and part.boxes.empty:
        raise RecipeError(f"pointing: {recipe.pointing}, but no training image has a box; leave it out")
    classifier = build_classifier(recipe.architecture, len(part.label_space), shades=recipe.shades)
    if recipe.start is not None:
        load_start(classifier, read_tensors(recipe.start))
    classifier.to(recipe.device).to(memory_format=torch.channels_last)
    epochs = list(_epochs_to_run(classifier, recipe, run.folder))
    squares = run.folder / SQUARES
    try:
        if epochs:  # of a finished run there is nothing left to show
            places = TaughtPlaces.of(part, recipe.side_px, classifier) if recipe.pointing else None
            taught = Taught(prepare(part, recipe, squares), targets, weights, loss_of(part.label_space), places)
        for epoch in epochs:
            _one_epoch(classifier, epoch, taught, recipe, kept_in(run.folder, tell))
            save_epoch(classifier, run.folder, epoch.number, kept=recipe.averaged_epochs)
    finally:
        squares.unlink(missing_ok=True)
    state = average_of_last(recipe.averaged_epochs, run.folder) or classifier.state_dict()
    write_tensors(state, run.folder / WEIGHTS)
    run.write_json("trained.json", describe_training(part, targets, weights, fingerprint))
    return run


def describe_training(part: Manifest, targets: FloatArray, weights: FloatArray, fingerprint: str) -> dict[str, Any]:
    """What a classifier was trained on.

    Args:
        part: The images that were shown.
        targets: As `Taught` has them.
        weights: As `Taught` has them.
        fingerprint: Of the whole data set.
    """
    positives = ((targets == 1) & (weights > 0)).sum(axis=0).tolist()
    return {
        "label_space": part.label_space.to_mapping(),
        "findings": list(trained_findings(targets, weights, part.label_space.keys)),
        "images": len(part.images),
        "positives": dict(zip(part.label_space.keys, positives, strict=True)),
        "sources": sorted(part.images["source"].unique().tolist()),
        "fingerprint": fingerprint,
    }


def loss_of(space: LabelSpace) -> Loss:
    """What a classifier of this label space learns by."""
    return exclusive_loss if space.exclusive else masked_loss


def prepare(manifest: Manifest, recipe: ClassificationRecipe, path: Path) -> ByteArray:
    """Decode and equalize every picture once into a file of shape ``(N, S, S)``, uint8: 0.1 MB for each of 320 px."""
    side_px, clahe = recipe.side_px, recipe.clahe

    def square(picture: str) -> ByteArray:
        rad = manifest.radiograph(picture)
        return equalized_square(rad, Letterbox.fit(rad.size_wh, side_px), clahe)

    shape = (len(manifest.images), side_px, side_px)
    squares = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for index, one in enumerate(in_order(square, manifest.images["picture"], threads=cores())):
        squares[index] = one
    return squares


def _require_mirrored(recipe: ClassificationRecipe, space: LabelSpace) -> None:
    if recipe.flip and not space.mirrored:
        raise RecipeError(
            f"flip: true, but a mirrored picture is none of {space.name!r}: sides count there; leave flip out, or say "
            "`mirrored: true` in the label space if they do not"
        )


@dataclass(frozen=True, slots=True)
class _Epoch:
    number: int
    lr: float
    only_head: bool


def _epochs_to_run(classifier: PooledClassifier, recipe: ClassificationRecipe, folder: Path) -> Iterator[_Epoch]:
    """The epochs after the last checkpoint, which is loaded: first the head's, then those of all layers."""
    done = load_last_epoch(classifier, folder)
    for number in range(done + 1, recipe.head_epochs + recipe.epochs + 1):
        if number <= recipe.head_epochs:
            yield _Epoch(number, recipe.head_lr, only_head=True)
        else:
            falling = min(number - recipe.head_epochs - 1, recipe.epochs - recipe.averaged_epochs)
            share = falling / recipe.epochs
            yield _Epoch(number, recipe.lr * 0.5 * (1 + np.cos(np.pi * share)), only_head=False)


def _let_learn(classifier: PooledClassifier, recipe: ClassificationRecipe, *, only_head: bool) -> list[nn.Parameter]:
    """Switch every part to learning or not, and give the parameters that learn."""
    classifier.train()
    for number, block in enumerate(classifier.blocks):
        learns = not only_head and number >= recipe.frozen_blocks
        block.train(learns)  # a frozen block keeps its batch statistics, too
        block.requires_grad_(learns)
    if recipe.keep_statistics:
        classifier.keep_statistics()
    return [parameter for parameter in classifier.parameters() if parameter.requires_grad]


def _one_epoch(
    classifier: PooledClassifier,
    epoch: _Epoch,
    taught: Taught,
    recipe: ClassificationRecipe,
    tell: Tell,
) -> None:
    # A fresh optimizer and seed an epoch: a run that was cut off and goes on ends with the very same weights.
    rng = np.random.default_rng([recipe.seed, epoch.number])
    torch.manual_seed(int(rng.integers(2**31)))
    learning = _let_learn(classifier, recipe, only_head=epoch.only_head)
    optimizer = torch.optim.AdamW(learning, lr=epoch.lr, weight_decay=recipe.weight_decay)
    balance = torch.from_numpy(positive_balance(taught.targets, taught.weights).astype(np.float32)).to(recipe.device)
    order = rng.permutation(len(taught.squares))
    batches = [order[start : start + recipe.batch] for start in range(0, len(order) - recipe.batch + 1, recipe.batch)]
    total = 0.0
    for number, chosen in enumerate(batches, start=1):
        changes = [draw_change(rng, recipe) for _ in chosen]
        squares = np.stack([change.apply(taught.squares[index]) for change, index in zip(changes, chosen, strict=True)])
        pixels = torch.from_numpy(network_input(squares)).to(recipe.device)  # (B, 3, S, S)
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # on a CPU half as fast again
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            features = classifier.features(pixels)  # (B, K, h, w)
            logits = classifier.pooled(features).float()  # (B, F)
        targets, weights = (torch.from_numpy(of[chosen]).to(recipe.device) for of in (taught.targets, taught.weights))
        loss = taught.loss(logits, targets, weights, balance)
        if taught.places is not None:
            moves = [change.moves(recipe.side_px) for change in changes]
            loss = loss + recipe.pointing * taught.places.loss(classifier.by_cell(features.float()), chosen, moves)
        if not math.isfinite(loss.item()):
            raise ModelError(f"the loss of epoch {epoch.number} is not finite; take a smaller learning rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        total += loss.item()
        tell(Step(epoch.number, recipe.head_epochs + recipe.epochs, number, len(batches), {"loss": total / number}))
