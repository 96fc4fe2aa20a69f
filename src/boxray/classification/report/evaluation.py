"""All that an evaluation says, together: what the page shows and what `results.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from boxray.classification.results import Judgement
from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, ModelIdentity
from boxray.data.manifest import Manifest
from boxray.weights import ModelCard

SCHEMA: Final = "boxray.classification.evaluation/1"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A classifier judged on one split of one built set."""

    card: ModelCard
    label_space: LabelSpace
    fingerprint: str
    """Of the whole built set."""
    split: str
    sources: Mapping[str, int]
    """Source -> images in the split."""
    n_patients: int
    with_assumed: bool
    rounds: int
    judgement: Judgement

    @property
    def model(self) -> ModelIdentity:
        """Which weights spoke."""
        return self.card.identity()

    def to_json(self) -> dict[str, Any]:
        """Plain data; `classification/README.md` says what the keys mean."""
        content = self.judgement.to_json()
        for row, result in zip(content["findings"], self.judgement.findings, strict=True):
            row["curves"] = None if result.curves is None else result.curves.to_json()
        return {
            "schema": SCHEMA,
            "disclaimer": DISCLAIMER,
            "model": {"name": self.model.name, "version": self.model.version, "sha256": self.model.sha256},
            "data": {
                "fingerprint": self.fingerprint,
                "split": self.split,
                "images": sum(self.sources.values()),
                "patients": self.n_patients,
                "sources": dict(self.sources),
            },
            "assumed_absences_count": self.with_assumed,
            "bootstrap_rounds": self.rounds,
            **content,
        }


def whole_evaluation(
    manifest: Manifest,
    judgement: Judgement,
    card: ModelCard,
    *,
    fingerprint: str,
    split: str,
    with_assumed: bool,
    rounds: int = 1000,
) -> Evaluation:
    """A judgement with what it was made on.

    Args:
        manifest: The images of the split.
        judgement: Of `boxray.classification.evaluate.judge`.
        card: Of the weights that spoke.
        fingerprint: Of the whole built set.
        split: Its name.
        with_assumed: As for the judgement.
        rounds: Of its bootstrap.
    """
    sources = manifest.images["source"].astype(str).value_counts().sort_index()
    return Evaluation(
        card=card,
        label_space=manifest.label_space,
        fingerprint=fingerprint,
        split=split,
        sources={str(name): int(n) for name, n in sources.items()},
        n_patients=int(manifest.images["patient"].nunique()),
        with_assumed=with_assumed,
        rounds=rounds,
        judgement=judgement,
    )
