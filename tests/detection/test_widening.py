"""A network twice as wide begins where the narrow one ended."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from boxray.core.errors import ModelError  # noqa: E402
from boxray.detection import ultralytics_engine as engine  # noqa: E402
from boxray.detection.widening import widened  # noqa: E402
from making import untrained_detector  # noqa: E402


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    engine.tame_ultralytics(tmp_path_factory.mktemp("ultralytics"))
    return untrained_detector("yolov8n", 8, seed=0)


def test_a_network_twice_as_wide_answers_as_the_narrow_one(narrow: torch.nn.Module) -> None:
    wide = untrained_detector("yolov8s", 8, seed=1)
    film = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = (wide(film)[0] - narrow(film)[0]).abs().max()
        engine.load_matching(wide, narrow.state_dict())
        after = (wide.eval()(film)[0] - narrow(film)[0]).abs().max()
    assert before > 0.1
    assert after < 1e-3


def test_twins_learn_different_things(narrow: torch.nn.Module) -> None:
    wide = untrained_detector("yolov8s", 8, seed=1)
    engine.load_matching(wide, narrow.state_dict())
    wide.train()
    out = wide(torch.rand(2, 3, 64, 64))
    (out["scores"].pow(2).sum() + out["boxes"].pow(2).sum()).backward()
    gradient = wide.model[4].cv1.conv.weight.grad
    assert not torch.allclose(gradient[0::2], gradient[1::2], rtol=0.01)


def test_the_same_seed_gives_the_same_twins(narrow: torch.nn.Module) -> None:
    shapes = {key: value.shape for key, value in untrained_detector("yolov8s", 8, seed=1).state_dict().items()}
    one, same, other = (widened(narrow.state_dict(), shapes, seed) for seed in (3, 3, 4))
    key = "model.4.cv1.conv.weight"
    assert torch.equal(one[key], same[key])
    assert not torch.equal(one[key], other[key])


def test_a_deeper_network_is_refused_and_the_error_names_what_fits(narrow: torch.nn.Module) -> None:
    with pytest.raises(ModelError, match="yolov8n for yolov8s"):
        engine.load_matching(untrained_detector("yolov8m", 8, seed=1), narrow.state_dict())


def test_tensors_of_the_same_shape_are_untouched(narrow: torch.nn.Module) -> None:
    state = narrow.state_dict()
    same = widened(state, {key: value.shape for key, value in state.items()})
    assert same.keys() == state.keys()
    assert all(torch.equal(same[key], value) for key, value in state.items())
