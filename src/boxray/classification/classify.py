"""One radiograph in, a score and a saliency map per finding out: one pass through one graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from boxray.classification.explain import (
    GRADIENT_METHODS,
    OCCLUSION,
    Occluder,
    Place,
    gradient_map,
    occlusion_map,
    pooled_gradients,
)
from boxray.classification.lung_field import LUNGS, lung_field
from boxray.classification.preprocess import equalized_square, network_input
from boxray.core.ahead import in_order
from boxray.core.arrays import ByteArray, FloatArray
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.frames import Cells, Letterbox
from boxray.core.protocols import Classified, Explained
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity, SaliencyMap
from boxray.engines import EngineName, GraphSession, open_session
from boxray.imaging.letterbox import from_letterbox
from boxray.weights import ModelCard, load_card

_SCORES_AND_MAPS: Final = ("logits", "maps")
_FEATURES_AND_HEAD: Final = ("features", "head")
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {"grad_cam": ("maps",), OCCLUSION: ()}
"""Outputs beside the logits; a method that is not here needs `_FEATURES_AND_HEAD`."""

_GREY_PATCH: Final = Occluder()


@dataclass(frozen=True, slots=True)
class CamClassifier:
    """A `boxray.core.protocols.Explainer` over any engine that runs the graph."""

    card: ModelCard
    session: GraphSession
    label_space: LabelSpace
    occluder: Occluder = _GREY_PATCH
    """How `explain` covers a picture for the method ``occlusion``; `dataclasses.replace` puts another."""

    @classmethod
    def load(cls, weights: Path, engine: EngineName = "openvino", *, many: bool = False) -> CamClassifier:
        """From a card or a weight file beside it; the graph's hash is checked.

        Args:
            weights: The card or the file.
            engine: What runs the graph.
            many: For several threads, as `boxray.engines.open_session` says.

        Raises:
            ModelError: If the card is not a classifier's.
        """
        card, graph = load_card(weights, check=".onnx")
        if card.job != "classification":
            raise ModelError(f"{card.name} is of {card.job}, a classifier is wanted; see classification/weights")
        return cls(card, open_session(graph, engine, many=many), card.space)

    @property
    def assessed(self) -> tuple[str, ...]:
        """The findings it was trained for."""
        return self.card.assessed

    @property
    def identity(self) -> ModelIdentity:
        """Which weights speak."""
        return self.card.identity()

    @property
    def methods(self) -> tuple[str, ...]:
        """What `explain` knows, ``grad_cam`` first. A graph without features knows few."""
        there = set(_FEATURES_AND_HEAD) <= set(self.session.outputs)
        return (*(GRADIENT_METHODS if there else GRADIENT_METHODS[:1]), OCCLUSION)

    @property
    def taught_by_boxes(self) -> bool:
        """As its card says."""
        return self.card.maps_taught_by_boxes

    def classify(self, rad: Radiograph) -> Classified:
        """Scores and raw Grad-CAM maps in the radiograph's frame, for every finding it was trained for; lungs."""
        square, letterbox = self._square(rad)
        asked = (*_SCORES_AND_MAPS, LUNGS) if self.card.lungs is not None else _SCORES_AND_MAPS
        outputs = self.session.run(network_input(square[None]), asked)
        lungs = None
        if LUNGS in asked:
            lungs = lung_field(outputs[LUNGS][0], letterbox, rad.size_wh, self.card.lungs_from)
        maps = self._in_frame(outputs["maps"][0], letterbox, rad, self.card.map_cells)
        return Classified(self._scores(outputs["logits"][0]), maps, lungs)

    def explain(self, rad: Radiograph, methods: Sequence[str]) -> Explained:
        """Scores, and raw maps by each method in the radiograph's frame, for every finding it was trained for.

        All methods but ``occlusion`` share one pass; that one takes a pass for each place of the patch.

        Raises:
            ModelError: If it does not know a method.
        """
        unknown = [method for method in methods if method not in self.methods]
        if unknown:
            way_out = "; its graph gives no features: release it again" if set(unknown) & set(GRADIENT_METHODS) else ""
            names = ", ".join(map(repr, unknown))
            raise ModelError(f"{self.card.name} does not know {names}, it knows: {', '.join(self.methods)}{way_out}")
        square, letterbox = self._square(rad)
        needed = {name for method in methods for name in _NEEDS.get(method, _FEATURES_AND_HEAD)}
        outputs = self.session.run(network_input(square[None]), ("logits", *sorted(needed)))
        maps = {}
        for method in methods:
            if method == OCCLUSION:
                coarse, cells = self._occlusion(square, letterbox, outputs["logits"][0]), None
            else:
                coarse, cells = _coarse_maps(method, outputs), self.card.map_cells
            maps[method] = self._in_frame(coarse, letterbox, rad, cells)
        return Explained(self._scores(outputs["logits"][0]), maps)

    def score(self, rad: Radiograph) -> dict[str, float]:
        """The scores of `classify`, without the work of bringing maps into the radiograph's frame."""
        return self._scores(self.raw(rad)[0])

    def score_many(self, radiographs: Iterable[Radiograph]) -> Iterator[Mapping[str, float]]:
        """`score` for one after the other, in order, by as many threads as the session has lanes.

        Args:
            radiographs: May be endless; taken, and so decoded if need be, in the caller's thread.
        """
        return in_order(self.score, radiographs, threads=self.session.lanes)

    def raw(self, rad: Radiograph) -> tuple[FloatArray, FloatArray, Letterbox]:
        """Logits of shape ``(F,)``, maps of shape ``(F, h, w)`` over the square, and the square's letterbox."""
        square, letterbox = self._square(rad)
        outputs = self.session.run(network_input(square[None]), _SCORES_AND_MAPS)
        return outputs["logits"][0], outputs["maps"][0], letterbox

    def _square(self, rad: Radiograph) -> tuple[ByteArray, Letterbox]:
        letterbox = Letterbox.fit(rad.size_wh, self.card.side_px)
        return equalized_square(rad, letterbox, self.card.clahe), letterbox

    def _scores(self, logits: FloatArray) -> dict[str, float]:
        probabilities = self.probabilities(logits)
        return {finding: float(probabilities[self.label_space.index(finding)]) for finding in self.assessed}

    def _in_frame(
        self, coarse: FloatArray, letterbox: Letterbox, rad: Radiograph, cells: Cells | None
    ) -> tuple[SaliencyMap, ...]:
        of_each = [coarse[self.label_space.index(finding)] for finding in self.assessed]
        in_frame = [from_letterbox(values, letterbox, rad.size_wh, cells) for values in of_each]
        return tuple(SaliencyMap(finding, values) for finding, values in zip(self.assessed, in_frame, strict=True))

    def _occlusion(self, square: ByteArray, letterbox: Letterbox, logits: FloatArray) -> FloatArray:
        """Shape ``(F, S, S)``. A pass takes one picture; as many go on at once as the session has lanes."""

        def covered(place: Place) -> FloatArray:
            pixels = network_input(self.occluder.cover(square, place)[None])
            found: FloatArray = self.session.run(pixels, ("logits",))["logits"][0]
            return found

        places = self.occluder.places(letterbox)
        falls = in_order(covered, places, threads=self.session.lanes)
        return occlusion_map(logits, falls, places, self.card.side_px)

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Calibrated scores of the same shape ``(…, F)``.

        Each logit is sloped and shifted (Platt, 1999); then come a sigmoid, or a softmax over classes that exclude
        each other, whose slopes are all the same (temperature, Guo et al., ICML 2017).
        """
        scales = [self.card.scale(finding) for finding in self.label_space.keys]
        if not self.label_space.exclusive:
            of_each = [scale.of_logits(logits[..., index]) for index, scale in enumerate(scales)]
            return np.stack(of_each, axis=-1)
        moved = logits * np.array([scale.slope for scale in scales]) + np.array([scale.offset for scale in scales])
        shares: FloatArray = np.exp(moved - moved.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return shares


def _coarse_maps(method: str, outputs: Mapping[str, FloatArray]) -> FloatArray:
    """Shape ``(F, h, w)`` over the square, from what the graph gave."""
    if method == "grad_cam":
        found: FloatArray = outputs["maps"][0]
        return found
    features = outputs["features"][0]
    return gradient_map(method, features, pooled_gradients(outputs["head"], features[0].size))
