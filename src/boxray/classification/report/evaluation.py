"""All that an evaluation says, together: what the page shows and what `results.json` holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from boxray.classification.results import Judgement
from boxray.page.judged import JudgedOn
from boxray.weights import ModelCard

SCHEMA: Final = "boxray.classification.evaluation/1"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A classifier judged on one split of one built set."""

    card: ModelCard
    on: JudgedOn
    judgement: Judgement

    def to_json(self) -> dict[str, Any]:
        """Plain data; `classification/README.md` says what the keys mean."""
        content = self.judgement.to_json()
        for row, result in zip(content["findings"], self.judgement.findings, strict=True):
            row["curves"] = None if result.curves is None else result.curves.to_json()
        return self.on.to_json(SCHEMA, self.card.identity()) | content
