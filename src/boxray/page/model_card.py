"""What the model cards of the detector and of the classifier share (Mitchell et al., 2019, FAT*), in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boxray.core.errors import DataError, ModelError
from boxray.data.card import Card, load_card
from boxray.page.markdown import Json, code, folded, plain, table

Sources = Mapping[str, Card | None]
"""What a model was trained on: key -> data card, None where there is none."""


def cards_of(sources: Sequence[str]) -> dict[str, Card | None]:
    """The data card of each source; None for one of the user's own, which has none in ``data/cards``."""

    def card(key: str) -> Card | None:
        try:
            return load_card(key)
        except DataError:
            return None

    return {key: card(key) for key in sources}


def read_results(path: Path, schema: str, sha256: str, again: str) -> dict[str, Any]:
    """The `results.json` of an evaluation, if it is that of these weights.

    Args:
        path: Of the file.
        schema: What it has to say that it is.
        sha256: Of the weights.
        again: How it is made, for messages.

    Raises:
        DataError: If there is no such file, or it is none of ours.
        ModelError: If other weights were evaluated.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as the results of an evaluation: {error}; {again}") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise DataError(f"{path.name} says that it is {found!r}, not {schema!r}; {again}")
    results: dict[str, Any] = content
    theirs = results["model"]["sha256"]
    if theirs != sha256:
        raise ModelError(
            f"{path.name} was measured with weights {theirs[:12]}…, the card is of {sha256[:12]}…; {again}"
        )
    return results


def files_table(sha256: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    """Weight files with their sizes in bytes, where they are there, and hashes."""
    files = [
        (f"`{name}`", f"{sizes[name] / 1e6:.1f} MB" if name in sizes else "not here", f"`{digest}`")
        for name, digest in sorted(sha256.items())
    ]
    return table(("file", "size", "SHA-256"), files)


def training(
    images: int, fingerprint: str, sources: Sources, counted: str, counts: Sequence[tuple[str, int]], recipe: Json
) -> str:
    """What a model was trained on.

    Args:
        images: How many.
        fingerprint: Of the set.
        sources: Key -> data card.
        counted: What `counts` counts, such as ``training boxes``.
        counts: Per finding.
        recipe: Of the last run.
    """
    rows = [
        (code(key), *(("its card is not in data/cards", "not known") if source is None else _of_source(source)))
        for key, source in sources.items()
    ]
    content = "\n".join(["```json", json.dumps(recipe, indent=1, ensure_ascii=False), "```"])
    return "\n\n".join(
        [
            "## Training data",
            f"{images} images of the set of fingerprint `{fingerprint}`, its training part.",
            table(("source", "name", "licence"), rows),
            table(("finding", counted), [(plain(name), str(n)) for name, n in counts]),
            folded("Recipe of the last run", content),
        ]
    )


def unseen_sources(tested: Sequence[str], trained: Sequence[str]) -> str:
    """Whether the test holds a source that training did not see."""
    new = [name for name in tested if name not in trained]
    if new:
        return f"Of the tested sources {plain(', '.join(new))} had no part in training; the others had."
    return "All tested films are of collections that training saw: nothing is measured on another one."


def licence(words: str, sources: Sources) -> str:
    """The licence, and whose terms close it to commercial use."""
    closed = [key if source is None else source.name for key, source in sources.items() if _is_closed(source)]
    lines = ["## Licence", f"{plain(words)}."]
    if closed:
        lines.append(f"**Non-commercial research use only**, because of {plain(', '.join(closed))}.")
    return "\n\n".join(lines)


def _of_source(source: Card) -> tuple[str, str]:
    return plain(source.name), plain(source.licence)


def _is_closed(source: Card | None) -> bool:
    return source is None or not source.commercial_use
