"""What stock ultralytics makes of the same images: `python tests/benchmarks/stock_training.py RECIPE [key=value …]`.

Draws the training images that the recipe draws, and trains its architecture on them from its start weights with
ultralytics' own loop, defaults and augmentation: as many epochs, of the same size and batch. Leaves a run folder like
`boxray detection train`, so that `boxray detection compare OURS STOCK` tells the two apart. A recipe of one stage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.data.yolo_files import write_yolo_files
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.train import WEIGHTS, describe_training
from boxray.detection.ultralytics_engine import tame_ultralytics
from boxray.detection.weighting import draw_images
from boxray.runs.recipe import load_recipe
from boxray.runs.run import start_run
from boxray.tensors import read_tensors, write_tensors


def copied_set(part: Manifest, folder: Path) -> Path:
    """The images and YOLO labels of a part, copied (ultralytics leaves caches beside labels), and their `data.yaml`."""
    copy = Manifest(folder, part.label_space, part.images, part.boxes)
    for picture in part.images["picture"]:
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(part.folder / picture, folder / picture)
    write_yolo_files(copy)
    copy.save({})
    content: dict[str, Any] = {"train": str(folder / "train.txt"), "val": str(folder / "train.txt")}
    content["names"] = dict(enumerate(part.label_space.keys))
    (folder / "data.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "data.yaml"


def checkpoint(recipe: DetectionRecipe, n_findings: int, folder: Path) -> Path:
    """The recipe's start weights as a file that stock ultralytics opens: of them what fits by stock's own rule."""
    import torch
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.torch_utils import intersect_dicts

    assert recipe.start is not None, "stock is compared from the same start weights; the recipe names none"
    network = DetectionModel(f"{recipe.architecture}.yaml", nc=n_findings, verbose=False)
    network.load_state_dict(intersect_dicts(read_tensors(recipe.start), network.state_dict()), strict=False)
    network.args, network.task = {}, "detect"
    torch.save({"model": network, "train_args": {}}, folder / "start.pt")
    return folder / "start.pt"


def train_stock(recipe: DetectionRecipe, name: str, runs: Path) -> Path:
    """The run's folder."""
    (stage,) = recipe.stages
    whole = Manifest.load(recipe.data)
    part = draw_images(whole.part(Split.TRAIN), recipe)
    run = start_run("detection", f"{name}-stock", recipe, whole.fingerprint, runs)
    tame_ultralytics(run.folder / "ultralytics")
    import torch
    from ultralytics import YOLO

    with tempfile.TemporaryDirectory() as copies:
        yolo = YOLO(str(checkpoint(recipe, len(part.label_space), Path(copies))))
        # As in boxray: making a trainer leaves one core idle. What is learned does not depend on it.
        yolo.add_callback("on_train_start", lambda _trainer: torch.set_num_threads(os.cpu_count() or 1))
        yolo.train(
            data=str(copied_set(part, Path(copies))),
            epochs=stage.epochs,
            imgsz=stage.side_px,
            batch=recipe.batch,
            seed=recipe.seed,
            device=recipe.device,
            val=False,
            plots=False,
            project=str(run.folder.resolve()),
            name="stock",
        )
        smoothed = yolo.trainer.ema.ema.float().state_dict()
    write_tensors(smoothed, run.folder / WEIGHTS)
    run.write_json("trained.json", describe_training(part, part, recipe, whole.fingerprint))
    return run.folder


def main() -> None:
    """Print the run's folder."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("recipe", type=Path)
    parse.add_argument("overrides", nargs="*", help="key=value, laid over the recipe")
    parse.add_argument("--runs", type=Path, default=Path("runs"))
    options = parse.parse_args()
    recipe = load_recipe(DetectionRecipe, options.recipe, options.overrides)
    print(train_stock(recipe, options.recipe.stem, options.runs))


if __name__ == "__main__":
    main()
