"""Fit the gate: films of a built set against films altered and pictures drawn.

A logistic regression with a ridge, solved to the end by Newton's method: no learning rate, no order of batches, the
same numbers at every run up to the rounding of the machine's linear algebra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from pydantic import Field

from boxray.classification.gate.altered import ALTERED, moved, sheet
from boxray.classification.gate.describe import describe
from boxray.classification.gate.drawn import DRAWN
from boxray.classification.gate.gate import NAME, Counted, GateCard, ScopeGate
from boxray.core.arrays import BoolArray, ByteArray, FloatArray
from boxray.core.errors import DataError, InputError
from boxray.core.radiograph import Radiograph
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.imaging.shrink import shrink
from boxray.runs.recipe import StrictModel

LICENCE: Final = "AGPL-3.0-or-later; for non-commercial use only, as the films it was fitted on"
INTENDED_USE: Final = (
    "Keeps from the models what is no whole, upright frontal chest radiograph. Side views are practically unmeasured: "
    "none could be had. Research use only; not a medical device."
)
FILM: Final = "film"
MOVED: Final = "film moved a little"
SHEET: Final = "films on one sheet"
PASSED: Final = "passed"
KINDS: Final = (*ALTERED, SHEET, *DRAWN)
"""All that is no chest and can be made here."""

_PARTS: Final = (Split.TRAIN, Split.VAL, Split.TEST)
_FILM_PX: Final = 256
"""Longer side of the films that are altered; the description sees 64."""
_STEPS: Final = 30
_CLOSE: Final = 1e-6


class GateRecipe(StrictModel):
    """How the gate is fitted."""

    seed: int = 0
    per_kind: int = Field(default=600, ge=10)
    """Pictures of each kind that is no chest, in the training part."""
    per_kind_measured: int = Field(default=200, ge=10)
    """The same in the test part, drawn anew."""
    ridge: float = Field(default=100.0, gt=0)
    """Penalty on the squared weights, against a sum over all pictures."""
    refused: float = Field(default=0.0015, ge=0, lt=0.5)
    """Largest share of the validation part's films that the gate may refuse: sets what counts as 0."""


@dataclass(frozen=True, slots=True)
class Described:
    """Pictures as rows of numbers."""

    rows: FloatArray
    """Shape ``(N, 832)``."""
    kinds: tuple[str, ...]
    """Of each: `FILM`, `MOVED`, or one of `KINDS`."""
    sources: tuple[str, ...]
    """Of each film; empty text of what is made."""

    def of(self, kind: str) -> BoolArray:
        """Shape ``(N,)``: which rows are of this kind."""
        return np.array([one == kind for one in self.kinds])

    @property
    def is_chest(self) -> BoolArray:
        """Shape ``(N,)``: films, moved a little or not."""
        return self.of(FILM) | self.of(MOVED)


def fit_gate(
    manifest: Manifest, recipe: GateRecipe, version: str, progress: Callable[[], object] = lambda: None
) -> tuple[GateCard, ScopeGate]:
    """Fit on the training part, set the threshold on the validation part, count errors on all and on the test part.

    Args:
        manifest: A built set with films in all three parts; those put aside take no part.
        recipe: How.
        version: Of the gate.
        progress: Called after each of the three parts has been described.

    Raises:
        DataError: If a part has no film.
    """
    parts: dict[Split, Described] = {}
    for part in _PARTS:
        films = manifest.part(part)
        if films.images.empty:
            raise DataError(f"the {part.value} part of this set holds no film; the gate needs all three parts")
        rng = np.random.default_rng([recipe.seed, _PARTS.index(part)])
        parts[part] = described(films, recipe.per_kind if part is Split.TRAIN else 0, rng)
        progress()
    train, val = parts[Split.TRAIN], parts[Split.VAL]
    weights, offset = fitted(train.rows, train.is_chest, recipe.ridge)
    scores = np.sort(val.rows[val.of(FILM)] @ weights + offset)
    allowed = int(recipe.refused * len(scores))
    threshold = float(scores[allowed] if allowed == 0 else scores[allowed - 1 : allowed + 1].mean())
    gate = ScopeGate(weights.astype(np.float32), offset - threshold)
    card = GateCard(
        name=NAME,
        version=version,
        licence=LICENCE,
        intended_use=INTENDED_USE,
        sources=tuple(sorted(set(manifest.images["source"].astype(str)))),
        films=int(train.of(FILM).sum()),
        fingerprint=manifest.fingerprint,
        recipe=recipe.model_dump(),
        threshold=f"{allowed} of {len(scores)} films of the validation part refused",
        real=tuple(count for part, seen in parts.items() for count in _films_refused(gate, seen, part)),
        made=tuple(_made_passed(gate, manifest.part(Split.TEST), recipe)),
    )
    return card, gate


def fitted(rows: FloatArray, is_chest: BoolArray, ridge: float) -> tuple[FloatArray, float]:
    """Logistic regression; chests and all else weigh the same in sum, however many there are of each.

    Args:
        rows: Shape ``(N, D)``.
        is_chest: Shape ``(N,)``; both kinds must occur.
        ridge: Penalty on the squared weights; the offset has none.

    Returns:
        Weights of shape ``(D,)``, float64, and the offset.
    """
    given = np.hstack([rows, np.ones((len(rows), 1))]).astype(np.float64)
    share = np.where(is_chest, 0.5 / is_chest.sum(), 0.5 / (~is_chest).sum()) * len(rows)
    penalty = np.full(given.shape[1], ridge)
    penalty[-1] = 0
    solution = np.zeros(given.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(given @ solution)))
        slope = given.T @ (share * (chance - is_chest)) + penalty * solution
        curve = (given * (share * chance * (1 - chance))[:, None]).T @ given + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        solution -= step
        if np.abs(step).max() < _CLOSE:
            break
    return solution[:-1], float(solution[-1])


def described(manifest: Manifest, per_kind: int, rng: Generator) -> Described:
    """The films of a part, each also moved a little, and `per_kind` of each kind that is no chest."""
    films = [_film(manifest, picture) for picture in manifest.images["picture"]]
    sources = manifest.images["source"].astype(str).tolist()
    rows, kinds, origins = [], [], []
    for film, source in zip(films, sources, strict=True):
        for kind, grey in ((FILM, film), (MOVED, moved(film, rng))):
            rows.append(_describe(grey))
            kinds.append(kind)
            origins.append(source)
    for kind in KINDS:
        for grey in pictures(kind, films, per_kind, rng):
            rows.append(_describe(grey))
            kinds.append(kind)
            origins.append("")
    return Described(np.array(rows), tuple(kinds), tuple(origins))


def pictures(kind: str, films: list[ByteArray], n: int, rng: Generator) -> Iterator[ByteArray]:
    """`n` pictures of a kind that is no chest; films to be altered are chosen at random, one in three moved before."""
    for _ in range(n):
        if kind in DRAWN:
            yield DRAWN[kind](rng)
        elif kind == SHEET:
            yield sheet(films, rng)
        else:
            film = films[rng.integers(len(films))]
            yield ALTERED[kind][0](moved(film, rng) if rng.random() < 1 / 3 else film, rng)


def _film(manifest: Manifest, picture: str) -> ByteArray:
    return np.asarray(shrink(np.round(manifest.radiograph(picture).pixels * 255).astype(np.uint8), _FILM_PX))


def _describe(grey: ByteArray) -> FloatArray:
    return describe(np.ascontiguousarray(grey, dtype=np.float32) / 255)


def _films_refused(gate: ScopeGate, seen: Described, part: Split) -> Iterator[Counted]:
    scores = seen.rows @ gate.weights + gate.offset
    for kind in (FILM, MOVED):
        for source in sorted(set(seen.sources) - {""}):
            here = seen.of(kind) & np.array([one == source for one in seen.sources])
            if here.any():
                name = source if kind == FILM else f"{source}, moved a little"
                yield Counted(what=name, part=part.value, n=int(here.sum()), wrong=int((scores[here] < 0).sum()))


def _made_passed(gate: ScopeGate, films: Manifest, recipe: GateRecipe) -> Iterator[Counted]:
    """Of each kind, made anew from the films of the test part: how many pass, how many get the code they should."""
    greys = [_film(films, picture) for picture in films.images["picture"]]
    rng = np.random.default_rng([recipe.seed, len(_PARTS)])
    for kind in KINDS:
        wanted = ALTERED[kind][1] if kind in ALTERED else "scope.not_chest"
        codes = [_code(gate, grey) for grey in pictures(kind, greys, recipe.per_kind_measured, rng)]
        n_passed, n_named = codes.count(PASSED), codes.count(wanted)
        yield Counted(what=kind, part=Split.TEST.value, n=len(codes), wrong=n_passed, named=n_named)


def _code(gate: ScopeGate, grey: ByteArray) -> str:
    try:
        gate.require(Radiograph(np.ascontiguousarray(grey, dtype=np.float32) / np.float32(255)))
    except InputError as error:
        return error.code.name
    return PASSED
