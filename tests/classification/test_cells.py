"""Where the cells of a map look: by hand, by gradients, and by a dot on a film."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from torch import nn  # noqa: E402

from boxray.classification.backbones import GraphOutputs, PooledClassifier, WithMaps, build_classifier  # noqa: E402
from boxray.classification.cells import cells_of  # noqa: E402
from boxray.classification.classify import CamClassifier  # noqa: E402
from boxray.core.errors import ModelError  # noqa: E402
from boxray.core.frames import Cells  # noqa: E402
from boxray.core.radiograph import Radiograph  # noqa: E402
from boxray.tensors import write_graph  # noqa: E402
from boxray.weights import save_card  # noqa: E402
from making import detector_card, label_space  # noqa: E402

SPACE = label_space("fluid")


def of_layers(*layers: nn.Module) -> PooledClassifier:
    return PooledClassifier(nn.Sequential(*layers), 1, 1).eval()


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([nn.Conv2d(3, 1, 3, stride=2, padding=1)], Cells(0.5, 2)),
        ([nn.Conv2d(3, 1, 3, stride=2)], Cells(1.5, 2)),
        ([nn.Conv2d(3, 1, 5, stride=4, padding=2), nn.BatchNorm2d(1), nn.ReLU6(), nn.Conv2d(1, 1, 3)], Cells(4.5, 4)),
        ([nn.Conv2d(3, 1, 3, padding=1), nn.MaxPool2d(2)], Cells(1, 2)),
        ([nn.Conv2d(3, 1, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)], Cells(2.5, 8)),
    ],
    ids=["padded", "not padded", "two convolutions", "pool of two", "as a DenseNet begins"],
)
def test_a_cell_looks_where_kernels_strides_and_paddings_say(layers: list[nn.Module], expected: Cells) -> None:
    assert cells_of(of_layers(*layers), "features") == expected


@pytest.mark.parametrize(
    ("architecture", "first_px"),
    [("mobilenet_v2", 0.5), ("resnet50", 0.5), ("densenet121", 14.5), ("vgg16", 16), ("inception_v3", 37.5)],
)
def test_of_torchvisions_networks_one_alone_looks_at_the_middle_of_its_tiles(
    architecture: str, first_px: float
) -> None:
    network = build_classifier(architecture, 2, shades="symmetric" if architecture == "inception_v3" else "imagenet")

    assert cells_of(network, "features") == Cells(first_px, 32)


def test_another_layer_has_other_cells_and_the_network_is_left_as_it_was() -> None:
    network = build_classifier("mobilenet_v2", 2).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}

    assert cells_of(network, "features.13") == Cells(0.5, 16)

    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_layer_without_cells_is_refused() -> None:
    with pytest.raises(ModelError, match="'head' gives no row of cells"):
        cells_of(build_classifier("mobilenet_v2", 2), "head")


def test_the_gradient_of_a_cell_lies_round_the_place_that_is_said() -> None:
    """Weights as they are drawn, eight times; a cell of 32 px, told to a fourth of it."""
    found = []
    for seed in range(8):
        torch.manual_seed(seed)
        network = build_classifier("mobilenet_v2", 1).eval()
        pixels = torch.randn(1, 3, 512, 512).requires_grad_()
        network.features(pixels)[0, :, 8, 8].sum().backward()
        energy = (pixels.grad**2).sum(dim=(0, 1))
        middles = torch.arange(512) + 0.5
        found += [float((energy.sum(dim=axis) * middles).sum() / energy.sum()) for axis in (0, 1)]

    first_px, step_px = cells_of(network, "features")
    assert np.mean(found) == pytest.approx(first_px + 8 * step_px, abs=8)


@pytest.mark.parametrize(("x_px", "y_px"), [(96, 160), (32, 64)])
def test_a_map_is_brightest_at_the_dot_that_the_network_answers_to(tmp_path: Path, x_px: int, y_px: int) -> None:
    halving = [nn.Conv2d(1 if number else 3, 1, 3, stride=2, padding=1) for number in range(5)]
    for layer in halving:
        nn.init.constant_(layer.weight, 1)
        nn.init.zeros_(layer.bias)
    blank = nn.Conv2d(3, 3, 1)  # takes -1, the shade of black, back to 0
    nn.init.dirac_(blank.weight)
    nn.init.ones_(blank.bias)
    network = of_layers(blank, *halving)
    nn.init.ones_(network.head.weight)
    write_graph(WithMaps(network).eval(), 256, GraphOutputs._fields, tmp_path / "dots.onnx")
    made = {"job": "classification", "architecture": "made", "map_cells": cells_of(network, "features")}
    card = save_card(detector_card(SPACE, SPACE.keys, 256, {}, name="dots").model_copy(update=made), tmp_path)
    film = np.zeros((256, 256), dtype=np.float32)
    film[y_px, x_px] = 1

    (saliency,) = CamClassifier.load(card).classify(Radiograph(film)).maps

    assert np.unravel_index(saliency.values.argmax(), (256, 256)) == (y_px, x_px)
