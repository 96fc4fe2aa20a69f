"""A made explainer, whose maps are drawn by a function, and rows of a comparison made by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.protocols import Classified, Explained
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity, SaliencyMap
from boxray.data.manifest import Manifest
from built import SQUARE_XYXY, TWO

Draw = Callable[[Radiograph, str], np.ndarray]


DRAWN = ModelIdentity("drawn", "1", "d" * 64, {"fluid": 0.5})


@dataclass(frozen=True)
class DrawnExplainer:
    """Explains by whatever is drawn: method -> (radiograph, finding) -> values."""

    draws: Mapping[str, Draw]
    scores: Mapping[str, float] = field(default_factory=lambda: {"fluid": 0.9})
    label_space: LabelSpace = TWO
    identity: ModelIdentity = DRAWN
    taught_by_boxes: bool = False

    @property
    def assessed(self) -> tuple[str, ...]:
        return tuple(self.scores)

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(self.draws)

    def classify(self, rad: Radiograph) -> Classified:
        return Classified(self.scores, self.explain(rad, self.methods[:1]).maps[self.methods[0]])

    def explain(self, rad: Radiograph, methods: Sequence[str]) -> Explained:
        if set(methods) - set(self.draws):
            raise ModelError("it was not drawn")
        maps = {
            method: tuple(SaliencyMap(key, self.draws[method](rad, key)) for key in self.scores) for method in methods
        }
        return Explained(self.scores, maps)


def rectangle(shape_hw: tuple[int, int], xyxy: Sequence[float], value: float = 1.0) -> np.ndarray:
    """Zero but in one rectangle of whole pixels."""
    values = np.zeros(shape_hw, dtype=np.float32)
    x1, y1, x2, y2 = map(int, xyxy)
    values[y1:y2, x1:x2] = value
    return values


def perfect(rad: Radiograph, finding: str) -> np.ndarray:
    """The map of somebody who knows where the square of `built.build_tiny_set` is."""
    return rectangle(rad.pixels.shape, SQUARE_XYXY)


def nothing(rad: Radiograph, finding: str) -> np.ndarray:
    """The map of a classifier for which nothing speaks."""
    return np.zeros(rad.pixels.shape, dtype=np.float32)


def noise(rad: Radiograph, finding: str) -> np.ndarray:
    """A map that knows nothing: another one for each picture, the same each time."""
    seed = int.from_bytes(bytes.fromhex(rad.sha256[:8]), "big")
    return np.random.default_rng(seed).random(rad.pixels.shape, dtype=np.float32)


def unknown_in_half(manifest: Manifest) -> Manifest:
    """The same, but of every second boxed image nobody says any more whether the finding is there; boxes stay."""
    images = manifest.images.copy()
    boxed = images.index[images["presence_fluid"] == "boxed"]
    images.loc[boxed[::2], "presence_fluid"] = "unknown"
    images.loc[boxed[::4], "presence_fluid"] = "present"
    return replace(manifest, images=images)
