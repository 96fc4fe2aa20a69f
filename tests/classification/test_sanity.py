"""Maps must change when what the network learned is thrown away; and the check must be able to say that they do not."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.backbones import PooledClassifier, build_classifier  # noqa: E402
from boxray.classification.preprocess import equalized_square, network_input  # noqa: E402
from boxray.classification.sanity import (  # noqa: E402
    map_change_when_randomized,
    map_changes,
    rank_correlation,
    with_shuffled_weights,
)
from boxray.cli.demo import examples  # noqa: E402
from boxray.core.errors import ModelError  # noqa: E402
from boxray.core.frames import Letterbox  # noqa: E402
from boxray.imaging.read import decode  # noqa: E402
from boxray.tensors import read_tensors  # noqa: E402
from boxray.weights import ModelCard, load_card, released_card  # noqa: E402


@pytest.fixture(scope="module")
def card_and_network() -> tuple[ModelCard, PooledClassifier]:
    card, tensors = load_card(released_card("classification"), check=".safetensors")
    network = build_classifier(card.architecture, len(card.space))
    network.load_state_dict(read_tensors(tensors))
    return card, network.eval()


@pytest.fixture(scope="module")
def network(card_and_network: tuple[ModelCard, PooledClassifier]) -> PooledClassifier:
    return card_and_network[1]


@pytest.fixture(scope="module")
def pixels(card_and_network: tuple[ModelCard, PooledClassifier]) -> "torch.Tensor":
    """Two of the bundled examples."""
    card, _ = card_and_network

    def squares() -> Iterator[np.ndarray]:
        for path in [path for path in examples() if path.stem in {"effusion", "cardiomegaly"}]:
            rad = decode(path.read_bytes())
            yield equalized_square(rad, Letterbox.fit(rad.size_wh, card.side_px), card.clahe)

    return torch.from_numpy(network_input(np.stack(list(squares()))))


@pytest.mark.parametrize("part", ["head", None], ids=["head", "all weights"])
def test_grad_cam_of_the_released_weights_is_another_map_without_what_they_learned(
    network: PooledClassifier, pixels: "torch.Tensor", part: str | None
) -> None:
    correlations = map_change_when_randomized(network, pixels, "grad_cam", part=part)

    assert np.isfinite(correlations).any()
    assert abs(np.nanmean(correlations)) < 0.3


@pytest.mark.parametrize("method", ["grad_cam_plus_plus", "layer_cam", "eigen_cam"])
def test_other_maps_are_other_maps_once_all_weights_are_shuffled(
    network: PooledClassifier, pixels: "torch.Tensor", method: str
) -> None:
    seeds = [map_change_when_randomized(network, pixels, method, seed=seed) for seed in (0, 1)]

    assert abs(np.nanmean(seeds)) < 0.5


def test_the_check_tells_a_map_that_does_not_see_the_weights(network: PooledClassifier, pixels: "torch.Tensor") -> None:
    """Eigen-CAM is made of features alone, so that it cannot see the head."""
    correlations = map_change_when_randomized(network, pixels[:1], "eigen_cam", part="head")

    np.testing.assert_allclose(correlations, 1)


def test_a_map_that_vanishes_has_changed_and_one_that_never_was_has_not() -> None:
    """One weight a finding: shuffling exchanges the findings' weights, and so which map there is."""
    network = PooledClassifier(torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1), torch.nn.ReLU()), 1, 2).eval()
    with torch.no_grad():
        network.features[0].weight.fill_(1.0)
        network.features[0].bias.zero_()
        network.head.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    pixels = torch.rand(1, 3, 4, 4)
    exchanging = next(
        seed for seed in range(20) if with_shuffled_weights(network, "head", seed).head.weight[0].item() == -1
    )

    [[there, never]] = map_change_when_randomized(network, pixels, part="head", seed=exchanging)

    assert there == 0
    assert np.isnan(never)


def test_shuffling_keeps_each_tensors_numbers_and_leaves_the_network_itself_alone(network: PooledClassifier) -> None:
    before = network.head.weight.detach().clone()

    shuffled = with_shuffled_weights(network, "head", seed=1)

    assert torch.equal(network.head.weight, before)
    assert not torch.equal(shuffled.head.weight, before)
    assert torch.equal(shuffled.head.weight.flatten().sort().values, before.flatten().sort().values)
    for one, other in zip(shuffled.features.parameters(), network.features.parameters(), strict=True):
        assert torch.equal(one, other), "only the head was to be shuffled"


def test_a_part_that_is_not_there_is_answered_by_those_that_are(
    network: PooledClassifier, pixels: "torch.Tensor"
) -> None:
    with pytest.raises(ModelError, match=r"'tail'.*features, dropout, head"):
        map_change_when_randomized(network, pixels[:1], part="tail")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert np.isnan(rank_correlation(one, other))
        return

    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)


def test_the_check_of_a_whole_set_tells_maps_that_see_the_head_from_those_that_do_not(
    network: PooledClassifier, pixels: "torch.Tensor"
) -> None:
    seen: list[int] = []

    changes = map_changes(
        network, (pixels[place : place + 1] for place in range(2)), ("grad_cam", "eigen_cam"), 1, lambda: seen.append(1)
    )

    of = {(change.method, change.shuffled): change for change in changes}
    assert len(of) == 4
    assert abs(of["grad_cam", "head"].mean) < 0.5
    assert of["eigen_cam", "head"].mean == pytest.approx(1)
    assert all(-1 <= change.low <= change.mean <= change.high <= 1.0001 for change in changes)
    assert of["eigen_cam", "head"].maps == 2 * 8
    assert len(seen) == 2
