"""One radiograph in, a score and a saliency map per finding out: one pass through one graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxray.classification.lung_field import lung_field
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
        if card.clahe is None:
            raise ModelError(f"{card.name} is no classifier's card: it does not say how CLAHE is set")
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
        """Scores and raw Grad-CAM maps in the radiograph's frame, for every finding it was trained for; lungs."""
        outputs, letterbox = self._run(rad)
        logits, maps, lungs = outputs["logits"][0], outputs["maps"][0], None
        if self.card.lungs is not None:
            lungs = lung_field(outputs["lungs"][0], letterbox, rad.size_wh, self.card.lungs_from)
        scores, saliency = {}, []
        for finding in self.assessed:
            index = self.label_space.index(finding)
            scores[finding] = self.probability(finding, float(logits[index]))
            values = from_letterbox(maps[index], letterbox, rad.size_wh)
            saliency.append(SaliencyMap(finding, values))
        return Classified(scores, tuple(saliency), lungs)

    def raw(self, rad: Radiograph) -> tuple[FloatArray, FloatArray, Letterbox]:
        """Logits of shape ``(F,)``, maps of shape ``(F, h, w)`` over the square, and the square's letterbox."""
        outputs, letterbox = self._run(rad)
        return outputs["logits"][0], outputs["maps"][0], letterbox

    def _run(self, rad: Radiograph) -> tuple[Mapping[str, FloatArray], Letterbox]:
        assert self.card.clahe is not None, "load refuses a card without"
        letterbox = Letterbox.fit(rad.size_wh, self.card.side_px)
        square = equalized_square(rad, letterbox, self.card.clahe.clip, self.card.clahe.tiles)
        return self.session.run(network_input(square[None])), letterbox

    def probability(self, finding: str, logit: float) -> float:
        """The calibrated score: a sigmoid of the logit, sloped and shifted per finding (Platt, 1999)."""
        return float(self.card.scale(finding).of_logits(np.array(logit)))
