"""The gate itself: a weighted sum over the description of a picture, and the words for what it refuses.

`<name>.safetensors` holds the sum, `<name>.json` beside it is the card: what it was fitted on, and how often it errs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load, save

from boxray.classification.gate.describe import LENGTH, describe
from boxray.core.arrays import FloatArray
from boxray.core.bench import bench_folder
from boxray.core.errors import InputError, ModelError
from boxray.core.radiograph import Radiograph
from boxray.runs.run import write_atomically

NAME: Final = "chest-gate"
FOLDER: Final = "classification/gate"

_TURNS: Final = {1: "a quarter turn to the left", 2: "half a turn", 3: "a quarter turn to the right"}
"""Quarter turns to the left that would right the picture, as `numpy.rot90` counts them -> in words."""
_ANYWAY: Final = "if the picture is right as it is, read it with the scope check off (--no-scope-check)"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counted(_Strict):
    """How often the gate erred on pictures of one kind, which it was not fitted on unless `part` is ``train``."""

    what: str
    """Source of the films, or kind of what is no chest."""
    part: str
    n: int
    wrong: int
    """Films that it refuses; other pictures that it lets pass."""
    named: int | None = None
    """Refused, and with the code that this kind should have; None of films."""


class GateCard(_Strict):
    """What the gate was fitted on, and how often it errs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str
    job: str = "scope"
    licence: str
    intended_use: str
    sources: tuple[str, ...]
    films: int
    """Of the training part."""
    fingerprint: str
    """SHA-256 of the manifest."""
    recipe: dict[str, Any]
    threshold: str
    """How the score that counts as 0 was chosen, and on how much."""
    real: tuple[Counted, ...]
    made: tuple[Counted, ...]
    sha256: str = ""
    """Of the safetensors file; filled in by `save_gate`."""


@dataclass(frozen=True, slots=True, eq=False)
class ScopeGate:
    """Says of a picture how much it is like a whole, upright frontal chest; from 0 on it is read.

    A film mirrored left to right passes: with the heart on the right side it may be a true one.
    """

    weights: FloatArray
    """Shape ``(832,)``, one per number of `describe`."""
    offset: float

    def score(self, pixels: FloatArray) -> float:
        """Likeness to a frontal chest, a logit: 0 and above is read. See the card."""
        return float(self.weights @ describe(pixels)) + self.offset

    def require(self, rad: Radiograph) -> None:
        """Refuse what is no frontal chest radiograph.

        What would pass if it were turned or inverted is refused with these words; all else as no chest.

        Raises:
            InputError: ``scope.rotated``, ``quality.polarity`` or ``scope.not_chest``, with the score.
        """
        score = self.score(rad.pixels)
        if score >= 0:
            return
        righted = {turns: self.score(np.ascontiguousarray(np.rot90(rad.pixels, turns))) for turns in _TURNS}
        turns = max(righted, key=righted.__getitem__)
        inverse = self.score(1 - rad.pixels)
        seen = f"likeness to a frontal chest {score:.1f}, read from 0 on"
        if inverse >= max(0.0, righted[turns]):
            raise InputError(
                "quality.polarity",
                f"bright and dark seem exchanged ({seen}; inverted {inverse:.1f}); invert it, or check "
                f"PhotometricInterpretation and export it again; {_ANYWAY}",
            )
        if righted[turns] >= 0:
            raise InputError(
                "scope.rotated",
                f"it lies on its side or upside down ({seen}; after {_TURNS[turns]} {righted[turns]:.1f}); "
                f"give it {_TURNS[turns]} and send it again; {_ANYWAY}",
            )
        raise InputError(
            "scope.not_chest",
            f"this does not look like a frontal chest radiograph ({seen}); expected is one whole film, upright: no "
            f"side view, no part of a film, no photograph or page; choose the frontal view; {_ANYWAY}",
        )


def load_gate(path: Path) -> tuple[GateCard, ScopeGate]:
    """A gate and its card.

    Args:
        path: Of the card.

    Raises:
        ModelError: If one of the two files is missing or damaged, or the weights are not those of the card.
    """
    tensors = path.with_suffix(".safetensors")
    try:
        card = GateCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
        content = tensors.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the scope gate is not whole: {path.name} or {tensors.name} is missing; install boxray again, or make it "
            "with: boxray classification fit-gate"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path.name} is no card of a scope gate: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(f"{tensors.name} has SHA-256 {found[:12]}…, its card says {card.sha256[:12] or 'none'}…")
    try:
        stored = load(content)
        weights, offset = stored["weights"], float(stored["offset"].item())
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{tensors.name} holds no scope gate: {error}") from error
    if weights.shape != (LENGTH,) or not np.isfinite([*weights, offset]).all():
        raise ModelError(f"{tensors.name}: expected {LENGTH} finite weights, got shape {weights.shape}")
    return card, ScopeGate(weights, offset)


def released_gate() -> ScopeGate:
    """The gate that the project releases.

    Raises:
        ModelError: If it is missing or altered: what was not checked must not look as if it had been.
    """
    return load_gate(released_gate_card())[1]


def released_gate_card() -> Path:
    """Where the card of the released gate lies.

    Raises:
        ModelError: If its folder is missing.
    """
    try:
        return bench_folder(FOLDER) / f"{NAME}.json"
    except FileNotFoundError as error:
        raise ModelError("the scope gate is missing; install boxray again") from error


def save_gate(gate: ScopeGate, card: GateCard, folder: Path) -> Path:
    """Write both files, the card last and with the hash of the other; returns the card's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = save({"weights": gate.weights.astype(np.float32), "offset": np.array([gate.offset], dtype=np.float64)})
    write_atomically(folder / f"{card.name}.safetensors", content)
    card = card.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
    path = folder / f"{card.name}.json"
    write_atomically(path, card.model_dump_json(indent=1).encode() + b"\n")
    return path
