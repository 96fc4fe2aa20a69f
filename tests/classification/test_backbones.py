"""Our maps, in one pass and without gradients, against pytorch-grad-cam's."""

import cv2
import numpy as np
import pytest

from built import same_numbers

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from boxray.classification.backbones import WithMaps, build_classifier, load_start  # noqa: E402
from boxray.core.errors import ModelError  # noqa: E402


def stretched(cam: np.ndarray) -> np.ndarray:
    """As pytorch-grad-cam shows a map: from its own minimum to its own maximum."""
    cam = cam - cam.min()
    return cam / (1e-7 + cam.max())


@pytest.fixture(scope="module")
def classifier() -> "torch.nn.Module":
    torch.manual_seed(3)
    return build_classifier("mobilenet_v2", 4).eval()


def test_maps_are_what_pytorch_grad_cam_finds_by_a_backward_pass(classifier: "torch.nn.Module") -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(5)
    pixels = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.inference_mode():
        maps = WithMaps(classifier)(pixels).maps
    assert (maps.flatten(2).max(dim=2).values > 0).any(), "a test of zeros would prove nothing"

    with GradCAM(classifier, [classifier.features[-1]]) as explainer:
        for index in range(4):
            reference = explainer(pixels, [ClassifierOutputTarget(index)])[0]
            ours = cv2.resize(stretched(maps[0, index].numpy()), (128, 128))
            np.testing.assert_allclose(stretched(ours), stretched(reference), atol=2e-3)


def test_logits_with_maps_are_the_logits_without(classifier: "torch.nn.Module") -> None:
    pixels = torch.rand(2, 3, 96, 96)

    with torch.inference_mode():
        logits, maps, features, head = WithMaps(classifier)(pixels)

    same_numbers(logits, classifier(pixels))
    assert maps.shape == (2, 4, 3, 3)
    assert features.shape == (2, 1280, 3, 3)
    assert head.shape == (4, 1280)
    assert (maps >= 0).all()


def test_the_sum_of_an_unrectified_map_is_the_logit_without_its_offset(classifier: "torch.nn.Module") -> None:
    pixels = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        features = classifier.features(pixels)
        cells = features.shape[2] * features.shape[3]
        raw = torch.einsum("fk,bkhw->bfhw", classifier.head.weight, features) / cells
        logits = classifier(pixels)

    same_numbers(raw.sum(dim=(2, 3)), logits - classifier.head.bias)


def torchvisions(architecture: str, n_classes: int) -> "torch.nn.Module":
    """The network as torchvision builds it, with random weights."""
    from torchvision.models import get_model

    more = {"aux_logits": False, "init_weights": False} if architecture == "inception_v3" else {}
    torch.manual_seed(7)
    return get_model(architecture, weights=None, num_classes=n_classes, **more).eval()


def own_head(network: "torch.nn.Module") -> "torch.nn.Linear":
    return [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "inception_v3", "resnet50", "densenet121"])
def test_a_backbone_with_torchvisions_weights_and_head_answers_as_torchvisions_network(architecture: str) -> None:
    theirs = torchvisions(architecture, 3)
    ours = build_classifier(architecture, 3).eval()
    load_start(ours, theirs.state_dict())
    ours.head.load_state_dict(own_head(theirs).state_dict())
    pixels = torch.rand(2, 3, 96, 96) * 2 - 1

    with torch.inference_mode():
        same_numbers(ours(pixels), theirs(pixels), atol=1e-4)


def test_inception_with_published_weights_sees_the_shades_that_it_was_trained_on() -> None:
    """torchvision's own undoes ImageNet's normalization before its first layer, where it has published weights."""
    from torchvision.transforms.functional import normalize

    theirs = torchvisions("inception_v3", 3)
    theirs.transform_input = True
    ours = build_classifier("inception_v3", 3).eval()
    load_start(ours, theirs.state_dict())
    ours.head.load_state_dict(own_head(theirs).state_dict())
    square = torch.rand(2, 3, 96, 96)

    with torch.inference_mode():
        as_published = theirs(normalize(square, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        same_numbers(ours(square * 2 - 1), as_published, atol=1e-4)


def test_a_change_of_shades_is_no_block_of_the_backbone() -> None:
    with_shades, without = (build_classifier("resnet50", 2, shades=shades) for shades in ("imagenet", "symmetric"))

    assert [type(block) for block in with_shades.blocks] == [type(block) for block in without.blocks]
    assert len(list(with_shades.features.children())) == len(without.blocks) + 1


def test_vgg16_is_torchvisions_up_to_its_dense_layers() -> None:
    theirs = torchvisions("vgg16", 3)
    ours = build_classifier("vgg16", 3).eval()
    load_start(ours, theirs.state_dict())
    pixels = torch.rand(1, 3, 64, 64)

    with torch.inference_mode():
        same_numbers(ours.features(pixels), theirs.features(pixels))
    assert sum(parameter.numel() for parameter in ours.parameters()) < 15e6


def test_a_densenet_published_under_older_names_is_read() -> None:
    theirs = torchvisions("densenet121", 3).state_dict()
    older = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in theirs.items()}
    ours = build_classifier("densenet121", 3)

    load_start(ours, older)

    name = "denseblock1.denselayer1.norm1.weight"
    assert f"features.{name}" not in older
    same_numbers(ours.features.state_dict()[name], theirs[f"features.{name}"])


def test_shades_of_imagenet_are_what_torchvisions_transform_makes() -> None:
    from torchvision.transforms.functional import normalize

    square = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    seen = build_classifier("resnet50", 2, shades="imagenet").features[0](square / 127.5 - 1)

    same_numbers(seen, normalize(square / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), atol=1e-5)


@pytest.mark.parametrize("state", [{}, {"features.0.0.weight": torch.zeros(1)}], ids=["nothing", "another shape"])
def test_start_weights_that_do_not_fit_are_refused(state: dict) -> None:
    with pytest.raises(ModelError, match="do not fit"):
        load_start(build_classifier("mobilenet_v2", 2), state)


def test_the_weights_of_another_backbone_are_refused() -> None:
    with pytest.raises(ModelError, match="do not fit"):
        load_start(build_classifier("densenet121", 2), torchvisions("mobilenet_v2", 2).state_dict())


def test_an_unknown_backbone_is_named_beside_those_that_exist() -> None:
    with pytest.raises(ModelError, match=r"'vgg99'.*mobilenet_v2.*vgg16.*densenet121"):
        build_classifier("vgg99", 2)
