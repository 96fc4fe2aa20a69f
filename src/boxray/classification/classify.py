"""One radiograph in, a score and a saliency map per finding out: one pass through one graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxray.classification.preprocess import equalized_square, network_input
from boxray.core.arrays import FloatArray
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.frames import Letterbox
from boxray.core.protocols import Classified
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity, SaliencyMap
from boxray.engines import EngineName, Session, open_session
from boxray.imaging.letterbox import from_letterbox
from boxray.weights import ModelCard, load_card


@dataclass(frozen=True, slots=True)
class CamClassifier:
    """A `boxray.core.protocols.Classifier` over any engine that runs the graph."""

    card: ModelCard
    session: Session
    label_space: LabelSpace

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

    def classify(self, rad: Radiograph) -> Classified:
        """Scores and raw Grad-CAM maps in the radiograph's frame, for every finding it was trained for."""
        logits, maps, letterbox = self.raw(rad)
        probabilities = self.probabilities(logits)
        scores, saliency = {}, []
        for finding in self.assessed:
            index = self.label_space.index(finding)
            scores[finding] = float(probabilities[index])
            values = from_letterbox(maps[index], letterbox, rad.size_wh)
            saliency.append(SaliencyMap(finding, values))
        return Classified(scores, tuple(saliency))

    def raw(self, rad: Radiograph) -> tuple[FloatArray, FloatArray, Letterbox]:
        """Logits of shape ``(F,)``, maps of shape ``(F, h, w)`` over the square, and the square's letterbox."""
        letterbox = Letterbox.fit(rad.size_wh, self.card.side_px)
        square = equalized_square(rad, letterbox, self.card.clahe)
        outputs = self.session.run(network_input(square[None]))
        return outputs["logits"][0], outputs["maps"][0], letterbox

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
