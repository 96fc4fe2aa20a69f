"""Why the classifier scores as it does: maps from features and gradients, and by covering. No torch, no backward pass.

Features A of shape ``(K, h, w)``, the gradient G of a logit by them; sums over n = h w places. With global average
pooling and one linear layer, ``logit[f] = b[f] + sum_k W[f, k] mean(A[k])``, the gradient is one number a channel,
``G[f, k] = W[f, k] / n``, and each map below needs nothing but one forward pass (`pooled_gradients`):

- Grad-CAM (Selvaraju et al., 2017, eq. 1 and 2): a channel weighs the mean of G over places;
  the map is ``relu(sum_k W[f, k] A[k]) / n``.
- Grad-CAM++ (Chattopadhay et al., 2018, eq. 19): a channel weighs the sum over places of ``a relu(G)``, where
  ``a = G² / (2 G² + sum(A[k]) G³)``. Constant G: ``relu(W) / (2 + W mean(A[k]))``. The paper explains exp(logit), which
  leaves `a` as it is and multiplies the whole map by exp(logit); as in pytorch-grad-cam that factor is left out.
- LayerCAM (Jiang et al., 2021): each place weighs for itself, ``relu(sum_k relu(G) A[k])``.
  Constant G: Grad-CAM of the positive weights alone.
- Eigen-CAM (Muhammad & Yeasin, 2020): A's places, centred, along their first principal axis. It knows no finding.

Occlusion (Zeiler & Fergus, 2014, section 4.2): how far a logit falls when a patch of the picture is covered.

All maps are raw and >= 0: units of the logit (Grad-CAM, LayerCAM, occlusion) or of the features (Eigen-CAM), in
Grad-CAM++ of neither. So maps of one method compare between radiographs, those of two methods only by their shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.frames import Letterbox

GRADIENT_METHODS: Final = ("grad_cam", "grad_cam_plus_plus", "layer_cam", "eigen_cam")
"""Those that are arithmetic on features and gradients."""

OCCLUSION: Final = "occlusion"

EPSILON: Final = 1e-6
"""What pytorch-grad-cam adds to Grad-CAM++'s denominator, where 2 G² is no larger: G is a weight over the number of
places. It is kept so that our map is the one that others call Grad-CAM++; with 0 it is the paper's."""


def pooled_gradients(head: FloatArray, places: int) -> FloatArray:
    """Gradient of each logit by each feature under global average pooling and a linear layer.

    Args:
        head: Weights of the linear layer, shape ``(F, K)``.
        places: Cells of the features' grid, h times w.

    Returns:
        Shape ``(F, K, 1, 1)``: the same at every place.
    """
    gradients: FloatArray = head[:, :, None, None] / places
    return gradients


def gradient_map(method: str, features: FloatArray, gradients: FloatArray, epsilon: float = EPSILON) -> FloatArray:
    """One of `GRADIENT_METHODS`, for all findings.

    Args:
        method: Its name.
        features: Shape ``(K, h, w)``.
        gradients: Of the logits, shape ``(F, K, h, w)``, or ``(F, K, 1, 1)`` where they are the same at every place.
        epsilon: Added to the denominator of Grad-CAM++; others do not look at it.

    Returns:
        Shape ``(F, h, w)``, raw, >= 0. All zeros: nothing spoke for the finding.

    Raises:
        ValueError: If there is no such method, or the shapes do not fit.
    """
    if features.ndim != 3 or gradients.ndim != 4 or gradients.shape[1] != len(features):
        raise ValueError(
            f"features must have shape (K, h, w) and gradients (F, K, h, w), got {features.shape} and {gradients.shape}"
        )
    if gradients.shape[2:] not in {(1, 1), features.shape[1:]}:
        raise ValueError(f"gradients must cover {features.shape[1:]} places or be (F, K, 1, 1), got {gradients.shape}")
    match method:
        case "grad_cam":
            return _weighted(gradients.mean(axis=(2, 3)), features)
        case "grad_cam_plus_plus":
            return _weighted(_plus_plus_weights(features, gradients, epsilon), features)
        case "layer_cam":
            positive = np.maximum(gradients, 0)
            if positive.shape[2:] == (1, 1):
                return _weighted(positive[:, :, 0, 0], features)
            mixed: FloatArray = np.stack([np.einsum("khw,khw->hw", one, features) for one in positive])
            return mixed.clip(0)
        case "eigen_cam":
            return np.repeat(_first_component(features)[None], len(gradients), axis=0)
    raise ValueError(
        f"there is no method {method!r} of features and gradients; there are: {', '.join(GRADIENT_METHODS)}"
    )


def _weighted(weights: FloatArray, features: FloatArray) -> FloatArray:
    """``relu(sum_k weights[f, k] features[k])``."""
    channels, height, width = features.shape
    mixed: FloatArray = weights @ features.reshape(channels, height * width)
    return mixed.clip(0).reshape(len(weights), height, width)


def _plus_plus_weights(features: FloatArray, gradients: FloatArray, epsilon: float) -> FloatArray:
    """Shape ``(F, K)``: eq. 19, summed over places. Where the gradient is 0, so is the summand."""
    squared = gradients**2
    below = 2 * squared + features.sum(axis=(1, 2))[:, None, None] * squared * gradients + epsilon
    share = np.divide(squared, below, out=np.zeros_like(squared), where=(gradients != 0) & (below != 0))
    places = features.shape[1] * features.shape[2]
    # A mean times the places is the sum, also where one number stands for all places.
    weights: FloatArray = (share * np.maximum(gradients, 0)).mean(axis=(2, 3)) * places
    return weights


def _first_component(features: FloatArray) -> FloatArray:
    """Shape ``(h, w)``: the places along their first principal axis, its negative side cut off.

    The axis comes from the smaller of the two products of the ``(places, K)`` matrix with itself, in double
    precision, instead of from a decomposition of the whole. Its sign is anybody's: here the largest magnitude is
    positive (Chung & Ying, 2025, eq. 13), which also makes it the same on every machine.
    """
    channels, height, width = features.shape
    rows = features.reshape(channels, height * width).T.astype(np.float64)
    rows -= rows.mean(axis=0)
    if channels <= len(rows):
        along = rows @ np.linalg.eigh(rows.T @ rows).eigenvectors[:, -1]
    else:
        lengths, vectors = np.linalg.eigh(rows @ rows.T)
        along = vectors[:, -1] * np.sqrt(max(lengths[-1], 0.0))
    if -along.min() > along.max():
        along = -along
    component: FloatArray = along.clip(0).reshape(height, width).astype(np.float32)
    return component


Place = tuple[slice, slice]
"""Rows and columns of the square."""


@dataclass(frozen=True, slots=True)
class Occluder:
    """The patch that covers, and how it moves. Unit: pixels of the square that the network sees.

    Raises:
        ValueError: If a side or a step is below 1, or the shade is no byte.
    """

    patch_px: int = 64
    stride_px: int = 32
    shade: int = 128
    """Of 255, after CLAHE: mid-grey, which is neither air nor bone. Black would look like a pneumothorax."""

    def __post_init__(self) -> None:
        if self.patch_px < 1 or self.stride_px < 1 or not 0 <= self.shade <= 255:
            raise ValueError(f"expected a patch and a stride of at least 1 px and a shade in 0..255, got {self}")

    def places(self, letterbox: Letterbox) -> list[Place]:
        """Where the patch is put: from one edge of the picture to the other, never over what is no picture.

        The last place of a row ends at the picture's edge, wherever the stride would have put it. A picture that is
        smaller than the patch is covered whole.
        """
        width, height = letterbox.inner_wh
        return [
            (rows, columns)
            for rows in self._spans(letterbox.top, height)
            for columns in self._spans(letterbox.left, width)
        ]

    def _spans(self, start: int, length: int) -> list[slice]:
        last = max(length - self.patch_px, 0)
        begins = [*range(0, last, self.stride_px), last]
        return [slice(start + begin, start + min(begin + self.patch_px, length)) for begin in begins]

    def cover(self, square: ByteArray, place: Place) -> ByteArray:
        """A copy of the square ``(S, S)`` with the patch on it."""
        covered = square.copy()
        covered[place] = self.shade
        return covered


def occlusion_map(logits: FloatArray, covered: Iterable[FloatArray], places: list[Place], side_px: int) -> FloatArray:
    """How far each logit falls where a patch lies; where several lay, the mean of their falls.

    Args:
        logits: Of the picture as it is, shape ``(F,)``.
        covered: Logits ``(F,)`` with each place covered, in the places' order.
        places: Of `Occluder.places`.
        side_px: Of the square.

    Returns:
        Shape ``(F, S, S)``, >= 0, unit: logits. Zero where nothing was covered, and where covering raised the logit.

    Raises:
        ValueError: If there are not as many covered logits as places.
    """
    total = np.zeros((len(logits), side_px, side_px), dtype=np.float32)
    times = np.zeros((side_px, side_px), dtype=np.float32)
    for (rows, columns), values in zip(places, covered, strict=True):
        total[:, rows, columns] += (logits - values)[:, None, None]
        times[rows, columns] += 1
    fall: FloatArray = np.maximum(total / np.maximum(times, 1), 0)
    return fall
