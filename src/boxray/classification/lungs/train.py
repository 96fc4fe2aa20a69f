"""Train the lung decoder, alone on a released backbone or together with the findings."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator

from boxray.classification.backbones import PooledClassifier, build_classifier
from boxray.classification.change import draw_change
from boxray.classification.checkpoints import load_last_epoch, save_epoch
from boxray.classification.loss import positive_balance
from boxray.classification.lung_decoder import Hybrid, build_hybrid
from boxray.classification.lungs.loss import Extent, likeness_loss, mask_loss, outside_loss, projection_loss
from boxray.classification.lungs.recipe import LungRecipe
from boxray.classification.lungs.teaching import CHANNELS, LungExample, lung_examples
from boxray.classification.preprocess import network_input
from boxray.classification.recipe import ClassificationRecipe
from boxray.classification.targets import targets_and_weights
from boxray.classification.train import SQUARES, Taught, describe_training, loss_of, prepare
from boxray.core.arrays import ByteArray, FloatArray, IntArray
from boxray.core.errors import DataError, ModelError
from boxray.data.draw import draw_at_most
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.runs.run import Run, latest_run, start_run
from boxray.runs.step import Step, Tell, kept_in, tell_nobody
from boxray.tensors import read_tensors, write_tensors
from boxray.weights import ModelCard, Provenance, load_card

WEIGHTS = "hybrid.safetensors"
TRAINED = "lungs.json"
TRAINED_FINDINGS = "findings.json"
"""Only after joint training: what the findings were learned from."""


def train_lungs(
    recipe: LungRecipe,
    recipe_name: str,
    *,
    resume: bool = False,
    runs: Path = Path("runs"),
    threads: int | None = None,
    tell: Tell = tell_nobody,
) -> Run:
    """Run all epochs and leave `hybrid.safetensors` in the run folder.

    A checkpoint is written whole after every epoch; ``resume=True`` goes on after the last one. `tell` is called
    after every batch.

    Raises:
        DataError: If fewer than two images of the training part have the box of a lung, or masks.
        ModelError: If the classifier is not what its card says, or a loss is not finite.
        RecipeError: If there is nothing to resume.
    """
    manifest = Manifest.load(recipe.data)
    run = (latest_run if resume else start_run)("classification", recipe_name, recipe, manifest.fingerprint, runs)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.manual_seed(recipe.seed)  # for the new decoder
    card, tensors = load_card(recipe.classifier, check=".safetensors")
    how = its_recipe(card, recipe)
    part = manifest.part(Split.TRAIN)
    examples = lung_examples(part, how.side_px, how.clahe, recipe.masks)
    if len(examples) < 2:
        raise DataError("lungs are known in one training image only, and a batch needs two")
    classifier = untrained(card, how)
    classifier.load_state_dict(read_tensors(tensors))
    hybrid = build_hybrid(classifier, recipe.width, how.side_px).to(recipe.device)
    hybrid.to(memory_format=torch.channels_last)
    taught = None if recipe.findings is None else _findings(recipe.findings, card, how, run)
    for number in range(load_last_epoch(hybrid, run.folder) + 1, recipe.epochs + 1):
        _one_epoch(hybrid, number, examples, taught, recipe, how, kept_in(run.folder, tell))
        save_epoch(hybrid, run.folder, number)
    write_tensors(hybrid.state_dict(), run.folder / WEIGHTS)
    (run.folder / SQUARES).unlink(missing_ok=True)
    known = (~np.isnan([example.boxes for example in examples]).any(axis=2)).sum(axis=0).tolist()
    trained_on = Provenance(
        sources=tuple(sorted(part.boxes["image_id"].str.partition(":")[0].unique().tolist())),
        images=len(examples),
        positives=dict(zip(CHANNELS, known, strict=True)) | {"masks": sum(one.masks is not None for one in examples)},
        fingerprint=manifest.fingerprint,
        recipe=recipe.model_dump(mode="json", exclude={"data", "classifier", "findings", "masks"}),
    )
    run.write_json(TRAINED, trained_on.model_dump(mode="json"))
    return run


def its_recipe(card: ModelCard, recipe: LungRecipe) -> ClassificationRecipe:
    """By what the classifier was trained: its square, CLAHE and random changes are the decoder's too."""
    return ClassificationRecipe.model_validate({**card.trained_on.recipe, "data": recipe.findings or recipe.data})


def untrained(card: ModelCard, how: ClassificationRecipe) -> PooledClassifier:
    """The classifier of a card, its weights still random."""
    return build_classifier(card.architecture, len(card.space), shades=how.shades)


def _findings(folder: Path, card: ModelCard, how: ClassificationRecipe, run: Run) -> Taught:
    manifest = Manifest.load(folder)
    card.space.require_same(manifest.label_space)
    part = draw_at_most(manifest.part(Split.TRAIN), how.at_most, how.seed)
    targets, weights = targets_and_weights(part, how.assumption_weight, unknown_is_absent=not how.partial_labels)
    trained = describe_training(part, targets, weights, manifest.fingerprint)
    run.write_json(TRAINED_FINDINGS, Provenance.of_run(trained, trained["positives"], how).model_dump(mode="json"))
    return Taught(prepare(part, how, run.folder / SQUARES), targets, weights, loss_of(part.label_space))


def _let_learn(hybrid: Hybrid, recipe: LungRecipe, how: ClassificationRecipe) -> list[dict[str, object]]:
    """Switch every part to learning or not, and give the parameters that learn, each with its rate."""
    hybrid.eval().requires_grad_(requires_grad=False)  # what is frozen keeps its batch statistics, too
    learning = [hybrid.classifier.head, *hybrid.classifier.blocks[how.frozen_blocks :]]
    parts = [(hybrid.decoder, recipe.lr), *((block, recipe.backbone_lr) for block in learning if recipe.joint)]
    groups: list[dict[str, object]] = []
    for part, rate in parts:
        part.train().requires_grad_(requires_grad=True)
        groups.append({"params": list(part.parameters()), "lr": rate})
    if how.keep_statistics:
        hybrid.classifier.keep_statistics()
    return groups


def _one_epoch(
    hybrid: Hybrid,
    number: int,
    examples: Sequence[LungExample],
    taught: Taught | None,
    recipe: LungRecipe,
    how: ClassificationRecipe,
    tell: Tell,
) -> None:
    # A seed and an optimizer for each epoch: a run that was cut off and goes on ends with the very same weights.
    rng = np.random.default_rng([recipe.seed, number])
    torch.manual_seed(int(rng.integers(2**31)))
    fade = 0.5 * (1 + math.cos(math.pi * (number - 1) / recipe.epochs))
    optimizer = torch.optim.AdamW(_let_learn(hybrid, recipe, how), weight_decay=recipe.weight_decay)
    for group in optimizer.param_groups:
        group["lr"] *= fade
    likeness = recipe.likeness * min(1.0, number / recipe.likeness_from)
    batches = list(_batches(rng, len(examples), recipe.batch))
    findings = _no_findings() if taught is None else _findings_loss(hybrid, taught, rng, recipe, how)
    total = 0.0
    for step, chosen in enumerate(batches, start=1):
        batch = [examples[index].changed(draw_change(rng, how)) for index in chosen]
        loss = lung_loss(hybrid, batch, recipe, likeness) + recipe.findings_weight * next(findings)
        if not math.isfinite(loss.item()):
            raise ModelError(f"the loss of epoch {number} is not finite; take a smaller learning rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        total += loss.item()
        tell(Step(number, recipe.epochs, step, len(batches), {"loss": total / step}))


def lung_loss(hybrid: Hybrid, batch: Sequence[LungExample], recipe: LungRecipe, likeness: float) -> torch.Tensor:
    """Of boxes where there are no masks, of masks where there are."""
    squares = np.stack([example.square for example in batch])
    logits = hybrid(_pixels(squares, recipe))  # (B, 2, h, w)
    size = logits.shape[-1]
    masks, drawn = _masks(batch, size)
    boxes = np.stack([example.boxes for example in batch]).astype(np.float32)
    boxes[drawn.any(axis=1)] = np.nan  # the mask says more than its box
    extent = Extent.of(torch.from_numpy(boxes).to(recipe.device), size)
    loss = projection_loss(torch.sigmoid(logits), extent) + recipe.outside * outside_loss(logits, extent)
    if likeness > 0:
        small = [cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) for one in squares]
        shades = torch.from_numpy(np.stack(small)).to(recipe.device)
        loss = loss + likeness * likeness_loss(logits, shades, extent, recipe.alike_below)
    if drawn.any():
        loss = loss + mask_loss(logits, *(torch.from_numpy(one).to(recipe.device) for one in (masks, drawn)))
    return loss


def _pixels(squares: ByteArray, recipe: LungRecipe) -> torch.Tensor:
    """Squares ``(B, S, S)`` as the network takes them; laid out by pixel, which a CPU works through faster."""
    return torch.from_numpy(network_input(squares)).to(recipe.device).contiguous(memory_format=torch.channels_last)


def _masks(batch: Sequence[LungExample], size: int) -> tuple[FloatArray, FloatArray]:
    """Masks of shape ``(B, 2, h, w)``, and which of them somebody drew, ``(B, 2)``."""
    masks = np.zeros((len(batch), 2, size, size), dtype=np.float32)
    drawn = np.zeros((len(batch), 2), dtype=np.float32)
    for index, example in enumerate(batch):
        if example.masks is not None:
            drawn[index] = 1
            masks[index] = [cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) for mask in example.masks]
    return masks, drawn


def _no_findings() -> Iterator[torch.Tensor]:
    while True:
        yield torch.zeros(())


def _findings_loss(
    hybrid: Hybrid, taught: Taught, rng: Generator, recipe: LungRecipe, how: ClassificationRecipe
) -> Iterator[torch.Tensor]:
    """The classifier's own loss on one batch after the other, for as long as it is asked for."""
    balance = torch.from_numpy(positive_balance(taught.targets, taught.weights).astype(np.float32)).to(recipe.device)
    # A stream of its own, so that the lungs' batches are the same with and without it.
    own = np.random.default_rng(int(rng.integers(2**31)))
    for chosen in cycle(list(_batches(own, len(taught.squares), recipe.batch))):
        squares = np.stack([draw_change(own, how).apply(taught.squares[index]) for index in chosen])
        logits = hybrid.classifier(_pixels(squares, recipe))
        targets, weights = (torch.from_numpy(of[chosen]).to(recipe.device) for of in (taught.targets, taught.weights))
        yield taught.loss(logits, targets, weights, balance)


def _batches(rng: Generator, n_images: int, size: int) -> Iterator[IntArray]:
    """All images in a random order; a last batch of one would break the batch statistics and is left out."""
    order = rng.permutation(n_images)
    return (order[start : start + size] for start in range(0, n_images, size) if n_images - start > 1)
