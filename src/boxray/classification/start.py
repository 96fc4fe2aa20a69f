"""Start weights: torchvision's own, fetched once and kept as safetensors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final
from urllib.error import URLError

from torch.hub import load_state_dict_from_url
from torchvision.models import get_model_weights

from boxray.classification.recipe import Architecture
from boxray.core.errors import DataError
from boxray.tensors import write_tensors

_FIRST: Final = "IMAGENET1K_V1"
"""The weights that every backbone has."""


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
