"""The whole way of the detector on drawn chests: train, cut off, go on, release, evaluate."""

import errno
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from built import build_tiny_set

pytest.importorskip("ultralytics", reason="training needs the extra [train]")

import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as torch_file

from boxray.core.errors import DataError, ModelError, RecipeError, ResourceError
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.detection import ultralytics_engine
from boxray.detection.compare import compare_detections
from boxray.detection.detect import YoloDetector, one_finding
from boxray.detection.evaluate import detect_all, evaluate, judge_all
from boxray.detection.films import FilmSet
from boxray.detection.load import open_detector
from boxray.detection.parity import raw_outputs
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.release import assessed_findings, load_torch_detector, release, resize
from boxray.detection.sizes import judge_sizes
from boxray.detection.train import train as train_with
from boxray.detection.widening import widened
from boxray.engines import JUDGING
from boxray.runs.run import Run
from boxray.runs.step import Step


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("tiny"))


def recipe(data: Path, *sides_px: int, **changes: object) -> DetectionRecipe:
    stages = [{"side_px": side, "epochs": 1, "lr": 0.001} for side in sides_px]
    return DetectionRecipe.model_validate({"data": data, "stages": stages, "batch": 3} | changes)


def train(asked: DetectionRecipe, name: str, **options: Any) -> Run:
    """On one thread: on 64 px a second one only waits."""
    return train_with(asked, name, **{"threads": 1, **options})


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


def test_a_training_tells_where_it_stands_over_all_its_stages(tiny: Manifest, tmp_path: Path) -> None:
    told: list[Step] = []

    folder = train(recipe(tiny.folder, 64, 96), "tiny", runs=tmp_path, tell=told.append).folder

    assert [(step.epoch, step.epochs, step.batch) for step in told if step.ends_epoch] == [(1, 2, 2), (2, 2, 2)]
    assert set(told[-1].losses) == {"box", "cls", "dfl"}
    kept = [line.split(",") for line in (folder / "epochs.csv").read_text().splitlines()]
    assert kept[0] == ["epoch", "box", "cls", "dfl"]
    assert float(kept[2][1]) == pytest.approx(told[-1].losses["box"], rel=1e-4)


@pytest.mark.parametrize(("changes", "updates", "kept"), [
    ({"pictures_per_update": 3, "average_age": 0.1}, 4, 0.9**9),
    ({"pictures_per_update": 6}, 2, 0.005),
])  # fmt: skip
def test_how_often_the_weights_move_and_how_they_are_averaged_is_the_recipes(
    changes: dict[str, float],
    updates: int,
    kept: float,
    tiny: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two epochs of two batches of three pictures."""
    from ultralytics.engine.trainer import BaseTrainer

    moved: list[float] = []
    step = BaseTrainer.optimizer_step

    def seen(trainer: BaseTrainer) -> None:
        moved.append(trainer.ema.decay(10))
        step(trainer)

    monkeypatch.setattr(BaseTrainer, "optimizer_step", seen)
    stages = [{"side_px": 64, "epochs": 2, "lr": 0.001}]

    train(recipe(tiny.folder, stages=stages, **changes), "tiny", runs=tmp_path)

    assert len(moved) == updates
    assert moved == pytest.approx([kept] * updates, rel=0.01)


def test_a_recipe_may_keep_a_share_of_the_start_weights(run: Path, tiny: Manifest, tmp_path: Path) -> None:
    start = run / "detector.safetensors"
    asked = recipe(tiny.folder, 64, start=start)

    before, plain = load_file(start), load_file(train(asked, "tiny", runs=tmp_path).folder / "detector.safetensors")
    kept = asked.model_copy(update={"keep_start": 0.25})
    between = load_file(train(kept, "tiny", runs=tmp_path).folder / "detector.safetensors")

    moved = [name for name, tensor in between.items() if tensor.dtype == np.float32 and (tensor != plain[name]).any()]
    assert moved
    for name in moved:
        np.testing.assert_allclose(between[name], 0.25 * before[name] + 0.75 * plain[name], rtol=1e-4, atol=1e-6)


def test_a_share_of_a_network_half_as_wide_is_kept_as_the_network_began_with_it(tiny: Manifest, tmp_path: Path) -> None:
    narrow = train(recipe(tiny.folder, 64), "narrow", runs=tmp_path).folder / "detector.safetensors"
    asked = recipe(tiny.folder, 64, architecture="yolov8s", start=narrow)
    plain = load_file(train(asked, "plain", runs=tmp_path).folder / "detector.safetensors")

    kept = train(asked.model_copy(update={"keep_start": 0.5}), "kept", runs=tmp_path).folder / "detector.safetensors"

    began = widened(torch_file(narrow), {key: torch.Size(tensor.shape) for key, tensor in plain.items()})
    between = load_file(kept)
    assert between.keys() == plain.keys()
    for name, tensor in between.items():
        if tensor.dtype == np.float32:
            np.testing.assert_allclose(tensor, 0.5 * began[name].numpy() + 0.5 * plain[name], rtol=1e-4, atol=1e-5)


def test_a_share_of_weights_that_do_not_fit_is_refused_before_the_training(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxray.detection.train.train_stage", lambda *_: pytest.fail("it trained"))
    other = tmp_path / "other.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, other)

    with pytest.raises(ModelError, match="set keep_start=0"):
        train(recipe(tiny.folder, 64, start=other, keep_start=0.5), "tiny", runs=tmp_path)
    with pytest.raises(ValueError, match="keep_start keeps a share of the start weights"):
        recipe(tiny.folder, 64, keep_start=0.5)


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


def epochs_of(folder: Path) -> list[int]:
    """The epochs in the stage's log, in the order in which they were trained."""
    lines = (folder / "stage-1-64px" / "results.csv").read_text().split()
    return [int(line.split(",")[0]) for line in lines[1:]]


def fail_in_second_epoch(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """The second checkpoint is begun and ends with an error."""
    from ultralytics.engine.trainer import BaseTrainer

    saved = BaseTrainer.save_model

    def fail(trainer: BaseTrainer) -> bool:
        if trainer.epoch == 1:
            trainer.last.write_bytes(b"half a check")
            raise error
        return bool(saved(trainer))

    monkeypatch.setattr(BaseTrainer, "save_model", fail)


def three_epochs(tiny: Manifest, **changes: object) -> DetectionRecipe:
    return recipe(tiny.folder, stages=[{"side_px": 64, "epochs": 3, "lr": 0.001}], **changes)


def test_a_stage_that_was_cut_off_goes_on_after_its_last_whole_epoch(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = three_epochs(tiny)
    with monkeypatch.context() as patched:
        fail_in_second_epoch(patched, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(asked, "tiny", runs=tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "moved")

    folder = train(asked, "tiny", resume=True, runs=tmp_path / "moved").folder

    assert epochs_of(folder) == [1, 2, 2, 3]
    assert (folder / "detector.safetensors").is_file()
    assert not (tmp_path / "before").exists()


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint_whole(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = three_epochs(tiny)
    with monkeypatch.context() as patched:
        fail_in_second_epoch(patched, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(ResourceError, match="disk is full"):
            train(asked, "tiny", runs=tmp_path)
    (folder,) = (tmp_path / "detection").iterdir()
    assert [path.name for path in (folder / "stage-1-64px" / "weights").iterdir()] == ["last.pt"]

    train(asked, "tiny", resume=True, runs=tmp_path)

    assert epochs_of(folder) == [1, 2, 2, 3]


def test_a_run_that_was_cut_off_after_its_last_epoch_trains_no_more(tiny: Manifest, tmp_path: Path) -> None:
    asked = recipe(tiny.folder, 64)
    folder = train(asked, "tiny", runs=tmp_path).folder
    weights = (folder / "detector.safetensors").read_bytes()
    (folder / "detector.safetensors").unlink()

    train(asked, "tiny", resume=True, runs=tmp_path)

    assert (folder / "detector.safetensors").read_bytes() == weights
    assert epochs_of(folder) == [1]


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_epoch(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, calls = ultralytics_engine.anchor_weights, []

    def spoiled(*arguments: Any) -> Any:
        calls.append(None)
        return weights(*arguments) * (np.nan if len(calls) == 3 else 1)  # two batches an epoch

    monkeypatch.setattr(ultralytics_engine, "anchor_weights", spoiled)
    with pytest.raises(ModelError, match=r"epoch 2 of the stage at 64 px.*lower lr"):
        train(three_epochs(tiny), "tiny", runs=tmp_path)

    (folder,) = (tmp_path / "detection").iterdir()
    assert epochs_of(folder) == [1]
    assert not (folder / "stage-1-64px" / "ema.safetensors").exists()


@pytest.mark.parametrize("epoch", [2, 3])
def test_weights_that_are_no_numbers_are_never_written(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """The loss of an epoch's last batch is a number and its gradient is none."""
    from ultralytics.engine.trainer import BaseTrainer

    step, updates = BaseTrainer.optimizer_step, iter(range(1, 7))  # two an epoch

    def spoiled(trainer: BaseTrainer) -> None:
        if next(updates) == 2 * epoch:
            next(trainer.model.parameters()).grad.fill_(np.nan)
        step(trainer)

    asked = three_epochs(tiny, pictures_per_update=3)
    with monkeypatch.context() as patched:
        patched.setattr(BaseTrainer, "optimizer_step", spoiled)
        with pytest.raises(ModelError, match=rf"weights are no numbers in epoch {epoch} of the stage.*lower lr"):
            train(asked, "tiny", runs=tmp_path)

    folder = train(asked, "tiny", resume=True, runs=tmp_path).folder

    assert all(np.isfinite(array).all() for array in load_file(folder / "detector.safetensors").values())


def test_what_a_recipe_asks_for_is_what_the_trainer_does(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from ultralytics.engine.trainer import BaseTrainer

    trainers: list[Any] = []
    rates: list[float] = []
    present_weights: list[float] = []
    first_layer: set[Any] = set()
    step, loss = BaseTrainer.optimizer_step, ultralytics_engine.partial_label_loss

    def watched_step(trainer: Any) -> None:
        trainers.append(trainer)
        rates.extend(group["lr"] for group in trainer.optimizer.param_groups)
        step(trainer)

    def watched_loss(network: Any, present_weight: float) -> Any:
        def look(_layer: Any, inputs: Any, output: torch.Tensor) -> None:
            by_pixel = inputs[0].is_contiguous(memory_format=torch.channels_last)
            first_layer.add((by_pixel, output.dtype))

        network.model[0].register_forward_hook(look)
        present_weights.append(present_weight)
        return loss(network, present_weight)

    monkeypatch.setattr(BaseTrainer, "optimizer_step", watched_step)
    monkeypatch.setattr(ultralytics_engine, "partial_label_loss", watched_loss)
    asked = recipe(
        tiny.folder,
        stages=[{"side_px": 64, "epochs": 3, "lr": 0.0007}],
        seed=5,
        frozen_layers=2,
        present_weight=0.3,
        pictures_per_update=3,
        precision="bfloat16",
        augment={"mosaic": 1.0, "close_mosaic": 1},
    )

    train(asked, "tiny", runs=tmp_path)

    settings = trainers[-1].args
    frozen = {name.split(".")[1] for name, each in trainers[-1].model.named_parameters() if not each.requires_grad}
    assert (settings.seed, settings.close_mosaic, settings.imgsz, settings.lr0) == (5, 1, 64, 0.0007)
    assert 0 < max(rates) <= 0.0007, "no layer learns faster than asked for, in the first updates either"
    assert frozen == {"0", "1", "22"}  # the head's own fixed convolution is stock's
    assert present_weights == [0.3]
    assert first_layer == {(True, torch.bfloat16)}


def test_a_run_that_goes_on_draws_other_pictures_than_it_began_with(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bytes] = []
    get = FilmSet.__getitem__

    def watched(films: FilmSet, showing: int) -> Any:
        example = get(films, showing)
        drawn.append(example.picture.pixels.tobytes())
        return example

    monkeypatch.setattr(FilmSet, "__getitem__", watched)
    with monkeypatch.context() as patched:
        fail_in_second_epoch(patched, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(three_epochs(tiny), "tiny", runs=tmp_path)
    first_epoch, drawn[:] = set(drawn[: len(drawn) // 2]), []

    train(three_epochs(tiny), "tiny", resume=True, runs=tmp_path)

    assert len(drawn) == 2 * len(first_epoch)
    assert not first_epoch & set(drawn)


def test_memory_that_runs_out_while_boxes_are_assigned_is_said_so(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where stock would go on film by film, and our mask of the whole batch would not fit."""
    from ultralytics.utils.tal import TaskAlignedAssigner

    metrics = TaskAlignedAssigner.get_box_metrics

    def too_much(assigner: Any, *arguments: Any, **options: Any) -> Any:
        if assigner.bs > 1:
            raise RuntimeError("CUDA out of memory")
        return metrics(assigner, *arguments, **options)

    monkeypatch.setattr(TaskAlignedAssigner, "get_box_metrics", too_much)
    with pytest.raises(ResourceError, match="batch=3 does not fit into memory; train with batch=1"):
        train(recipe(tiny.folder, 64), "tiny", runs=tmp_path)


@pytest.mark.parametrize(("batch", "world_size", "advice"), [
    (6, 2, "train with batch=2"),
    (16, 2, "train with batch=8"),
    (2, 2, "train at a smaller side_px"),
    (1, 1, "train at a smaller side_px"),
])  # fmt: skip
def test_a_smaller_batch_that_is_advised_can_be_shared(batch: int, world_size: int, advice: str) -> None:
    with pytest.raises(ResourceError, match=advice), ultralytics_engine.said_plainly(batch, world_size):
        raise MemoryError


@pytest.mark.parametrize("words", ["CUDA out of memory", "DefaultCPUAllocator: can't allocate memory"])
def test_too_large_a_batch_ends_the_run_and_names_another(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def too_much(*_: Any) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(ultralytics_engine, "film_under", too_much)
    with pytest.raises(ResourceError, match="batch=3 does not fit into memory; train with batch=1"):
        train(recipe(tiny.folder, 64), "tiny", runs=tmp_path)


def test_all_that_is_new_trains_together(tiny: Manifest, tmp_path: Path) -> None:
    """Mosaic to the last epoch but one, weights of sources, hidden boxes, CLAHE, the loss of present findings."""
    asked = recipe(
        tiny.folder,
        stages=[{"side_px": 64, "epochs": 2, "lr": 0.001}],
        augment={"mosaic": 1.0, "close_mosaic": 1, "gamma": 0.2, "windowing": 0.02},
        sampling={"made": 0.5},
        hide={"fluid": 0.34},
        hide_by="brightness",
        clahe={"clip": 2.0},
        present_weight=0.5,
        precision="bfloat16",
    )

    folder = train(asked, "tiny", runs=tmp_path).folder

    trained = json.loads((folder / "trained.json").read_text())
    assert trained["boxes"] == {"fluid": 2}
    assert trained["boxes_hidden"] == {"fluid": 1}
    assert all(np.isfinite(array).all() for array in load_file(folder / "detector.safetensors").values())


@pytest.mark.slow
def test_two_processes_train_one_network(tiny: Manifest, tmp_path: Path) -> None:
    """By gloo on a CPU; ultralytics itself shares work between GPUs only."""
    asked = recipe(tiny.folder, 64, batch=4, processes=2, augment={"mosaic": 1.0})

    told: list[Step] = []
    folder = train(asked, "tiny", runs=tmp_path, threads=2, tell=told.append).folder

    assert epochs_of(folder) == [1]
    assert [step.epoch for step in told if step.ends_epoch] == [1], "the first process tells, and only that"
    assert all(np.isfinite(array).all() for array in load_file(folder / "detector.safetensors").values())


@pytest.mark.slow
def test_a_run_that_is_killed_loses_at_most_one_epoch(tiny: Manifest, tmp_path: Path) -> None:
    asked = recipe(tiny.folder, stages=[{"side_px": 64, "epochs": 12, "lr": 0.001}])
    script = """
import sys
from pathlib import Path
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.train import train
train(DetectionRecipe.model_validate_json(sys.argv[1]), "tiny", runs=Path(sys.argv[2]), threads=1)
"""
    child = subprocess.Popen([sys.executable, "-c", script, asked.model_dump_json(), str(tmp_path)])
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("detection/*/stage-1-64px/weights/last.pt")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.kill()
    child.wait()
    (folder,) = (tmp_path / "detection").iterdir()
    trained = len(epochs_of(folder))
    assert trained < 12

    train(asked, "tiny", resume=True, runs=tmp_path)

    after = epochs_of(folder)
    assert after[trained] >= trained  # the epoch that was killed at most is trained again
    assert after[-1] == 12


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
    card = release(run, "tiny", "0.0.1", tmp_path / "weights", fewest_boxes=3, default=True)
    film = Radiograph(np.random.default_rng(0).random((120, 100), dtype=np.float32))

    graph = YoloDetector.load(card, JUDGING)
    tensors = load_torch_detector(card.with_suffix(".safetensors"), tmp_path / "state")
    # What the network says, however faint: hardly trained, it may score nothing high enough to be a detection.
    ours, theirs = (one_finding(raw_outputs(each, [film])[0], 0, 1e-6)[1] for each in (graph, tensors))

    assert graph.assessed == ("fluid",)
    assert graph.card.default
    assert len(ours) > 0, "a test of silence would prove nothing"
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert graph.card.calibrated_on is not None
    assert list(graph.card.calibrated_on.findings) == ["fluid"]
    stored = load_file(card.with_suffix(".safetensors"))
    assert {str(array.dtype) for array in stored.values()} == {"float16", "int64"}
    fluid, heart = evaluate(graph, tiny.part(Split.TEST), rounds=10)
    assert fluid.counts.boxes == 3
    assert not heart.assessed


def test_released_weights_are_made_to_be_read_at_another_size(run: Path, tiny: Manifest, tmp_path: Path) -> None:
    at_96 = release(run, "tiny", "0.0.1", tmp_path / "weights", fewest_boxes=3, default=True)
    seen: list[int] = []

    at_64 = resize(at_96, 64, "0.0.2", tiny, tmp_path / "smaller", tmp_path / "state", lambda: seen.append(1))
    at_128 = release(run, "tiny", "0.0.3", tmp_path / "larger", fewest_boxes=3, side_px=128)

    before, after = (YoloDetector.load(card, JUDGING) for card in (at_96, at_64))
    assert (after.card.side_px, after.card.version, after.card.default) == (64, "0.0.2", True)
    assert after.card.trained_on == before.card.trained_on
    assert after.card.sha256["tiny.safetensors"] == before.card.sha256["tiny.safetensors"]
    assert after.card.calibrated_on is not None
    assert len(seen) == len(tiny.part(Split.VAL).images)
    tensors = load_torch_detector(at_64.with_suffix(".safetensors"), tmp_path / "state")
    film = Radiograph(np.random.default_rng(0).random((120, 100), dtype=np.float32))
    ours, theirs = (raw_outputs(each, [film])[0] for each in (after, tensors))
    assert ours.shape == (4 + 2, 64 + 16 + 4), "a place and two findings for each cell of the three grids of 64 px"
    assert ours == pytest.approx(theirs, abs=2e-3)
    assert YoloDetector.load(at_128, JUDGING).card.side_px == 128


def test_weights_are_resized_where_they_lie(run: Path, tiny: Manifest, tmp_path: Path) -> None:
    card = release(run, "tiny", "0.0.1", tmp_path, fewest_boxes=3)
    before = card.with_suffix(".safetensors").read_bytes()

    assert resize(card, 64, "0.0.2", tiny, tmp_path, tmp_path / "state") == card

    assert card.with_suffix(".safetensors").read_bytes() == before
    assert YoloDetector.load(card, JUDGING).card.side_px == 64


def test_nothing_is_resized_without_films_to_calibrate_on(run: Path, tiny: Manifest, tmp_path: Path) -> None:
    card = release(run, "tiny", "0.0.1", tmp_path / "weights", fewest_boxes=3)

    with pytest.raises(DataError, match="no validation part to calibrate on"):
        resize(card, 64, "0.0.2", tiny.part(Split.TRAIN), tmp_path / "out", tmp_path / "state")

    assert not (tmp_path / "out").exists()


def test_a_size_is_judged_by_what_weights_resized_to_it_find(run: Path, tiny: Manifest, tmp_path: Path) -> None:
    card = release(run, "tiny", "0.0.1", tmp_path / "at_96", fewest_boxes=3)
    at_64 = resize(card, 64, "0.0.2", tiny, tmp_path / "at_64", tmp_path / "state")
    part = tiny.part(Split.VAL)

    seen: list[int] = []
    detector = load_torch_detector(card.with_suffix(".safetensors"), tmp_path / "state")

    judged = judge_sizes(detector, tiny, [64, 96, 64], lambda: seen.append(1), rounds=10)

    assert len(seen) == 2 * len(part.images), "the card's own size is read once, and so is one asked for twice"

    found = [list(detect_all(open_detector(each, tmp_path / "state"), part)) for each in (at_64, card)]
    expected = compare_detections(part, *found, ["fluid"], rounds=10)
    assert [row.finding for row in judged[64]] == ["fluid", "mean"]
    for ours, theirs in zip(judged[64], expected, strict=True):
        assert ours.ours.value == pytest.approx(theirs.ours.value, abs=1e-3)
        assert ours.theirs.value == pytest.approx(theirs.theirs.value, abs=1e-3)
    assert judged[96][0].difference.value == 0.0
    with pytest.raises(DataError, match="no validation part to choose a size on"):
        judge_sizes(detector, tiny.part(Split.TEST), [64])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["yolov5n", "yolov9t", "yolo11n", "yolo12n"])
def test_other_detectors_with_the_same_head_are_trained_and_released_too(
    architecture: str, tiny: Manifest, tmp_path: Path
) -> None:
    folder = train(recipe(tiny.folder, 64, architecture=architecture), "tiny", runs=tmp_path).folder
    card = release(folder, architecture, "0.0.1", tmp_path / "weights", fewest_boxes=3)
    film = Radiograph(np.random.default_rng(0).random((80, 64), dtype=np.float32))

    graph = YoloDetector.load(card, JUDGING)
    tensors = load_torch_detector(card.with_suffix(".safetensors"), tmp_path / "state")
    ours, theirs = (raw_outputs(each, [film])[0] for each in (graph, tensors))

    assert ours.shape == (4 + 2, 64 + 16 + 4), "a place and two findings for each cell of the three grids of 64 px"
    assert ours == pytest.approx(theirs, abs=2e-3)


def test_a_run_that_is_not_released_is_judged_without_operating_points(
    run: Path, tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxray.detection.release.FEWEST_TRAINING_BOXES", 3)
    part = tiny.part(Split.TEST)
    released = release(run, "tiny", "0.0.1", tmp_path / "weights", fewest_boxes=3)

    detector = open_detector(run, tmp_path / "state")
    detections = list(detect_all(detector, part))
    fluid, heart = judge_all(part, detections, detector, rounds=10)

    assert (detector.identity.name, detector.identity.version) == ("unreleased", run.name)
    assert detector.card.side_px == 96
    assert fluid.assessed
    assert not heart.assessed
    assert fluid.at_threshold is None
    assert not np.isnan(fluid.ap50.value)
    as_released = open_detector(released.with_suffix(".safetensors"), tmp_path / "state")
    film = part.radiograph(part.images["picture"][0])
    ours, theirs = ([det.score for det in each.detect(film, 1e-6)][:20] for each in (detector, as_released))
    assert len(ours) > 0, "a test of silence would prove nothing"
    assert ours == pytest.approx(theirs, abs=1e-3)  # the released tensors are rounded


def test_a_finding_trained_with_a_handful_of_boxes_is_not_assessed() -> None:
    trained = {"boxed_findings": ["fluid", "heart"], "boxes": {"heart": 20, "fluid": 2}}

    assert assessed_findings(trained, fewest_boxes=20) == ("heart",)
    assert assessed_findings(trained, fewest_boxes=2) == ("fluid", "heart")


def test_an_unfinished_run_is_not_released(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no recipe\.yaml, so it is none of a run"):
        release(tmp_path, "tiny", "0", tmp_path / "weights")
    (tmp_path / "recipe.yaml").write_text("batch: 3\n")

    with pytest.raises(ModelError, match="not finished"):
        release(tmp_path, "tiny", "0", tmp_path / "weights")


def test_a_run_by_another_versions_recipe_is_refused_by_the_key(run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "run")
    recipe_file = other / "recipe.yaml"
    recipe_file.write_text(recipe_file.read_text() + "colour: 0.5\n")

    with pytest.raises(RecipeError, match=r"recipe\.yaml.*colour"):
        release(other, "tiny", "0", tmp_path / "weights")
