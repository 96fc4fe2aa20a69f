"""Start weights of many classes serve a network of few: the channels that carry most stay."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from boxray.detection import ultralytics_engine as engine  # noqa: E402
from boxray.detection.narrowing import narrowed  # noqa: E402
from making import untrained_detector  # noqa: E402

COCO, OURS, WIDTH = 80, 8, 64
"""Classes, findings, and the channels that a branch of YOLOv8n has for eight findings."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    """A network of 80 classes; in either layer of each branch all but 64 channels, drawn at random, say nothing."""
    engine.tame_ultralytics(tmp_path_factory.mktemp("ultralytics"))
    network = untrained_detector("yolov8n", COCO, seed=0)
    for branch in network.model[-1].cv3:
        for layer in branch[:2]:
            silent = torch.randperm(COCO)[WIDTH:]
            with torch.no_grad():
                layer.bn.weight[silent] = 0
                layer.bn.bias[silent] = 0
    return network


def before_the_classes(network: torch.nn.Module, film: torch.Tensor) -> list[torch.Tensor]:
    """What the last layer of each branch is given: shape ``(B, channels, h, w)`` at three sizes."""
    given: list[torch.Tensor] = []
    hooks = [
        branch[2].register_forward_pre_hook(lambda _layer, seen: given.append(seen[0]))
        for branch in network.model[-1].cv3
    ]
    with torch.no_grad():
        network(film)
    for hook in hooks:
        hook.remove()
    return given


def test_a_branch_cut_by_channels_that_say_nothing_says_what_the_whole_one_did(wide: torch.nn.Module) -> None:
    ours = untrained_detector("yolov8n", OURS, seed=1)
    engine.load_matching(ours, wide.state_dict())
    film = torch.rand(2, 3, 64, 64)
    pairs = zip(before_the_classes(ours.eval(), film), before_the_classes(wide, film), wide.model[-1].cv3, strict=True)
    for cut, whole, branch in pairs:
        speaking = branch[1].bn.weight.nonzero()[:, 0]
        assert cut.shape[1] == len(speaking) == WIDTH
        torch.testing.assert_close(cut, whole[:, speaking], rtol=1e-4, atol=1e-5)


def test_the_channel_that_the_next_layer_hardly_hears_goes_first(wide: torch.nn.Module) -> None:
    state = untrained_detector("yolov8n", COCO, seed=2).state_dict()
    deaf = torch.arange(0, COCO - WIDTH) * 3
    state["model.22.cv3.1.2.weight"][:, deaf] *= 1e-6
    shapes = {key: value.shape for key, value in untrained_detector("yolov8n", OURS, seed=1).state_dict().items()}

    cut = narrowed(state, shapes)["model.22.cv3.1.1.bn.bias"]

    heard = [channel for channel in range(COCO) if channel not in deaf.tolist()]
    assert torch.equal(cut, state["model.22.cv3.1.1.bn.bias"][heard])


def test_only_the_last_layer_of_each_branch_is_left_random(wide: torch.nn.Module) -> None:
    shapes = {key: value.shape for key, value in untrained_detector("yolov8n", OURS, seed=1).state_dict().items()}
    left = {key for key, value in narrowed(wide.state_dict(), shapes).items() if value.shape != shapes[key]}
    assert left == {f"model.22.cv3.{size}.2.{part}" for size in range(3) for part in ("weight", "bias")}


def test_a_network_that_begins_with_its_own_kind_takes_all_as_it_is() -> None:
    state = untrained_detector("yolov8n", OURS, seed=1).state_dict()
    same = narrowed(state, {key: value.shape for key, value in state.items()})
    assert all(torch.equal(same[key], value) for key, value in state.items())
