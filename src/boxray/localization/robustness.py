"""Does an answer stay when a film is softer, closer or darker? What changes no finding should change no answer.

A model that has learned the look of a collection answers by it: blur its films, or cut their margin, and it says
the finding of the collection that they resemble now. On a test part of the same collections none of this is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np

from boxray.classification.evaluate import Known
from boxray.classification.score import score_all
from boxray.core.arrays import BoolArray, FloatArray
from boxray.core.metrics import Interval, bootstrap_all
from boxray.core.protocols import Scorer
from boxray.core.radiograph import Radiograph
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.page.judged import JudgedOn
from boxray.page.model_card import AS_IS, ROBUSTNESS_SCHEMA

FEWEST_PATIENTS: Final = 5
"""Of fewer no difference is called certain."""

SOFT: Final = 0.003
"""Deviation of the blur as a share of the longer side: 2 px of 640."""
GRAIN: Final = 0.02
"""Deviation of the noise, of shades in [0, 1]."""
MARGIN: Final = 0.08
"""Share of a side that is cut off, or set about in black, at either end."""
GAMMA: Final = 1.25


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is done to a film."""

    words: str
    """What is done, after “the film”."""
    apply: Callable[[Radiograph], Radiograph]


def _soft(rad: Radiograph) -> Radiograph:
    return replace(rad, pixels=cv2.GaussianBlur(rad.pixels, (0, 0), SOFT * max(rad.size_wh)).clip(0, 1))


def _noisy(rad: Radiograph) -> Radiograph:
    noise = np.random.default_rng(0).normal(0, GRAIN, rad.pixels.shape)
    return replace(rad, pixels=(rad.pixels + noise).clip(0, 1).astype(np.float32))


def _close(rad: Radiograph) -> Radiograph:
    rows, columns = (slice(round(MARGIN * side), side - round(MARGIN * side)) for side in rad.pixels.shape)
    padded = None if rad.padded is None else rad.padded[rows, columns]
    return replace(rad, pixels=rad.pixels[rows, columns], padded=padded)


def _far(rad: Radiograph) -> Radiograph:
    margin = [(round(MARGIN * side),) * 2 for side in rad.pixels.shape]
    padded = None if rad.padded is None else np.pad(rad.padded, margin, constant_values=True)
    return replace(rad, pixels=np.pad(rad.pixels, margin), padded=padded)


def _bright(rad: Radiograph) -> Radiograph:
    return replace(rad, pixels=rad.pixels ** np.float32(1 / GAMMA))


def _dark(rad: Radiograph) -> Radiograph:
    return replace(rad, pixels=rad.pixels ** np.float32(GAMMA))


CHANGES: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "soft": Change(f"blurred by {SOFT * 640:.0f} px of 640", _soft),
        "noisy": Change(f"with noise of {GRAIN:.0%} of the scale of grey", _noisy),
        "close": Change(f"with {MARGIN:.0%} of each margin cut off", _close),
        "far": Change(f"with {MARGIN:.0%} more black at each margin", _far),
        "bright": Change(f"at gamma 1 / {GAMMA:g}", _bright),
        "dark": Change(f"at gamma {GAMMA:g}", _dark),
    }
)
"""Each leaves opacities, hearts and fluid where they are; the blur may take the finest signs."""


@dataclass(frozen=True, slots=True)
class Said:
    """How often a finding is said, at its operating point, of the films of one source that have it, or have not."""

    finding: str
    source: str
    there: bool
    """Of films that have it; else of films in which it is absent."""
    images: int
    patients: int
    shares: Mapping[str, Interval]
    """By `AS_IS` and the names of the changes: share of the films, in [0, 1]."""
    differences: Mapping[str, Interval]
    """By the names of the changes: that share less the one as it is, on the same resamples of patients."""

    def is_certain(self, change: str) -> bool:
        """Whether the change made a difference: its interval is without zero, and of enough patients to say so."""
        # Of one patient, who is in every resample, any difference would be a certain one.
        return self.patients >= FEWEST_PATIENTS and self.differences[change].excludes_zero

    def to_json(self) -> dict[str, Any]:
        return {
            "finding": self.finding,
            "source": self.source,
            "there": self.there,
            "images": self.images,
            "patients": self.patients,
            "shares": {change: share.to_json() for change, share in self.shares.items()},
            "differences": {change: share.to_json() for change, share in self.differences.items()},
            "certain": {change: self.is_certain(change) for change in self.differences},
        }


@dataclass(frozen=True, slots=True)
class Robustness:
    """What a model says of changed films."""

    model: ModelIdentity
    on: JudgedOn
    said: tuple[Said, ...]

    def to_json(self) -> dict[str, Any]:
        """The keys of the evaluation's `results.json`, with the changes in words and a list of `Said`."""
        return {
            **self.on.to_json(ROBUSTNESS_SCHEMA, self.model),
            "operating_points": dict(self.model.thresholds),
            "changes": {name: change.words for name, change in CHANGES.items()},
            "said": [one.to_json() for one in self.said],
        }


def scores_when_changed(
    scorer: Scorer, manifest: Manifest, progress: Callable[[], None] = lambda: None
) -> dict[str, FloatArray]:
    """`score_all` of the films as they are and after each of `CHANGES`: 1 + 6 passes.

    Args:
        scorer: Asked about every film.
        manifest: The films.
        progress: Called after each film of each pass.
    """
    plain = {AS_IS: score_all(scorer, manifest, progress)}
    return plain | {name: score_all(scorer, manifest, progress, change.apply) for name, change in CHANGES.items()}


def said_when_changed(
    manifest: Manifest,
    scores: Mapping[str, FloatArray],
    thresholds: Mapping[str, float],
    *,
    with_assumed: bool = False,
    rounds: int = 1000,
) -> list[Said]:
    """How often each finding is said, source by source, of films that have it and of films that have not.

    Args:
        manifest: The films.
        scores: Of `scores_when_changed`, `AS_IS` first.
        thresholds: Finding -> operating point; other findings are left out.
        with_assumed: Count films in which a finding is only assumed to be absent.
        rounds: Of the bootstrap.

    Returns:
        One entry for each finding, source and kind of film of which there is one.
    """
    known = Known.of(manifest, with_assumed=with_assumed)
    sources = np.array(known.sources)
    found = []
    for finding, threshold in thresholds.items():
        place = manifest.label_space.index(finding)
        said = np.stack([of[:, place] >= threshold for of in scores.values()])
        for source in dict.fromkeys(known.sources):
            for there in (False, True):
                asked = (sources == source) & known.counted[:, place] & (known.there[:, place] == there)
                if asked.any():
                    patients = [known.patients[image] for image in np.flatnonzero(asked)]
                    shares, differences = _shares(tuple(scores), said[:, asked], patients, rounds)
                    counts = len(patients), len(set(patients))
                    found.append(Said(finding, source, there, *counts, shares, differences))
    return found


def _shares(
    names: tuple[str, ...], said: BoolArray, patients: list[str], rounds: int
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    def measure(weights: FloatArray) -> FloatArray:
        shares = said @ weights / weights.sum()
        return np.concatenate([shares, shares[1:] - shares[0]])

    figures = bootstrap_all(measure, patients, rounds=rounds)
    return dict(zip(names, figures, strict=False)), dict(zip(names[1:], figures[len(names) :], strict=True))
