"""Released weights: a graph for reading, tensors for training on, and a card that says what they answer.

`<name>.json` is the card; `<name>.onnx` and `<name>.safetensors` lie beside it under the hashes that it states.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from boxray.core.bench import bench_folder
from boxray.core.calibration import Scale
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.frames import Cells
from boxray.core.reading import ModelIdentity
from boxray.runs.recipe import Clahe, StrictModel
from boxray.runs.run import write_atomically

LICENCE: Final = "AGPL-3.0-or-later; trained on non-commercial data sets: for non-commercial use only"
INTENDED_USE: Final = "Research on chest radiographs. Not a medical device."

NOT_CHOSEN: Final = "not chosen: "
"""Before the reason, on a card whose threshold is only a stand-in."""

_WEIGHT_FILES: Final = frozenset({".json", ".onnx", ".safetensors"})
"""What a path of weights ends in. A name may have points too, as in ``tiny-1.0``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Provenance(_Strict):
    """What the weights were trained on."""

    sources: tuple[str, ...]
    images: int
    positives: dict[str, int]
    """Per finding: boxes for a detector, positive images for a classifier."""
    fingerprint: str
    """SHA-256 of the manifest."""
    recipe: dict[str, Any]

    @classmethod
    def of_run(cls, trained: Mapping[str, Any], positives: dict[str, int], recipe: StrictModel) -> Provenance:
        """Of a run's `trained.json` and recipe; paths of the machine stay out."""
        return cls(
            sources=tuple(trained["sources"]),
            images=trained["images"],
            positives=positives,
            fingerprint=trained["fingerprint"],
            recipe=recipe.model_dump(mode="json", exclude={"data", "start"}),
        )


class OperatingPoint(_Strict):
    """From which score on a finding is reported."""

    threshold: float
    chosen: str
    """How, and on how much; begins with `NOT_CHOSEN` where a threshold stands in that nothing speaks for."""

    @property
    def is_chosen(self) -> bool:
        """Whether the validation part could say where it lies."""
        return not self.chosen.startswith(NOT_CHOSEN)


class Calibrated(_Strict):
    """On what a detector's calibration and operating points were made."""

    fingerprint: str
    """Of the data set whose validation part it was."""
    images: int
    """In that part."""
    findings: dict[str, str]
    """Per assessed finding: how, and on how much; ``not calibrated: …`` where its scores are the network's own."""


class Quantized(_Strict):
    """How an int8 graph was made, and what it lost."""

    of: str
    """SHA-256 of the float32 graph."""
    calibrated_on: int
    """Images of the validation part whose activations set the ranges."""
    fingerprint: str
    """Of the data set that they belong to."""
    measured_on: str | None = None
    """Part of the data set on which the next field was measured; None before it is."""
    ap50: dict[str, tuple[float, float]] = {}
    """Per assessed finding with boxes there: AP50 of the float32 graph, AP50 of this one."""


class ModelCard(_Strict):
    """What a pair of weight files answers, and how to ask it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Of the files too, so it leads to no other folder."""
    version: str
    job: str
    architecture: str
    licence: str
    intended_use: str
    label_space: dict[str, Any]
    assessed: tuple[str, ...]
    """Findings it was trained to answer. All others are *not assessed*, never *absent*."""
    side_px: int
    clahe: Clahe | None = None
    """None leaves the shades as they are."""
    operating_points: dict[str, OperatingPoint]
    calibration: dict[str, tuple[float, float]] = {}
    """Per finding slope and offset of the logit, so that sigmoid gives a probability: that the finding is there (a
    classifier), that a box of it hits a reader's at IoU 0.5 (a detector). Without an entry the score stays as it is."""
    calibrated_on: Calibrated | None = None
    """Detector only; None: its scores are the network's own."""
    trained_on: Provenance
    sha256: dict[str, str]
    """By file name."""
    quantized: Quantized | None = None
    """Only of an int8 graph."""
    map_cells: Cells | None = None
    """Classifier only: where on its square the cells of its maps look. None, as on cards that do not say: each at the
    middle of its own tile."""
    lungs: Provenance | None = None
    """What the lung fields that the same graph draws were learned from, boxes of each lung under `positives`; None: it
    draws none."""
    lungs_from: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on a place belongs to a lung: the one that fits the validation part's boxes best."""
    default: bool = False
    """Whether these are the weights to read with where a folder has several and none are named."""

    @property
    def maps_taught_by_boxes(self) -> bool:
        """Of a classifier: whether its maps learned to point into readers' boxes, or know labels alone."""
        return bool(self.trained_on.recipe.get("pointing"))

    @model_validator(mode="after")
    def _speaks_of_its_findings(self) -> ModelCard:
        keys = set(self.space.keys)
        for what, named in (
            ("assessed", self.assessed),
            ("operating_points", self.operating_points),
            ("calibration", self.calibration),
        ):
            if not set(named) <= keys:
                raise ValueError(f"{what}: {sorted(set(named) - keys)} are not in the label space")
        for slope_and_offset in self.calibration.values():
            Scale(*slope_and_offset)  # refuses what would turn the order of scores
        return self

    @property
    def space(self) -> LabelSpace:
        """The label space as an object."""
        return LabelSpace.from_mapping(self.label_space)

    @property
    def thresholds(self) -> dict[str, float]:
        """The stored operating points as plain numbers."""
        return {key: point.threshold for key, point in self.operating_points.items()}

    def scale(self, finding: str) -> Scale:
        """From the network's score of a finding to a probability; leaves it as it is where nothing was calibrated."""
        return Scale(*self.calibration.get(finding, (1.0, 0.0)))

    def identity(self) -> ModelIdentity:
        """Name, version and hash of the graph, as a reading states them.

        Raises:
            ModelError: If the card states no hash of a graph.
        """
        graph = f"{self.name}.onnx"
        if graph not in self.sha256:
            raise ModelError(f"the card of {self.name} states no hash of {graph}, so nobody knows which weights spoke")
        return ModelIdentity(self.name, self.version, self.sha256[graph], self.thresholds)


def released_cards(job: str) -> list[Path]:
    """All cards in ``<job>/weights``, by name."""
    return sorted(bench_folder(f"{job}/weights").glob("*.json"))


def released_card(job: str, wanted: str | None = None) -> Path:
    """A card in ``<job>/weights``, or one that lies elsewhere.

    Args:
        job: ``detection`` or ``classification``.
        wanted: The name of released weights, or the path of a card or of a weight file beside it. None means the
            only card, or of several the one that says that it is the default.

    Raises:
        ModelError: If there is no card, none of that name, or not exactly one default among several.
    """
    if wanted is not None and Path(wanted).suffix in _WEIGHT_FILES:
        return Path(wanted)
    cards = released_cards(job)
    names = ", ".join(card.stem for card in cards) or "none"
    if wanted is not None:
        for card in cards:
            if card.stem == wanted:
                return card
        raise ModelError(
            f"there are no weights {wanted!r} in {job}/weights, there are: {names}; "
            "give one of these names or the path of a card"
        )
    chosen = cards if len(cards) == 1 else [card for card in cards if _is_default(card)]
    if len(chosen) != 1:
        raise ModelError(
            f"expected one default card in {job}/weights, found {len(chosen)} among: {names}; "
            'exactly one of them has to say "default": true'
        )
    return chosen[0]


def _is_default(card: Path) -> bool:
    try:
        return json.loads(card.read_text(encoding="utf-8")).get("default") is True
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{card.name} is no model card, which is a JSON object") from error


def read_card(path: Path) -> ModelCard:
    """A card, whether or not its files are what it says.

    Args:
        path: Of the card, or of a weight file beside it.

    Raises:
        ModelError: If `path` is not there or is neither, or the card is missing or not one.
    """
    _require_there(path)
    card_path = path.with_suffix(".json")
    if not card_path.is_file():
        raise ModelError(
            f"there is no card {card_path.name} beside the weights; without it nobody knows what they answer"
        )
    try:
        card = ModelCard.model_validate(json.loads(card_path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError(f"{card_path.name} is no model card: {error}") from error
    if card_path.stem != card.name:
        raise ModelError(f"{card_path.name} is the card of {card.name}; card and weights have the same name")
    return card


def load_card(path: Path, *, check: str) -> tuple[ModelCard, Path]:
    """A card and the file beside it that ends in `check` (``.onnx`` or ``.safetensors``), if its hash is right.

    Args:
        path: Of the card, or of a weight file beside it.
        check: Suffix of the file that is wanted.

    Raises:
        ModelError: As `read_card`, or if the file is not what the card says.
    """
    card = read_card(path)
    file = path.with_name(card.name + check)
    if not file.is_file():
        raise ModelError(f"{file.name} is not beside its card")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != card.sha256.get(file.name):
        raise ModelError(
            f"{file.name} has SHA-256 {found[:12]}…, the card says {card.sha256.get(file.name, 'none')[:12]}…"
        )
    return card, file


def _require_there(path: Path) -> None:
    """The very file that was named: its name without the suffix would lead to a card all the same."""
    if path.suffix in _WEIGHT_FILES and path.is_file():
        return
    folder = path.parent
    if not folder.is_dir():
        raise ModelError(f"{path} is not there: {folder} is no folder; released weights lie in <job>/weights")
    beside = sorted(each.name for each in folder.iterdir() if each.suffix in _WEIGHT_FILES)
    fault = "is neither a card nor weights" if path.exists() else "is not there"
    raise ModelError(f"{path} {fault}; cards and weights beside it: {', '.join(beside) or 'none'}")


def save_card(card: ModelCard, folder: Path) -> Path:
    """Write the card with the hashes of the files that lie in `folder` under its name."""
    hashes = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob(f"{card.name}.*"))
        if file.suffix in {".onnx", ".safetensors"}
    }
    return write_card(card.model_copy(update={"sha256": hashes}), folder)


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write the card with the hashes that it states; the file is there whole, or as it was."""
    path = folder / f"{card.name}.json"
    write_atomically(path, card.model_dump_json(indent=2).encode() + b"\n")
    return path
