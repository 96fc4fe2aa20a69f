"""READ: bytes → radiograph → scope gate → boxes, scores and maps in one frame → agreement → reading."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from boxray.classification.classify import CamClassifier
from boxray.classification.gate.gate import released_gate
from boxray.core.ahead import in_order
from boxray.core.errors import InputError, ModelError, Outcome
from boxray.core.findings import LabelSpace
from boxray.core.protocols import Classified, Classifier, Detector, Gate
from boxray.core.radiograph import Radiograph
from boxray.core.reading import Agreement, Chest, Detection, ModelIdentity, Reading
from boxray.detection.detect import YoloDetector
from boxray.engines import EngineName
from boxray.imaging.children import DecodingChildren
from boxray.imaging.read import read_radiograph
from boxray.localization.agreement import agree
from boxray.localization.chest import HEART, chest_of, energy_in_lungs, outside_lungs
from boxray.weights import released_card

Only = Literal["detector", "classifier"]
LOG = logging.getLogger(__name__)
NOT_CHECKED: Final = "scope check off: whether this is a frontal chest radiograph at all was not looked at"
"""The note of a reading by a reader without a gate."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Both models on one radiograph. Either may be left out; then nothing is said for it.

    Raises:
        ValueError: If both are left out.
        ModelError: If their label spaces differ.
    """

    detector: Detector | None
    classifier: Classifier | None
    lanes: int = 1
    """How many radiographs its models should work on at once when there are many."""
    gate: Gate | None = None
    """Refuses before the models are asked. None reads everything and says so in the reading's notes."""

    def __post_init__(self) -> None:
        if self.detector is None and self.classifier is None:
            raise ValueError("a reader needs a detector, a classifier or both")
        if self.detector is not None and self.classifier is not None:
            self.detector.label_space.require_same(self.classifier.label_space)

    @property
    def label_space(self) -> LabelSpace:
        """That of both models."""
        model = self.detector or self.classifier
        assert model is not None, "a reader without models cannot be made"
        return model.label_space

    @property
    def models(self) -> dict[str, ModelIdentity]:
        """Role, ``detector`` or ``classifier`` -> who speaks; a role that was left out is not in it."""
        return {role: model.identity for role, model in self._roles()}

    @property
    def not_assessed(self) -> dict[str, tuple[str, ...]]:
        """Role -> the findings that its model was never trained to answer, in the label space's order."""
        keys = self.label_space.keys
        return {role: tuple(key for key in keys if key not in model.assessed) for role, model in self._roles()}

    def _roles(self) -> Iterator[tuple[str, Detector | Classifier]]:
        for role, model in (("detector", self.detector), ("classifier", self.classifier)):
            if model is not None:
                yield role, model

    def read(
        self,
        source: bytes | Path,
        name: str,
        *,
        min_score: float | None = None,
        children: DecodingChildren | None = None,
    ) -> Reading:
        """Read one file. Bad input is refused and faults fail, each with a code; nothing is raised for it.

        Args:
            source: Content of the file, or where it lies.
            name: As the caller names it; it comes back in the reading.
            min_score: Of the detector, the same for all findings; None means its operating points.
            children: Who decodes; None means the program's one child.
        """
        try:
            rad = read_radiograph(source, children=children)
        except InputError as error:
            return Reading.not_answered(name, error)
        return self.read_radiograph(rad, name, min_score=min_score)

    def read_many(
        self, files: Iterable[tuple[bytes | Path, str]], *, min_score: float | None = None
    ) -> Iterator[Reading]:
        """`read` for one file after the other, in order; decoding and the models overlap.

        A reading holds maps as large as its radiograph: take each and let it go. Only a few are made ahead.

        Args:
            files: Content or place, and name, of each. May be endless.
            min_score: As for `read`.
        """
        with DecodingChildren(self.lanes) as children:

            def read(file: tuple[bytes | Path, str]) -> Reading:
                return self.read(*file, min_score=min_score, children=children)

            yield from in_order(read, files, threads=self.threads)

    @property
    def threads(self) -> int:
        """How many should read at once: one more than lanes, as one waits for its file to be decoded."""
        return self.lanes + 1

    def read_radiograph(
        self,
        rad: Radiograph,
        name: str,
        *,
        min_score: float | None = None,
        admitted: Callable[[Radiograph], None] | None = None,
    ) -> Reading:
        """The same for a radiograph that is decoded already.

        Args:
            rad: In its own frame.
            name: As for `read`.
            min_score: As for `read`.
            admitted: Called with it once the gate has let it through, before the models see it; they wait meanwhile.
        """
        try:
            if self.gate is not None:
                self.gate.require(rad)
            if admitted is not None:
                admitted(rad)
            return self._read(rad, name, min_score)
        except InputError as error:
            return Reading.not_answered(name, error)
        except ModelError as error:
            LOG.error("a model failed: %s", error.reason)  # noqa: TRY400 - the reason is ours, the trace says no more
            return Reading.not_answered(name, error)

    def _read(self, rad: Radiograph, name: str, min_score: float | None) -> Reading:
        notes = rad.notes if self.gate is not None else (*rad.notes, NOT_CHECKED)
        reading = Reading(name, Outcome.RESULT, size_wh=rad.size_wh, notes=notes)
        detections: tuple[Detection, ...] = ()
        classified = Classified({}, ())
        if self.detector is not None:
            detections = self.detector.detect(rad, min_score)
        if self.classifier is not None:
            classified = self.classifier.classify(rad)
        chest, beside = self._chest(detections, classified)
        return replace(
            reading,
            notes=(*notes, *beside),
            lungs=classified.lungs,
            chest=chest,
            detections=detections,
            min_score=None if self.detector is None else min_score,
            scores=classified.scores,
            maps=classified.maps,
            models=self.models,
            not_assessed=self.not_assessed,
            agreement=self._agreement(detections, classified),
        )

    def _agreement(self, detections: tuple[Detection, ...], classified: Classified) -> tuple[Agreement, ...]:
        """For findings that both models assess; boxes count from the detector's operating point."""
        if self.detector is None or self.classifier is None:
            return ()
        box_from, map_from = self.detector.identity.thresholds, self.classifier.identity.thresholds
        rows = []
        for saliency in classified.maps:
            key = saliency.finding
            if key not in self.detector.assessed:
                continue
            boxes = [det.box for det in detections if det.finding == key and det.score >= box_from.get(key, 0.0)]
            row = agree(key, boxes, saliency, map_speaks=classified.scores[key] >= map_from.get(key, 0.5))
            if classified.lungs is not None:
                row = replace(row, energy_in_lungs=energy_in_lungs(saliency, classified.lungs))
            rows.append(row)
        return tuple(rows)

    def _chest(self, detections: tuple[Detection, ...], classified: Classified) -> tuple[Chest | None, tuple[str, ...]]:
        """What the lung fields give, and a note on each box beside the chest; boxes count as in `_agreement`."""
        lungs = classified.lungs
        if lungs is None:
            return None, ()
        from_score = {} if self.detector is None else self.detector.identity.thresholds
        counted = [
            (number, det)
            for number, det in enumerate(detections, start=1)
            if det.score >= from_score.get(det.finding, 0.0)
        ]
        # By falling score, so that the first is the surest; a chest has one heart.
        hearts = (det.box for _, det in counted if self.label_space[det.finding].box == HEART)
        beside = (f"box d{number} lies outside the chest" for number, det in counted if outside_lungs(det.box, lungs))
        return chest_of(lungs, next(hearts, None)), tuple(beside)


def released_reader(
    engine: EngineName = "openvino",
    only: Only | None = None,
    *,
    many: bool = False,
    detector: str | None = None,
    classifier: str | None = None,
    scope_check: bool = True,
) -> Reader:
    """A reader of the weights that the project releases.

    Args:
        engine: What runs both graphs.
        only: The one model that is wanted.
        many: For `Reader.read_many` or several threads: see `boxray.engines.open_session`.
        detector: Name of the released detector, or path of a card; None means the default one.
        classifier: The same of the classifier.
        scope_check: Refuse what is no whole, upright frontal chest radiograph; without it, readings carry a note.

    Raises:
        ModelError: If weights are missing, or are not what their card says, or those named are of another job.
    """
    boxes = None if only == "classifier" else YoloDetector.load(released_card("detection", detector), engine, many=many)
    maps = (
        None
        if only == "detector"
        else CamClassifier.load(released_card("classification", classifier), engine, many=many)
    )
    lanes = max(model.session.lanes for model in (boxes, maps) if model)
    return Reader(boxes, maps, lanes, released_gate() if scope_check else None)
