"""The worst errors of the models that speak here, as pictures of a report on this machine.

Films of other people's data sets are not published with the weights, so the released card tells its errors in words.
Who has evaluated the very same weights (`boxray detection evaluate … --report`) has pictures, and sees them here.
"""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

from boxray.core.reading import ModelIdentity
from boxray.serve.pages.films import films_in
from boxray.serve.words import Words

REPORTS: Final = Path("runs")
"""In whose folders a report is looked for; from the folder in which the program was started."""

_SCHEMAS: Final = ("boxray.detection.evaluation/1", "boxray.classification.evaluation/1")


def report_of(identity: ModelIdentity, reports: Path) -> Path | None:
    """The newest report on these very weights, told by their hash: its page; None where there is none."""
    found = []
    for results in (*reports.glob("results.json"), *reports.glob("*/results.json")):
        page = results.with_name("report.html")
        if _is_about(results, identity) and page.is_file():
            found.append((results.stat().st_mtime, page))
    return max(found, default=(0.0, None))[1]


def worst_errors(models: Mapping[str, ModelIdentity], reports: Path) -> dict[str, dict[str, str]]:
    """Role of each model that has a report -> finding -> its pictures as HTML; findings without are left out."""
    pages = {role: report_of(identity, reports) for role, identity in models.items()}
    films = {role: films_in(page) for role, page in pages.items() if page is not None}
    return {role: each for role, each in films.items() if each}


def worst_html(words: Words, errors: Mapping[str, Mapping[str, str]], finding: str) -> str:
    """Those of one finding, of each model that has any."""
    return "".join(
        f'<section><h3>{escape(words[f"model.{role}"])}</h3><div class="thumbs">{of[finding]}</div></section>'
        for role, of in errors.items()
        if finding in of
    )


def _is_about(results: Path, identity: ModelIdentity) -> bool:
    try:
        said = json.loads(results.read_text(encoding="utf-8"))
        return said["schema"] in _SCHEMAS and said["model"]["sha256"] == identity.sha256
    except (OSError, ValueError, KeyError, TypeError):
        return False
