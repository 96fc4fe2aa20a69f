"""Maps at any layer, against pytorch-grad-cam's on the same networks, and against torch's own derivatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM  # noqa: E402
from pytorch_grad_cam.utils.image import scale_cam_image  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_with_sign_correction  # noqa: E402
from torch import nn  # noqa: E402

from boxray.classification.backbones import PooledClassifier, WithMaps, build_classifier  # noqa: E402
from boxray.classification.explain import GRADIENT_METHODS, gradient_map, pooled_gradients  # noqa: E402
from boxray.classification.layers import features_and_gradients, find_layer, layer_maps  # noqa: E402
from boxray.core.errors import ModelError  # noqa: E402

SIDE = 128
FINDINGS = 2
THEIRS = {"grad_cam": GradCAM, "grad_cam_plus_plus": GradCAMPlusPlus, "layer_cam": LayerCAM}
"""Eigen-CAM has tests of its own: theirs has no fixed sign."""


def plain_network(*, in_place: bool = False) -> PooledClassifier:
    """Three convolutions; the head's weights are far from zero, so that no constant of a formula hides an error."""
    features = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(in_place),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(in_place),
        nn.Conv2d(16, 16, 3, stride=2, padding=1),
        nn.ReLU(in_place),
    )
    network = PooledClassifier(features, 16, FINDINGS)
    nn.init.normal_(network.head.weight, std=2.0)
    return network


NETWORKS: dict[str, Callable[[], PooledClassifier]] = {
    "plain": plain_network,
    "mobilenet_v2": lambda: build_classifier("mobilenet_v2", FINDINGS),
    "densenet121": lambda: build_classifier("densenet121", FINDINGS),
}
LAYERS = [
    ("plain", None),
    ("plain", "features.2"),  # before its ReLU: features of both signs
    ("plain", "features.3"),
    ("mobilenet_v2", None),
    ("mobilenet_v2", "features.13"),
    ("densenet121", None),
]


@pytest.fixture(scope="module")
def networks() -> dict[str, PooledClassifier]:
    torch.manual_seed(3)
    return {name: make().eval() for name, make in NETWORKS.items()}


@pytest.fixture(scope="module")
def pixels() -> "torch.Tensor":
    """Uneven, so that maps are: one corner is bright."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.rand(2, 3, SIDE, SIDE, generator=generator) * 2 - 1
    noise[:, :, : SIDE // 3, : SIDE // 2] += 2
    return noise


def as_they_scale(maps: np.ndarray) -> np.ndarray:
    """``(F, h, w)`` as pytorch-grad-cam hands it over: scaled to [0, 1], enlarged, scaled again."""
    return scale_cam_image(scale_cam_image(maps, (SIDE, SIDE)))


def theirs(method: str, network: nn.Module, layer: nn.Module, picture: "torch.Tensor") -> np.ndarray:
    """One call for each finding, ``(F, S, S)`` in [0, 1]."""
    with THEIRS[method](network, [layer]) as explainer:
        return np.stack([explainer(picture, [ClassifierOutputTarget(finding)])[0] for finding in range(FINDINGS)])


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_maps_at_any_layer_are_pytorch_grad_cams(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor", name: str, layer: str | None
) -> None:
    network = networks[name]

    found = layer_maps(network, pixels[:1], tuple(THEIRS), layer)

    watched = find_layer(network, layer or "features")
    for method, maps in found.items():
        expected = theirs(method, network, watched, pixels[:1])
        assert (expected.reshape(FINDINGS, -1).max(axis=1) > 0).any(), "a test of zeros would prove nothing"
        np.testing.assert_allclose(as_they_scale(maps[0]), expected, atol=1e-4, err_msg=method)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_closed_form_from_one_pass_is_pytorch_grad_cams_by_backward_passes(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor", name: str
) -> None:
    network = networks[name]
    with torch.inference_mode():
        one_pass = WithMaps(network)(pixels[:1])
    features, head = one_pass.features[0].numpy(), one_pass.head.numpy()

    for method in THEIRS:
        maps = gradient_map(method, features, pooled_gradients(head, features[0].size))
        expected = theirs(method, network, network.features, pixels[:1])
        np.testing.assert_allclose(as_they_scale(maps), expected, atol=1e-4, err_msg=method)


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_eigen_cam_is_pytorch_grad_cams_with_its_sign_mended(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor", name: str, layer: str | None
) -> None:
    features, _ = features_and_gradients(networks[name], pixels[:1], layer)

    found = layer_maps(networks[name], pixels[:1], ("eigen_cam",), layer)["eigen_cam"][0]

    expected = get_2d_projection_with_sign_correction(features).clip(0)
    np.testing.assert_allclose(as_they_scale(found), as_they_scale(np.repeat(expected, FINDINGS, axis=0)), atol=1e-4)


def test_eigen_cam_is_pytorch_grad_cams_wherever_that_took_the_same_sign(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor"
) -> None:
    """Theirs has the sign that LAPACK gives; the other side of the axis is an equally valid, and other, map."""
    same = []
    for name, layer in [("plain", None), ("mobilenet_v2", None), ("mobilenet_v2", "features.13")]:
        network = networks[name]
        for picture in pixels.split(1):
            with EigenCAM(network, [find_layer(network, layer or "features")]) as explainer:
                expected = explainer(picture, [ClassifierOutputTarget(0)])[0]
            ours = as_they_scale(layer_maps(network, picture, ("eigen_cam",), layer)["eigen_cam"][0, :1])[0]
            same.append(bool(np.allclose(ours, expected, atol=1e-4)))

    assert any(same)


def test_a_layer_is_explained_by_what_it_gave_and_not_by_what_the_next_one_made_of_it_in_place(
    pixels: "torch.Tensor",
) -> None:
    """pytorch-grad-cam on a CPU takes what an in-place ReLU left in the layer's memory: the reason for this test."""
    ordinary, in_place = plain_network(), plain_network(in_place=True)
    in_place.load_state_dict(ordinary.state_dict())

    expected, found = (layer_maps(network, pixels, layer="features.2") for network in (ordinary, in_place))

    for method in GRADIENT_METHODS:
        np.testing.assert_array_equal(found[method], expected[method])


def test_grad_cam_plus_plus_without_epsilon_is_the_papers_equation_19() -> None:
    """Third derivatives of exp(logit), as the paper has them, by torch; ours lacks the factor exp(logit)."""
    torch.manual_seed(0)
    network = plain_network().double().eval()
    picture = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    features = network.features(picture).detach().requires_grad_()
    logits = network.head(features.mean(dim=(2, 3)))[0]
    expected = []
    one = (0, 3, 1, 2)
    for logit in logits:
        # The logit is linear in the features, so the derivatives of exp(logit) by one of them are powers of its slope;
        # for one feature torch says the same.
        first = derivative(logit.exp(), features)
        second, third = first**2 / logit.exp(), first**3 / logit.exp() ** 2
        twice = derivative(first[one], features)[one]
        torch.testing.assert_close(second[one], twice)
        torch.testing.assert_close(third[one], derivative(twice, features)[one])
        share = second / (2 * second + features.sum(dim=(2, 3), keepdim=True) * third)
        weights = (share * first.relu()).sum(dim=(2, 3), keepdim=True)
        expected.append(((weights * features).sum(dim=1).relu() / logit.exp())[0].detach().numpy())

    found = layer_maps(network, picture, ("grad_cam_plus_plus",), epsilon=0)["grad_cam_plus_plus"][0]

    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-9)


def derivative(of: "torch.Tensor", by: "torch.Tensor") -> "torch.Tensor":
    return torch.autograd.grad(of, by, create_graph=True)[0]


def test_each_picture_of_a_batch_has_the_maps_that_it_has_alone(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor"
) -> None:
    together = layer_maps(networks["plain"], pixels, GRADIENT_METHODS, "features.3")
    alone = layer_maps(networks["plain"], pixels[1:], GRADIENT_METHODS, "features.3")

    for method in GRADIENT_METHODS:
        assert together[method].shape == (2, FINDINGS, SIDE // 4, SIDE // 4)
        np.testing.assert_allclose(together[method][1], alone[method][0], rtol=1e-3, atol=1e-6)


def test_gradients_of_the_last_features_are_the_heads_weights_over_the_places(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor"
) -> None:
    network = networks["mobilenet_v2"]

    features, gradients = features_and_gradients(network, pixels)

    closed = pooled_gradients(network.head.weight.detach().numpy(), features[0, 0].size)
    np.testing.assert_allclose(gradients, np.broadcast_to(closed[:, None], gradients.shape), rtol=1e-6)


def test_a_network_is_left_as_it_was(networks: dict[str, PooledClassifier], pixels: "torch.Tensor") -> None:
    network = plain_network().train()
    for parameter in network.features.parameters():
        parameter.requires_grad_(False)  # frozen layers give maps too

    layer_maps(network, pixels)

    assert network.training
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.features._forward_hooks


@pytest.mark.parametrize(
    ("layer", "listed"),
    [
        ("nowhere", "at the top: features, dropout, head"),
        ("features.9", "features.0, features.1"),
        ("features.0.weight", "in 'features.0': none"),
    ],
)
def test_a_layer_that_is_not_there_is_answered_by_those_that_are(
    networks: dict[str, PooledClassifier], pixels: "torch.Tensor", layer: str, listed: str
) -> None:
    with pytest.raises(ModelError, match=f"{layer}.*{listed}"):
        layer_maps(networks["plain"], pixels, layer=layer)


def test_a_layer_without_places_is_refused(networks: dict[str, PooledClassifier], pixels: "torch.Tensor") -> None:
    with pytest.raises(ModelError, match=r"'head' gives \(2, 2\).*earlier"):
        layer_maps(networks["plain"], pixels, layer="head")


class Twice(nn.Module):
    """One ReLU for two places, as in torchvision's ResNet, and a layer that nobody asks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.spare = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(3, 4, 3)

    def forward(self, picture: "torch.Tensor") -> Any:
        return self.relu(self.relu(self.conv(picture)) - 1).mean(dim=(2, 3))


@pytest.mark.parametrize(("layer", "times"), [("relu", 2), ("spare", 0)])
def test_a_layer_that_is_not_passed_exactly_once_is_refused(pixels: "torch.Tensor", layer: str, times: int) -> None:
    with pytest.raises(ModelError, match=f"'{layer}' is passed {times} times"):
        layer_maps(Twice(), pixels, layer=layer)


def test_every_method_has_its_reference_here() -> None:
    assert set(GRADIENT_METHODS) == {*THEIRS, "eigen_cam"}
