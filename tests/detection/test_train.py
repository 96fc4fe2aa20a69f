"""The whole way of the detector on drawn chests: train, cut off, go on, release, evaluate."""

import json
from pathlib import Path

import numpy as np
import pytest

from built import build_tiny_set

pytest.importorskip("ultralytics", reason="training needs the extra [train]")

from safetensors.numpy import load_file

from boxray.core.errors import DataError, ModelError
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection.detect import YoloDetector
from boxray.detection.evaluate import evaluate
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.release import assessed_findings, load_torch_detector, release
from boxray.detection.train import train


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("tiny"))


def recipe(data: Path, *sides_px: int, **changes: object) -> DetectionRecipe:
    stages = [{"side_px": side, "epochs": 1, "lr": 0.001} for side in sides_px]
    return DetectionRecipe.model_validate({"data": data, "stages": stages, "batch": 3} | changes)


@pytest.fixture(scope="module")
def run(tiny: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe(tiny.folder, 64, 96), "tiny", runs=tmp_path_factory.mktemp("runs")).folder


def test_a_run_says_what_it_was_trained_on(run: Path, tiny: Manifest) -> None:
    trained = json.loads((run / "trained.json").read_text())

    assert trained["boxed_findings"] == ["fluid"]
    assert trained["boxes"] == {"fluid": 3}
    assert trained["fingerprint"] == tiny.fingerprint
    assert (run / "recipe.yaml").is_file()
    assert json.loads((run / "environment.json").read_text())["packages"]["ultralytics"]


def test_a_run_that_was_cut_off_in_the_second_stage_goes_on_there(tiny: Manifest, tmp_path: Path) -> None:
    asked = recipe(tiny.folder, 64, 96)
    cut = train(asked, "tiny", runs=tmp_path).folder
    first_stage = (cut / "stage-1-64px" / "ema.safetensors").stat().st_mtime_ns
    (cut / "detector.safetensors").unlink()
    (cut / "stage-2-96px" / "ema.safetensors").unlink()
    (cut / "stage-2-96px" / "weights" / "last.pt").unlink()

    again = train(asked, "tiny", resume=True, runs=tmp_path).folder

    assert again == cut
    assert (cut / "stage-1-64px" / "ema.safetensors").stat().st_mtime_ns == first_stage
    assert (cut / "detector.safetensors").is_file()


def test_a_stage_that_was_cut_off_goes_on_after_its_last_whole_epoch(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.engine.trainer import BaseTrainer

    asked = DetectionRecipe.model_validate(
        {"data": tiny.folder, "stages": [{"side_px": 64, "epochs": 2, "lr": 0.001}], "batch": 3}
    )
    saved = BaseTrainer.save_model

    def die_after_the_first(trainer: BaseTrainer) -> bool:
        done = saved(trainer)
        if trainer.epoch == 1:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(BaseTrainer, "save_model", die_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        train(asked, "tiny", runs=tmp_path)
    monkeypatch.setattr(BaseTrainer, "save_model", saved)

    folder = train(asked, "tiny", resume=True, runs=tmp_path).folder

    lines = (folder / "stage-1-64px" / "results.csv").read_text().split()
    assert [line.split(",")[0] for line in lines[1:]][-1] == "2"
    assert (folder / "detector.safetensors").is_file()


def test_nothing_is_written_into_the_data_set(tiny: Manifest, run: Path) -> None:
    assert run.is_dir()
    beside_the_set = {path.suffix for path in tiny.folder.rglob("*") if path.is_file()}

    assert beside_the_set == {".png", ".txt", ".parquet", ".json"}


def test_a_training_part_without_boxes_is_refused(tiny: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "unboxed"
    folder.mkdir()
    Manifest(folder, tiny.label_space, tiny.images, tiny.boxes.iloc[:0]).save({})

    with pytest.raises(DataError, match="no box"):
        train(recipe(folder, 64), "tiny", runs=tmp_path)


def test_released_graph_and_tensors_answer_alike_and_know_what_they_answer(
    run: Path, tiny: Manifest, tmp_path: Path
) -> None:
    card = release(run, "tiny", "0.0.1", tmp_path / "weights", fewest_boxes=3)
    film = Radiograph(np.random.default_rng(0).random((120, 100), dtype=np.float32))

    graph = YoloDetector.load(card)
    tensors = load_torch_detector(card.with_suffix(".safetensors"), tmp_path / "state")
    ours, theirs = graph.detect(film, 1e-6), tensors.detect(film, 1e-6)

    assert graph.assessed == ("fluid",)
    assert len(ours) > 0, "a test of silence would prove nothing"
    assert [det.score for det in ours] == pytest.approx([det.score for det in theirs], abs=1e-3)
    stored = load_file(card.with_suffix(".safetensors"))
    assert {str(array.dtype) for array in stored.values()} == {"float16", "int64"}
    fluid, heart = evaluate(graph, tiny.part(Split.TEST), rounds=10)
    assert fluid.counts.boxes == 3
    assert not heart.assessed


def test_a_finding_trained_with_a_handful_of_boxes_is_not_assessed() -> None:
    trained = {"boxed_findings": ["fluid", "heart"], "boxes": {"heart": 20, "fluid": 2}}

    assert assessed_findings(trained, fewest_boxes=20) == ("heart",)
    assert assessed_findings(trained, fewest_boxes=2) == ("fluid", "heart")


def test_an_unfinished_run_is_not_released(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not finished"):
        release(tmp_path, "tiny", "0", tmp_path / "weights")
