"""Start weights: torchvision's own or torchxrayvision's, fetched once and kept as safetensors."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.error import URLError

import torch
from torch.hub import load_state_dict_from_url
from torchvision.models import get_model_weights

from boxray.classification.recipe import Architecture
from boxray.core.errors import DataError, MissingExtra
from boxray.tensors import write_tensors

_FIRST: Final = "IMAGENET1K_V1"
"""The weights that every backbone has."""

_XRV_REACH: Final = 1024.0
"""torchxrayvision's shades lie in [-1024, 1024] (Cohen et al., 2022, TorchXRayVision, section 3)."""

_XRV_PREFIX: Final = "densenet121-"
"""Of the names of its weights that fit a backbone of ours."""


def address_of(architecture: Architecture) -> str:
    """Where torchvision publishes the ImageNet weights of a backbone; its name ends in the SHA-256's first digits."""
    return str(get_model_weights(architecture)[_FIRST].url)


def fetch_start(address: str, out: Path) -> Path:
    """Fetch a published state and write it as safetensors.

    What comes over the line is a pickle: it is read as tensors alone, and only if its SHA-256 begins as its name says.

    Args:
        address: Such as `address_of` gives.
        out: The file to write; its folder is made.

    Returns:
        `out`.

    Raises:
        DataError: If the address does not answer, or what it gives is not what its name promises.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            state = load_state_dict_from_url(address, folder, "cpu", check_hash=True, weights_only=True)
        except (URLError, OSError) as error:
            raise DataError(f"the start weights cannot be fetched ({type(error).__name__}); try again later") from error
        except RuntimeError as error:
            raise DataError(
                "the start weights that came are not those that were asked for: their hash differs"
            ) from error
        except Exception as error:
            raise DataError(f"the start weights that came hold more than tensors: {type(error).__name__}") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(state, out)
    return out


def fetch_xrv_start(weights: str, out: Path) -> Path:
    """Fetch a DenseNet121 that torchxrayvision trained on chest radiographs, and write its features as safetensors.

    torchxrayvision publishes whole networks as pickles and reads them itself, which can run code: whoever calls this
    trusts its publisher. Our own code opens no pickle, and what is written holds tensors alone.

    Args:
        weights: Its name, such as ``densenet121-res224-all``.
        out: The file to write; its folder is made.

    Returns:
        `out`, for a recipe with ``architecture: densenet121`` and ``shades: symmetric``.

    Raises:
        DataError: If there are no such weights, they cannot be fetched, or cannot be read.
        MissingExtra: If torchxrayvision is not installed.
    """
    try:
        from torchxrayvision import models
    except ImportError as error:
        raise MissingExtra("start weights of torchxrayvision", "xrv") from error
    names = sorted(name for name in models.model_urls if name.startswith(_XRV_PREFIX))
    if weights not in names:
        raise DataError(f"torchxrayvision has no weights {weights!r} for densenet121; there are: {', '.join(names)}")
    try:
        network = models.DenseNet(weights=weights)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"torchxrayvision's weights cannot be fetched or read ({reason}); try again later") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(features_of_xrv(network.state_dict()), out)
    return out


def features_of_xrv(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The features of torchxrayvision's DenseNet for three equal channels in [-1, 1] instead of one in [-1024, 1024].

    The first layer takes both changes upon itself, so that the features stay what they were.

    Args:
        state: Of ``torchxrayvision.models.DenseNet``.
    """
    features = {name: value for name, value in state.items() if name.startswith("features.")}
    first = "features.conv0.weight"  # (64, 1, 7, 7)
    return features | {first: (features[first] * (_XRV_REACH / 3)).repeat(1, 3, 1, 1)}
