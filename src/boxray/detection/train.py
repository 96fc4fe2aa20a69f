"""Train the detector: recipe → manifest → stages → weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from boxray.core.errors import DataError
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.ultralytics_engine import tame_ultralytics, train_stage, write_stage_files
from boxray.detection.weighting import boxed_findings, cell_weights, draw_images, repeats
from boxray.runs.run import Run, latest_run, start_run
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
) -> Run:
    """Run all stages and leave `detector.safetensors` in the run folder.

    A run that was cut off goes on after its last whole epoch with ``resume=True``.

    Raises:
        DataError: If the training part has no boxes.
        MissingExtra: If torch or ultralytics is not installed.
        RecipeError: If there is nothing to resume.
    """
    manifest = Manifest.load(recipe.data)
    fingerprint = manifest.fingerprint
    begin = latest_run if resume else start_run
    run = begin("detection", recipe_name, recipe, fingerprint, runs)
    part = draw_images(manifest.part(Split.TRAIN), recipe)
    if part.boxes.empty:
        raise DataError("the training part of the built data set has no box; nothing can be learned from it")
    tame_ultralytics(run.folder / "ultralytics")
    pictures = [str((part.folder / picture).resolve()) for picture in part.images["picture"]]
    state = _start_state(recipe)
    for number, stage in enumerate(recipe.stages, start=1):
        folder = run.folder / f"stage-{number}-{stage.side_px}px"
        done = folder / "ema.safetensors"
        if done.is_file():
            state = read_tensors(done)
            continue
        files = write_stage_files(
            folder / "data",
            part.label_space.keys,
            pictures,
            repeats(part, recipe),
            cell_weights(part, recipe),
        )
        state = train_stage(recipe, stage, files, folder, state, threads)
        write_tensors(state, done)
    assert state is not None, "a recipe has at least one stage"
    write_tensors(state, run.folder / WEIGHTS)
    trained = {
        "label_space": part.label_space.to_mapping(),
        "boxed_findings": list(boxed_findings(part)),
        "images": len(part.images),
        "boxes": {key: int(n) for key, n in part.boxes["finding"].value_counts().items()},
        "sources": sorted(part.images["source"].unique().tolist()),
        "fingerprint": fingerprint,
    }
    run.write_json("trained.json", trained)
    return run


def _start_state(recipe: DetectionRecipe) -> dict[str, torch.Tensor] | None:
    if recipe.start is None:
        return None
    if not recipe.start.is_file():
        raise DataError(f"start weights {recipe.start.name!r} are not there; set start=null to train from nothing")
    return read_tensors(recipe.start)
