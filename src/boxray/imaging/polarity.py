"""Whether bright and dark are exchanged, by what every frontal chest has in common.

A tag may lie about the polarity, and a PNG has no tag at all. An inverted radiograph gives plausible
wrong answers, so it is refused. The test is a correlation with a coarse average chest: dark lungs and
corners, bright spine and abdomen. Inverting a picture changes exactly the sign of it.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from boxray.core.errors import InputError
from boxray.core.radiograph import Radiograph

_HALF_CHEST: Final = np.array(
    [
        [-1.7, -1.5, -1.0, 0.2],
        [-0.1, 0.0, -0.3, 0.0],
        [0.3, 0.1, -0.8, 0.1],
        [-0.1, 0.0, -0.7, 0.4],
        [-0.5, -0.1, -0.2, 0.8],
        [-0.8, 0.0, 0.4, 1.1],
        [-1.0, 0.4, 1.1, 1.4],
        [-1.1, 0.6, 1.3, 1.5],
    ]
)
"""Mean of 731 NIH and 600 TBX11K radiographs, each cropped, brought to 8 x 8 and standardised; both sides
averaged, one decimal. The right half is the mirror image."""

EXCHANGED_BELOW: Final = -0.2
"""Correlation below which a picture is refused. Of 7,051 radiographs of five sets one lies below, and
that one is upside down; of their inverted copies 99.6 % do."""

_COARSE_PX: Final = 64
_FLAT: Final = 0.1
"""A border row or column that spans fewer shades than this is collimation or a frame, not chest."""
_FEWEST_PX: Final = 16


def polarity(rad: Radiograph) -> float:
    """Correlation with an average chest, in [-1, 1]: above 0 bright means dense, below 0 dark does.

    About 0.75 for an ordinary frontal chest. A radiograph without any contrast gives 0.
    """
    coarse = _without_flat_borders(cv2.resize(rad.pixels, (_COARSE_PX, _COARSE_PX), interpolation=cv2.INTER_AREA))
    chest = np.hstack([_HALF_CHEST, _HALF_CHEST[:, ::-1]]).ravel()
    seen = cv2.resize(coarse, (8, 8), interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
    chest, seen = chest - chest.mean(), seen - seen.mean()
    norm = float(np.linalg.norm(chest) * np.linalg.norm(seen))
    return float(chest @ seen) / norm if norm > 1e-9 else 0.0


def require_polarity(rad: Radiograph) -> None:
    """Refuse a radiograph that looks like the negative of a chest.

    Raises:
        InputError: ``quality.polarity`` if `polarity` is below `EXCHANGED_BELOW`.
    """
    correlation = polarity(rad)
    if correlation < EXCHANGED_BELOW:
        raise InputError(
            "quality.polarity",
            f"bright and dark seem exchanged, or it is upside down (likeness to a chest {correlation:.2f}); "
            "check PhotometricInterpretation, or export the picture again",
        )


def _without_flat_borders(coarse: NDArray[Any]) -> NDArray[Any]:
    """Cut rows, then columns, that carry no picture from the edges; leave them where nearly all are flat."""
    rows = np.flatnonzero(np.ptp(coarse, axis=1) > _FLAT)
    if rows.size >= _FEWEST_PX:
        coarse = coarse[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(np.ptp(coarse, axis=0) > _FLAT)
    if columns.size >= _FEWEST_PX:
        coarse = coarse[:, columns[0] : columns[-1] + 1]
    return coarse
