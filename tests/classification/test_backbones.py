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


def test_start_weights_in_torchvisions_layout_fill_the_features(classifier: "torch.nn.Module") -> None:
    from torchvision.models import mobilenet_v2

    start = mobilenet_v2(weights=None, num_classes=1001).state_dict()
    fresh = build_classifier("mobilenet_v2", 2)

    load_start(fresh, start)

    same_numbers(fresh.features.state_dict()["0.0.weight"], start["features.0.0.weight"])


def test_start_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="do not fit"):
        load_start(build_classifier("mobilenet_v2", 2), {"features.0.0.weight": torch.zeros(1)})


def test_an_unknown_backbone_is_named_beside_those_that_exist() -> None:
    with pytest.raises(ModelError, match=r"'vgg99'.*mobilenet_v2"):
        build_classifier("vgg99", 2)
