"""The training images as the network is shown them: read, varied, put together, and in batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from boxray.core.arrays import BoolArray, FloatArray, IntArray
from boxray.core.errors import DataError
from boxray.core.frames import Letterbox
from boxray.data.manifest import Manifest
from boxray.detection.intensity import vary_look
from boxray.detection.mosaic import MOST_FILMS, Film, Picture, alone, compose, four, random_map
from boxray.detection.recipe import DetectionRecipe
from boxray.detection.square import film_pixels
from boxray.detection.weighting import cell_weights, present_cells, showings
from boxray.runs.recipe import Clahe

if TYPE_CHECKING:
    import torch

REMEMBERED: Final = 256
"""Films that are kept decoded: a mosaic takes its other three from them, at no cost of reading. 67 MB at 512 px."""

FEWEST_REMEMBERED: Final = 32
"""As long as fewer are kept, the others are read: the first mosaics would be four times the same film."""

SEEN_ENOUGH: Final = 2 / 3
"""Of a film's area. Where less is shown, a finding that is somewhere in the film may lie outside of the picture."""


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """What is known of N images and F findings, in memory; pixels stay on disk."""

    pictures: tuple[Path, ...]
    sizes_wh: IntArray
    """Shape ``(N, 2)``, of the pictures."""
    boxes_xyxy: tuple[FloatArray, ...]
    """Of each image, shape ``(n, 4)``, in pixels of the picture."""
    findings: tuple[IntArray, ...]
    """Of each image, shape ``(n,)``: the places of the boxes' findings in the label space."""
    cells: FloatArray
    """Shape ``(N, F)`` in [0, 1], float32; see `boxray.detection.weighting`."""
    present: BoolArray
    """Shape ``(N, F)``."""
    showings: tuple[IntArray, ...]
    """One item per showing of an epoch: the images of which one is drawn for it."""

    @classmethod
    def of(cls, manifest: Manifest, recipe: DetectionRecipe) -> TrainingImages:
        """The images of a manifest, weighed as the recipe says."""
        boxed = tuple(manifest.boxes_by_image())
        return cls(
            tuple((manifest.folder / picture).resolve() for picture in manifest.images["picture"]),
            manifest.images[["width", "height"]].to_numpy(dtype=int),
            tuple(boxes for boxes, _ in boxed),
            tuple(findings for _, findings in boxed),
            cell_weights(manifest, recipe).astype(np.float32),
            present_cells(manifest, recipe),
            tuple(showings(manifest, recipe)),
        )


@dataclass(frozen=True, slots=True)
class Example:
    """A picture, and what its four films may teach; F findings."""

    picture: Picture
    cells: FloatArray
    """Shape ``(4, F)``, float32."""
    present: BoolArray
    """Shape ``(4, F)``: present without a box in a film of which enough is shown."""


class FilmSet:
    """A data set as torch's loaders take it: one example per showing."""

    def __init__(self, images: TrainingImages, recipe: DetectionRecipe, side_px: int) -> None:
        """Nothing is read yet."""
        self._images = images
        self._augment = recipe.augment
        self._clahe = recipe.clahe
        self._side_px = side_px
        self._mosaic = recipe.augment.mosaic
        self._remembered: OrderedDict[int, Film] = OrderedDict()
        self._rng: np.random.Generator | None = None
        self._seen_epochs = 0

    def __len__(self) -> int:
        return len(self._images.showings)

    def __getitem__(self, showing: int) -> Example:
        rng = self._draws()
        chosen = [self._draw(showing, rng)]
        if self._mosaic > 0 and rng.uniform() < self._mosaic:
            chosen += [self._another(rng) for _ in range(MOST_FILMS - 1)]
        films = [self._varied(self._film(image), rng) for image in chosen]
        if len(films) == 1:
            layout = alone(films[0].size_wh, self._side_px)
        else:
            layout = four([film.size_wh for film in films], self._side_px, rng)
        to_picture = random_map(layout.side_px, self._side_px, self._augment, rng)
        picture = compose(films, layout, to_picture, self._side_px)
        return self._example(picture, chosen)

    def go_on_after(self, epoch: int) -> None:
        """Draw otherwise than a training that begins: so many epochs were seen before it was cut off."""
        self._seen_epochs = epoch

    def close_mosaic(self, hyp: Any = None) -> None:  # noqa: ARG002 - ultralytics hands its settings over
        """From now on only single films."""
        self._mosaic = 0.0

    @staticmethod
    def collate_fn(examples: Sequence[Example]) -> dict[str, Any]:
        """Make a batch; see `collate`."""
        return collate(examples)

    def _draws(self) -> np.random.Generator:
        if self._rng is None:
            import torch

            # Of its own in each of a loader's processes.
            self._rng = np.random.default_rng([torch.initial_seed(), self._seen_epochs])
        return self._rng

    def _draw(self, showing: int, rng: np.random.Generator) -> int:
        candidates = self._images.showings[showing]
        return int(candidates[rng.integers(len(candidates))]) if len(candidates) > 1 else int(candidates[0])

    def _another(self, rng: np.random.Generator) -> int:
        if len(self._remembered) < FEWEST_REMEMBERED:
            return self._draw(int(rng.integers(len(self))), rng)
        return list(self._remembered)[rng.integers(len(self._remembered))]

    def _film(self, image: int) -> Film:
        if image not in self._remembered:
            self._remembered[image] = read_film(self._images, image, self._side_px, self._clahe)
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return self._remembered[image]

    def _varied(self, film: Film, rng: np.random.Generator) -> Film:
        return Film(vary_look(film.pixels, self._augment, rng), film.boxes_xyxy, film.findings)

    def _example(self, picture: Picture, chosen: Sequence[int]) -> Example:
        n_findings = self._images.cells.shape[1]
        cells = np.zeros((MOST_FILMS, n_findings), np.float32)
        present = np.zeros((MOST_FILMS, n_findings), bool)
        for place, image in enumerate(chosen):
            cells[place] = self._images.cells[image]
            present[place] = self._images.present[image] & (picture.seen[place] >= SEEN_ENOUGH)
        return Example(picture, cells, present)


def read_film(images: TrainingImages, image: int, side_px: int, clahe: Clahe | None) -> Film:
    """A film of the built set at the size that it has in a square of `side_px`.

    Raises:
        DataError: If the picture is missing, damaged or not as large as the manifest says.
    """
    # Written by us as 8-bit grey PNG, so it may be decoded here, without a child process.
    pixels = cv2.imread(str(images.pictures[image]), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise DataError("a picture of the built data set is missing or damaged; build it again")
    width, height = map(int, images.sizes_wh[image])
    if pixels.shape != (height, width):
        raise DataError(
            f"a picture of the built data set has (H, W) {pixels.shape}, its manifest says {(height, width)}; "
            "build it again"
        )
    inner_wh = Letterbox.fit((width, height), side_px).inner_wh
    scale = np.array([inner_wh[0] / width, inner_wh[1] / height] * 2)
    setting = None if clahe is None else (clahe.clip, clahe.tiles)
    shades = np.asarray(film_pixels(pixels, inner_wh, setting))
    return Film(shades, images.boxes_xyxy[image] * scale, images.findings[image])


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """Examples as a batch of B pictures with n boxes in all, in the words of ultralytics where it has one.

    Returns:
        ``img (B, 1, S, S)`` uint8; ``cls (n, 1)``, ``bboxes (n, 4)`` as centre and size in shares of the square,
        ``batch_idx (n,)`` and ``film_of_box (n,)``; ``rects (B, 4, 4)``, ``to_canvas (B, 2, 3)``, ``cells (B, 4, F)``
        float32; ``present (B, 4, F)`` bool. See `Picture` and `Example`.
    """
    import torch

    pictures = [example.picture for example in examples]
    side_px = pictures[0].pixels.shape[0]
    boxes = np.concatenate([picture.boxes_xyxy for picture in pictures]) / side_px
    centre_size = np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])

    def tensor(array: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

    return {
        "img": tensor(np.stack([picture.pixels for picture in pictures])[:, None], torch.uint8),
        "cls": tensor(np.concatenate([picture.findings for picture in pictures])[:, None]),
        "bboxes": tensor(centre_size),
        "batch_idx": tensor(np.repeat(np.arange(len(pictures)), [len(picture.findings) for picture in pictures])),
        "film_of_box": tensor(np.concatenate([picture.film_of_box for picture in pictures])),
        "rects": tensor(np.stack([picture.rects_xyxy for picture in pictures])),
        "to_canvas": tensor(np.stack([picture.to_canvas for picture in pictures])),
        "cells": tensor(np.stack([example.cells for example in examples])),
        "present": tensor(np.stack([example.present for example in examples]), torch.bool),
    }
