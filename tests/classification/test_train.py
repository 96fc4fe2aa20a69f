"""A whole training of the classifier on drawn chests, and on folders of pictures by class."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from built import TWO, build_tiny_set, image_row, manifest_of

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification import release as releasing  # noqa: E402
from boxray.classification import train as training  # noqa: E402
from boxray.classification.backbones import WithMaps, build_classifier  # noqa: E402
from boxray.classification.classify import CamClassifier  # noqa: E402
from boxray.classification.evaluate import evaluate  # noqa: E402
from boxray.classification.load import open_classifier  # noqa: E402
from boxray.classification.loss import exclusive_loss, masked_loss  # noqa: E402
from boxray.classification.pointing import TaughtPlaces  # noqa: E402
from boxray.classification.preprocess import equalized_square, network_input  # noqa: E402
from boxray.classification.recipe import ClassificationRecipe  # noqa: E402
from boxray.classification.release import release  # noqa: E402
from boxray.classification.train import train  # noqa: E402
from boxray.core.errors import DataError, ModelError, RecipeError  # noqa: E402
from boxray.core.findings import Presence  # noqa: E402
from boxray.core.frames import Letterbox  # noqa: E402
from boxray.core.radiograph import Radiograph  # noqa: E402
from boxray.data.draw import draw_at_most  # noqa: E402
from boxray.data.manifest import Manifest  # noqa: E402
from boxray.data.split import Split  # noqa: E402
from boxray.runs.recipe import Clahe, load_recipe, recipe_path  # noqa: E402
from boxray.runs.step import Step  # noqa: E402
from boxray.tensors import read_tensors, write_tensors  # noqa: E402


def tiny_recipe(data: Path, **changes: object) -> ClassificationRecipe:
    small = {"data": data, "side_px": 64, "head_epochs": 1, "epochs": 1, "batch": 4, "clahe": {"tiles": 2}}
    return ClassificationRecipe.model_validate(small | changes)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return build_tiny_set(tmp_path_factory.mktemp("tiny"), per_split=16)


def test_a_run_that_was_cut_off_goes_on_to_the_very_same_weights(tiny: Manifest, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny.folder)
    whole = train(recipe, "tiny", runs=tmp_path / "whole")
    cut = train(recipe, "tiny", runs=tmp_path / "cut")
    # What a cut after the first epoch leaves: its checkpoint and no weights.
    (cut.folder / "classifier.safetensors").unlink()
    (cut.folder / "epoch-2.safetensors").unlink()
    first = train(tiny_recipe(tiny.folder, epochs=0), "tiny", runs=tmp_path / "first")
    (first.folder / "epoch-1.safetensors").rename(cut.folder / "epoch-1.safetensors")

    again = train(recipe, "tiny", resume=True, runs=tmp_path / "cut")

    assert again.folder == cut.folder
    assert (again.folder / "classifier.safetensors").read_bytes() == (
        whole.folder / "classifier.safetensors"
    ).read_bytes()


def test_the_last_epochs_are_averaged_and_share_a_learning_rate(tiny: Manifest, tmp_path: Path) -> None:
    told: list[Step] = []
    run = train(tiny_recipe(tiny.folder, epochs=3, averaged_epochs=2), "tiny", runs=tmp_path, tell=told.append)

    last = [read_tensors(run.folder / f"epoch-{number}.safetensors") for number in (3, 4)]
    averaged = read_tensors(run.folder / "classifier.safetensors")
    assert sorted(path.name for path in run.folder.glob("epoch-*")) == ["epoch-3.safetensors", "epoch-4.safetensors"]
    for key in ("head.weight", "features.0.1.running_mean"):
        assert not torch.equal(last[0][key], last[1][key])
        torch.testing.assert_close(averaged[key], (last[0][key] + last[1][key]) / 2)
    assert [step.epoch for step in told if step.ends_epoch] == [1, 2, 3, 4]
    assert (run.folder / "epochs.csv").read_text().splitlines()[-1] == f"4,{told[-1].losses['loss']:.6g}"


def test_start_weights_that_are_not_there_are_said_before_a_run_is_begun(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are not there; set start=null"):
        train(tiny_recipe(tiny.folder, start=tmp_path / "absent.safetensors"), "tiny", runs=tmp_path)

    assert not (tmp_path / "classification").exists()


def test_more_epochs_to_average_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="all layers learn for 2 epochs only"):
        tiny_recipe(Path("built"), epochs=2, averaged_epochs=3)


def test_there_is_nothing_to_go_on_with_where_nothing_was_begun(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="start without --resume"):
        train(tiny_recipe(tiny.folder), "tiny", resume=True, runs=tmp_path)


def test_a_trained_run_becomes_weights_that_answer_without_torch_code(tiny: Manifest, tmp_path: Path) -> None:
    run = train(tiny_recipe(tiny.folder), "tiny", runs=tmp_path / "runs")
    card = release(run.folder, "tiny", "0.0.1", tmp_path / "weights")

    classifier = CamClassifier.load(card)
    answer = classifier.classify(Radiograph(np.random.default_rng(0).random((90, 70), dtype=np.float32)))
    results = evaluate(classifier, tiny.part(Split.TEST), rounds=20)

    assert set(answer.scores) == {"fluid", "heart"}
    assert all(0 <= score <= 1 for score in answer.scores.values())
    assert all(saliency.values.shape == (90, 70) for saliency in answer.maps)
    counts = [result.pooled.counts for result in results.findings]
    assert [(each.images_with, each.images_without) for each in counts] == [(8, 8), (8, 8)]
    points = json.loads(card.read_text())["operating_points"]
    assert "8 positives and 8 negatives" in points["fluid"]["chosen"]
    assert json.loads(card.read_text())["default"] is False


@pytest.mark.parametrize("pointing", [0.0, 0.3])
def test_released_weights_say_whether_their_maps_were_taught_by_boxes_and_whether_they_are_the_default(
    pointing: float, tiny: Manifest, tmp_path: Path
) -> None:
    run = train(tiny_recipe(tiny.folder, epochs=0, pointing=pointing), "tiny", runs=tmp_path / "runs")

    card = release(run.folder, "tiny", "0", tmp_path / "weights", default=True)

    assert json.loads(card.read_text())["default"] is True
    assert CamClassifier.load(card).taught_by_boxes is bool(pointing)


def test_the_head_learns_alone_first_and_frozen_blocks_never(tiny: Manifest, tmp_path: Path) -> None:
    torch.manual_seed(4)
    start = {
        f"features.{key}": value for key, value in build_classifier("mobilenet_v2", 2).features.state_dict().items()
    }
    write_tensors(start, tmp_path / "start.safetensors")

    def trained(**changes: object) -> dict[str, torch.Tensor]:
        recipe = tiny_recipe(tiny.folder, start=tmp_path / "start.safetensors", frozen_blocks=3, **changes)
        return read_tensors(train(recipe, "tiny", runs=tmp_path).folder / "classifier.safetensors")

    head_alone, all_layers = trained(epochs=0), trained(epochs=1)

    moved = {key.split(".")[1] for key, value in start.items() if not torch.equal(all_layers[key], value)}
    assert all(torch.equal(head_alone[key], value) for key, value in start.items())
    assert not torch.equal(all_layers["head.weight"], head_alone["head.weight"])
    assert moved == {str(block) for block in range(3, 19)}


def test_each_picture_is_changed_and_equalized_as_the_recipe_says(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[np.ndarray] = []
    as_input = training.network_input
    monkeypatch.setattr(training, "network_input", lambda squares: as_input(shown.append(squares) or squares))
    still = {"brightness": 0.0, "scale": 0.0, "degrees": 0.0, "translate": 0.0, "epochs": 0, "at_most": {"made": 8}}

    def pictures(**changes: object) -> set[bytes]:
        shown.clear()
        train(tiny_recipe(tiny.folder, **(still | changes)), "tiny", runs=tmp_path)
        return {square.tobytes() for batch in shown for square in batch}

    as_they_are, equalized, brighter = pictures(clahe=None), pictures(), pictures(clahe=None, brightness=0.3)

    part = draw_at_most(tiny.part(Split.TRAIN), {"made": 8}, 0)
    films = [part.radiograph(picture) for picture in part.images["picture"]]
    for setting, found in ((None, as_they_are), (Clahe(tiles=2), equalized)):
        assert found == {equalized_square(rad, Letterbox.fit(rad.size_wh, 64), setting).tobytes() for rad in films}
    assert len(as_they_are) == 8
    assert not as_they_are & brighter


def test_a_map_that_is_taught_by_boxes_lies_in_them_as_one_taught_by_labels_does_not(
    tiny: Manifest, tmp_path: Path
) -> None:
    part = tiny.part(Split.TEST)
    boxed = np.flatnonzero(part.images["presence_fluid"] == Presence.BOXED.value)
    films = [part.radiograph(part.images["picture"].iloc[index]) for index in boxed]
    squares = [equalized_square(rad, Letterbox.fit(rad.size_wh, 128), Clahe(tiles=2)) for rad in films]

    def loss_of_place(pointing: float) -> float:
        run = train(tiny_recipe(tiny.folder, side_px=128, lr=1e-3, epochs=3, pointing=pointing), "map", runs=tmp_path)
        classifier = build_classifier("mobilenet_v2", len(TWO))
        classifier.load_state_dict(read_tensors(run.folder / "classifier.safetensors"))
        classifier.train()  # in so short a training the statistics are those of the batch
        with torch.inference_mode():
            by_cell = classifier.by_cell(classifier.features(torch.from_numpy(network_input(np.stack(squares)))))
        as_they_are = [np.eye(2, 3)] * len(boxed)
        return float(TaughtPlaces.of(part, 128, classifier).loss(by_cell, boxed, as_they_are))

    assert loss_of_place(1.0) < 0.5 * loss_of_place(0.0)


def test_maps_cannot_be_taught_where_no_film_has_a_box(tmp_path: Path) -> None:
    cells = [{"fluid": (state, "label"), "heart": (state, "label")} for state in ("present", "absent")]
    manifest_of(tmp_path, [image_row(number, "train", cells[number % 2]) for number in range(8)], []).save({})

    with pytest.raises(RecipeError, match=r"^pointing: 0\.3, but no training image has a box; leave it out$"):
        train(tiny_recipe(tmp_path, pointing=0.3), "tiny", runs=tmp_path)

    assert not list(tmp_path.glob("*/*/squares.npy"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_convolutions_compute_in_what_the_recipe_says_and_weights_stay_float32(
    precision: str, tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convolved: set[torch.dtype] = set()
    lost: set[torch.dtype] = set()

    def watched(*asked: Any, **also: Any) -> Any:
        classifier = build_classifier(*asked, **also)
        classifier.features.register_forward_hook(lambda _module, _seen, given: convolved.add(given.dtype))
        return classifier

    monkeypatch.setattr(training, "build_classifier", watched)
    monkeypatch.setattr(training, "masked_loss", lambda logits, *of: lost.add(logits.dtype) or masked_loss(logits, *of))

    run = train(tiny_recipe(tiny.folder, precision=precision), "tiny", runs=tmp_path)

    assert convolved == {getattr(torch, precision)}
    assert lost == {torch.float32}
    assert {value.dtype for value in read_tensors(run.folder / "classifier.safetensors").values()} == {
        torch.float32,
        torch.int64,
    }


def test_findings_side_by_side_and_classes_that_exclude_each_other_learn_by_their_own_loss() -> None:
    assert training.loss_of(TWO) is masked_loss
    assert training.loss_of(replace(TWO, exclusive=True)) is exclusive_loss


def test_a_release_is_calibrated_on_the_validation_part_and_no_other(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    made = releasing.calibrate
    monkeypatch.setattr(
        releasing, "calibrate", lambda classifier, part: made(classifier, seen.append(part.images["split"]) or part)
    )
    run = train(tiny_recipe(tiny.folder, epochs=0), "tiny", runs=tmp_path / "runs")

    release(run.folder, "tiny", "0", tmp_path / "weights")

    (splits,) = seen
    assert set(splits) == {"val"}


def test_a_graph_that_answers_otherwise_than_its_network_is_not_released(
    tiny: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny_recipe(tiny.folder, epochs=0), "tiny", runs=tmp_path / "runs")
    write = releasing.write_graph

    def other_weights(network: WithMaps, *arguments: Any) -> None:
        other = deepcopy(network)
        other.classifier.head.weight.data *= 1.01
        write(other, *arguments)

    monkeypatch.setattr(releasing, "write_graph", other_weights)

    with pytest.raises(ModelError, match="does not answer as the network does in 'head'"):
        release(run.folder, "tiny", "0", tmp_path / "weights")


def test_fewer_images_than_a_batch_would_teach_nothing_and_are_refused(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="16 training images are fewer than a batch of 17"):
        train(tiny_recipe(tiny.folder, batch=17), "tiny", runs=tmp_path)


def test_a_layer_that_is_not_there_is_said_before_a_run_is_begun(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no layer 'features\.99'"):
        train(tiny_recipe(tiny.folder, cam_layer="features.99"), "tiny", runs=tmp_path)

    assert not (tmp_path / "classification").exists()


def test_what_is_released_makes_its_maps_of_the_last_features(tiny: Manifest, tmp_path: Path) -> None:
    run = train(tiny_recipe(tiny.folder, cam_layer="features.13", epochs=0), "tiny", runs=tmp_path / "runs")

    card = release(run.folder, "tiny", "0", tmp_path / "weights")

    graph, tensors = (open_classifier(card.with_suffix(suffix)) for suffix in (".onnx", ".safetensors"))
    film = tiny.radiograph(tiny.images["picture"][0])
    for ours, theirs in zip(graph.classify(film).maps, tensors.classify(film).maps, strict=True):
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-5)


def test_torchvisions_inception_is_not_shown_the_shades_of_the_others() -> None:
    with pytest.raises(ValueError, match="Inception-v3 was trained on shades in"):
        tiny_recipe(Path("built"), architecture="inception_v3", shades="imagenet")


def test_an_unfinished_run_is_not_released(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").touch()

    with pytest.raises(ModelError, match="not finished"):
        release(tmp_path, "tiny", "0", tmp_path / "weights")


def image_folder(root: Path, pictures: int = 6) -> Path:
    """`train|val|test/<class>/`: bright squares in different corners stand for parts of the body."""
    rng = np.random.default_rng(0)
    corners = {"abdomen": (0, 0), "chest": (0, 1), "hand": (1, 0), "head": (1, 1)}
    for part in ("train", "val", "test"):
        for name, (down, right) in corners.items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(pictures):
                grey = rng.integers(20, 120, (160, 160), dtype=np.uint8)
                grey[10 + 75 * down : 75 + 75 * down, 10 + 75 * right : 75 + 75 * right] += 120
                assert cv2.imwrite(str(folder / f"{part}{name}{number}.png"), grey)
    return root


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> ClassificationRecipe:
    """The recipe on the bench, made small, on a folder of four classes."""
    root = tmp_path_factory.mktemp("organs")
    overrides = [f"image_folder.folder={image_folder(root / 'raw')}", f"data={root / 'built'}"]
    small = ["start=null", "side_px=64", "batch=8", "head_epochs=8", "epochs=1", "head_lr=0.01", "flip=false"]
    small += ["clahe.tiles=2", "keep_statistics=false"]
    return load_recipe(ClassificationRecipe, recipe_path("classification", "organs"), overrides + small)


def test_a_folder_of_pictures_by_class_is_trained_on_and_its_parts_are_kept(
    organs: ClassificationRecipe, tmp_path: Path
) -> None:
    run = train(organs, "organs", runs=tmp_path / "runs")
    classifier = CamClassifier.load(release(run.folder, "organs", "0", tmp_path / "weights"))
    manifest = Manifest.load(organs.data)

    assert manifest.images.groupby(["split"], observed=True).size().to_dict() == {"train": 24, "val": 24, "test": 24}
    for picture in manifest.part(Split.TEST).images["picture"][:4]:
        scores = classifier.classify(manifest.radiograph(picture)).scores
        assert sum(scores.values()) == pytest.approx(1)
    assert len(set(classifier.card.calibration.values())) == 1, "one temperature for all classes"


@pytest.mark.parametrize("keep", [True, False])
def test_the_statistics_of_the_start_weights_stay_only_where_the_recipe_keeps_them(
    tiny: Manifest, tmp_path: Path, keep: bool
) -> None:
    fresh = build_classifier("mobilenet_v2", 2).features.state_dict()
    start = {f"features.{key}": value for key, value in fresh.items()}
    write_tensors(start, tmp_path / "start.safetensors")

    run = train(
        tiny_recipe(tiny.folder, start=tmp_path / "start.safetensors", keep_statistics=keep), "tiny", runs=tmp_path
    )

    trained = read_tensors(run.folder / "classifier.safetensors")
    assert not torch.equal(trained["features.18.0.weight"], start["features.18.0.weight"])
    assert torch.equal(trained["features.18.1.running_mean"], start["features.18.1.running_mean"]) is keep


def test_pictures_with_sides_are_not_mirrored(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="sides count"):
        train(tiny_recipe(tiny.folder, flip=True), "tiny", runs=tmp_path)


def test_a_training_without_clahe_is_released_without(tiny: Manifest, tmp_path: Path) -> None:
    run = train(tiny_recipe(tiny.folder, clahe=None), "tiny", runs=tmp_path / "runs")

    card = release(run.folder, "tiny", "0", tmp_path / "weights")

    assert CamClassifier.load(card).card.clahe is None


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_epoch(tiny: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"epoch 2 is not finite.*smaller learning rate"):
        train(tiny_recipe(tiny.folder, lr=1e30, epochs=2), "tiny", runs=tmp_path)

    (folder,) = (tmp_path / "classification").iterdir()
    assert [path.name for path in folder.glob("*.safetensors")] == ["epoch-1.safetensors"]
    assert not (folder / "squares.npy").exists()


def test_what_is_unknown_counts_as_absent_only_where_partial_labels_are_off(tiny: Manifest, tmp_path: Path) -> None:
    manifest = Manifest.load(tiny.folder)
    absent = manifest.images["presence_fluid"] == "absent"
    manifest.images.loc[absent, "presence_fluid"] = "unknown"
    unknown = replace(manifest, folder=tmp_path / "set")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tiny.folder / "images")
    unknown.save({})

    on, off = (
        train(tiny_recipe(unknown.folder, partial_labels=partial), "tiny", runs=tmp_path / "runs")
        for partial in (True, False)
    )

    trained = [json.loads((run.folder / "trained.json").read_text())["findings"] for run in (on, off)]
    assert trained == [["heart"], ["fluid", "heart"]]
