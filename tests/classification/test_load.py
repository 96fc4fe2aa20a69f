"""What can be judged: released weights by either file, and finished runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="running tensors needs the extra [train]")

from boxray.classification import load as loading  # noqa: E402
from boxray.classification.backbones import build_classifier  # noqa: E402
from boxray.classification.layers import layer_maps  # noqa: E402
from boxray.classification.load import open_classifier, trained_network  # noqa: E402
from boxray.classification.preprocess import equalized_square, network_input  # noqa: E402
from boxray.core.bench import bench_folder  # noqa: E402
from boxray.core.calibration import sigmoid  # noqa: E402
from boxray.core.errors import ModelError  # noqa: E402
from boxray.core.frames import Letterbox  # noqa: E402
from boxray.core.radiograph import Radiograph  # noqa: E402
from boxray.imaging.read import decode  # noqa: E402
from boxray.runs.recipe import Clahe  # noqa: E402
from boxray.tensors import write_tensors  # noqa: E402
from boxray.weights import released_card  # noqa: E402
from built import TWO  # noqa: E402
from making import chest  # noqa: E402

FILM = Radiograph((chest(seed=1) / 255).astype(np.float32))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that nobody trained."""
    folder = tmp_path_factory.mktemp("runs") / "2026-01-01-tiny-01234567"
    folder.mkdir()
    torch.manual_seed(0)
    write_tensors(build_classifier("mobilenet_v2", 2).state_dict(), folder / "classifier.safetensors")
    recipe = {"data": "nowhere", "side_px": 64, "clahe": {"clip": 2.0, "tiles": 2}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    trained = {
        "label_space": TWO.to_mapping(),
        "findings": ["heart"],
        "images": 3,
        "positives": {"fluid": 0, "heart": 2},
        "sources": ["made"],
        "fingerprint": "f",
    }
    (folder / "trained.json").write_text(json.dumps(trained))
    return folder


def test_a_finished_run_answers_for_what_it_was_trained_for_and_has_no_operating_point(run: Path) -> None:
    classifier = open_classifier(run)

    (answer,) = classifier.score_many([FILM])

    logits, _, _ = classifier.raw(FILM)
    assert answer == {"heart": pytest.approx(float(sigmoid(logits[1])))}
    assert classifier.identity.name == run.name
    assert classifier.identity.thresholds == {}
    assert len(classifier.identity.sha256) == 64


def test_the_scores_of_many_are_those_of_each_with_its_maps() -> None:
    classifier = open_classifier(released_card("classification"))
    films = [Radiograph((chest(seed=seed) / 255).astype(np.float32)) for seed in range(5)]

    answers = list(classifier.score_many(films))

    assert answers == [classifier.classify(film).scores for film in films]
    assert len({tuple(answer.values()) for answer in answers}) == 5


def test_released_weights_answer_alike_by_card_graph_and_tensors() -> None:
    card = released_card("classification")

    graph, by_card, tensors = (
        open_classifier(card.with_suffix(suffix)) for suffix in (".onnx", ".json", ".safetensors")
    )

    said = [classifier.score(FILM) for classifier in (graph, by_card, tensors)]
    assert said[0] == pytest.approx(said[1])
    assert said[0] == pytest.approx(said[2], abs=1e-4)  # in float32, on a CPU with bfloat16 too
    assert graph.identity == tensors.identity


def test_a_released_graph_is_judged_in_float32_on_every_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(loading.CamClassifier, "load", lambda *choice, many: asked.append((*choice, many)))
    card = released_card("classification")

    open_classifier(card)

    assert asked == [(card, "openvino-f32", True)]


def test_a_folder_that_is_none_of_a_run_and_a_run_that_is_not_finished_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no recipe\.yaml, so it is none of a run"):
        open_classifier(tmp_path)
    (tmp_path / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    with pytest.raises(ModelError, match="not finished"):
        open_classifier(tmp_path)


def test_a_detector_is_no_classifier() -> None:
    with pytest.raises(ModelError, match="is made for detection, not for classification"):
        trained_network(released_card("detection").with_suffix(".safetensors"))


def with_layer(run: Path, folder: Path, layer: str) -> Path:
    """The same run by a recipe that names a layer for its maps."""
    copied = folder / run.name
    shutil.copytree(run, copied)
    recipe = yaml.safe_load((copied / "recipe.yaml").read_text())
    (copied / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"cam_layer": layer}))
    return copied


def test_a_recipe_may_name_the_layer_at_which_maps_are_made(run: Path, tmp_path: Path) -> None:
    last, earlier = open_classifier(run), open_classifier(with_layer(run, tmp_path, "features.13"))

    (logits, maps, _), (same_logits, earlier_maps, _) = last.raw(FILM), earlier.raw(FILM)

    np.testing.assert_allclose(same_logits, logits, rtol=1e-4, atol=1e-5)
    assert maps.shape[1:] == (2, 2)
    assert earlier_maps.shape[1:] == (4, 4), "halved once less"
    pixels = torch.from_numpy(
        network_input(equalized_square(FILM, Letterbox.fit(FILM.size_wh, 64), Clahe(tiles=2))[None])
    )
    expected = layer_maps(trained_network(run)[1].classifier, pixels, ("grad_cam",), "features.13")["grad_cam"][0]
    np.testing.assert_allclose(earlier_maps, expected, rtol=1e-4, atol=1e-7)
    assert earlier.methods == ("grad_cam", "occlusion")


def test_a_layer_that_is_not_there_is_told_with_those_that_are(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no layer 'features.99'.*features.18"):
        open_classifier(with_layer(run, tmp_path, "features.99"))


def test_the_tensors_draw_the_lungs_that_the_graph_draws() -> None:
    card = released_card("classification")

    graph, tensors = (open_classifier(card.with_suffix(suffix)) for suffix in (".onnx", ".safetensors"))

    film = decode((bench_folder("data/examples") / "no_finding.dcm").read_bytes())
    ours, theirs = (classifier.classify(film).lungs for classifier in (graph, tensors))
    assert ours is not None
    assert theirs is not None
    assert (ours.both ^ theirs.both).mean() < 0.001
    assert ours.both.any()
