"""On what a model was judged, and by which rules: the head of its report and of its `results.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from boxray.core.findings import LabelSpace
from boxray.core.reading import DISCLAIMER, ModelIdentity
from boxray.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class JudgedOn:
    """One split of one built set."""

    label_space: LabelSpace
    fingerprint: str
    """Of the whole built set."""
    split: str
    sources: Mapping[str, int]
    """Source -> images in the split."""
    n_patients: int
    with_assumed: bool
    """Whether absences that a data card only assumes count."""
    rounds: int
    """Of the bootstrap by patient."""

    @classmethod
    def of(
        cls, manifest: Manifest, *, fingerprint: str, split: str, with_assumed: bool, rounds: int = 1000
    ) -> JudgedOn:
        """Of the images of a split.

        Args:
            manifest: These images alone.
            fingerprint: Of the whole built set.
            split: Its name.
            with_assumed: Whether absences that a data card only assumes count.
            rounds: Of the bootstrap.
        """
        sources = manifest.images["source"].astype(str).value_counts().sort_index()
        return cls(
            label_space=manifest.label_space,
            fingerprint=fingerprint,
            split=split,
            sources={str(name): int(n) for name, n in sources.items()},
            n_patients=int(manifest.images["patient"].nunique()),
            with_assumed=with_assumed,
            rounds=rounds,
        )

    def to_json(self, schema: str, model: ModelIdentity) -> dict[str, Any]:
        """The head of `results.json`: what it is, which weights spoke, and of which images."""
        return {
            "schema": schema,
            "disclaimer": DISCLAIMER,
            "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
            "data": {
                "fingerprint": self.fingerprint,
                "split": self.split,
                "images": sum(self.sources.values()),
                "patients": self.n_patients,
                "sources": dict(self.sources),
            },
            "assumed_absences_count": self.with_assumed,
            "bootstrap_rounds": self.rounds,
        }

    def about(self) -> str:
        """The first sentences of the report, HTML."""
        sources = ", ".join(f"{escape(name)} {n}" for name, n in self.sources.items())
        assumed = "count as absences here" if self.with_assumed else "do not count"
        return (
            f"<p>{sum(self.sources.values())} images of {self.n_patients} patients, split "
            f"“{escape(self.split)}” ({sources}). Absences that a data card only assumes {assumed}.</p>"
        )

    def foot(self, model: ModelIdentity) -> str:
        """The last sentences of the report, plain text."""
        return (
            f"Weights SHA-256 {model.sha256}. Data fingerprint {self.fingerprint}. "
            "All numbers with their counts are in results.json beside this page."
        )
