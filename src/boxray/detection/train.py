"""Train the detector: recipe → manifest → stages → weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from boxray.core.ahead import cores, in_order
from boxray.core.arrays import FloatArray
from boxray.core.errors import DataError
from boxray.data.draw import hide_findings
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.blending import blended
from boxray.detection.films import TrainingImages
from boxray.detection.processes import run_together
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.ultralytics_engine import (
    STAGE_STATE,
    made_to_fit,
    said_plainly,
    tame_ultralytics,
    train_stage,
    untrained_network,
)
from boxray.detection.weighting import boxed_findings, draw_images
from boxray.runs.recipe import require_start
from boxray.runs.run import Run, latest_run, start_run
from boxray.runs.step import Tell, kept_in, tell_nobody
from boxray.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    import torch

WEIGHTS = "detector.safetensors"


def train(
    recipe: DetectionRecipe,
    recipe_name: str,
    *,
    resume: bool = False,
    runs: Path = Path("runs"),
    threads: int | None = None,
    tell: Tell = tell_nobody,
) -> Run:
    """Run all stages and leave `detector.safetensors` in the run folder.

    A run that was cut off goes on after its last whole epoch with ``resume=True``. `tell` is called after every batch.

    Raises:
        DataError: If the training part has no boxes, or the start weights are not there.
        MissingExtra: If torch or ultralytics is not installed.
        ModelError: If a loss is not finite, or start weights that the recipe keeps a share of are of another network.
        RecipeError: If there is nothing to resume, or the recipe names what the data does not have.
        ResourceError: If memory or disk are used up; ``resume=True`` goes on when there is more of it.
    """
    manifest = Manifest.load(recipe.data)
    fingerprint = manifest.fingerprint
    require_start(recipe.start)
    whole = draw_images(manifest.part(Split.TRAIN), recipe)
    look = brightness(whole) if recipe.hide and recipe.hide_by == "brightness" else None
    part = hide_findings(whole, recipe.hide, recipe.seed, look)
    if part.boxes.empty:
        raise DataError("the training part of the built data set has no box; nothing can be learned from it")
    images = TrainingImages.of(part, recipe)
    begin = latest_run if resume else start_run
    run = begin("detection", recipe_name, recipe, fingerprint, runs)
    tame_ultralytics(run.folder / "ultralytics")
    if recipe.keep_start:  # what does not fit is said now, not after the training
        _with_start(recipe, untrained_network(recipe.architecture, len(part.label_space)).state_dict())
    with said_plainly(recipe.batch):
        state = _train_stages(recipe, part.label_space.keys, images, run.folder, threads, kept_in(run.folder, tell))
        write_tensors(_with_start(recipe, read_tensors(state)), run.folder / WEIGHTS)
    run.write_json("trained.json", describe_training(part, whole, recipe, fingerprint))
    return run


def _with_start(recipe: DetectionRecipe, trained: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    if not recipe.keep_start:
        return trained
    assert recipe.start is not None, "the recipe was checked"
    return blended(made_to_fit(read_tensors(recipe.start), trained), trained, recipe.keep_start)


def _train_stages(
    recipe: DetectionRecipe,
    names: tuple[str, ...],
    images: TrainingImages,
    folder: Path,
    threads: int | None,
    tell: Tell,
) -> Path:
    """All stages that are not done; the state of the last."""
    state = recipe.start
    for number, stage in enumerate(recipe.stages):
        stage_folder = folder / f"stage-{number + 1}-{stage.side_px}px"
        done = stage_folder / STAGE_STATE
        if not done.is_file():
            asked = (recipe, number, names, images, stage_folder, state, threads)
            if recipe.world_size == 1:
                train_stage(*asked, tell)
            else:
                run_together(recipe.world_size, train_stage, asked, tell)
        state = done
    assert state is not None, "a recipe has at least one stage"
    return state


def brightness(manifest: Manifest) -> FloatArray:
    """Mean grey of each picture, shape ``(N,)``, in [0, 1]."""

    def mean_grey(picture: str) -> float:
        return float(manifest.radiograph(picture).pixels.mean())

    return np.array(list(in_order(mean_grey, manifest.images["picture"], threads=cores())))


def describe_training(part: Manifest, whole: Manifest, recipe: DetectionRecipe, fingerprint: str) -> dict[str, object]:
    """What a run writes as `trained.json`.

    Args:
        part: The images as they were trained on.
        whole: The same before findings were hidden in them.
        recipe: Of the run.
        fingerprint: Of the built set that they were drawn from.
    """
    boxes, before = _counted(part), _counted(whole)
    return {
        "label_space": part.label_space.to_mapping(),
        "boxed_findings": list(boxed_findings(part)),
        "images": len(part.images),
        "boxes": boxes,
        "boxes_hidden": {key: before.get(key, 0) - boxes.get(key, 0) for key in recipe.hide},
        "sources": sorted(part.images["source"].unique().tolist()),
        "fingerprint": fingerprint,
    }


def _counted(manifest: Manifest) -> dict[str, int]:
    return {key: int(n) for key, n in manifest.boxes["finding"].value_counts().items()}
