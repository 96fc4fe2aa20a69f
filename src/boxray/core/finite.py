"""What comes out of a network is a finite number, or is refused."""

from __future__ import annotations

import numpy as np

from boxray.core.arrays import FloatArray
from boxray.core.errors import ModelError


def require_finite(name: str, values: FloatArray) -> FloatArray:
    """The values, unless one is no number.

    Raises:
        ModelError: ``model.not_finite``.
    """
    if not np.isfinite(values).all():
        raise ModelError(f"output {name!r} holds values that are no finite numbers", "model.not_finite")
    return values
