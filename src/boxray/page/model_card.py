"""What the model cards of the detector and of the classifier share (Mitchell et al., 2019, FAT*), in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from boxray.core.errors import DataError, ModelError
from boxray.core.reading import DISCLAIMER
from boxray.data.card import Card, load_card
from boxray.page.markdown import Json, code, folded, plain, table
from boxray.runs.run import write_atomically
from boxray.weights import ModelCard
from boxray.weights import load_card as load_model_card

Sources = Mapping[str, Card | None]
"""What a model was trained on: key -> data card, None where there is none."""

ROBUSTNESS_SCHEMA: Final = "boxray.robustness/1"
AS_IS: Final = "as is"
"""Among the changes of films: none."""


def cards_of(sources: Sequence[str]) -> dict[str, Card | None]:
    """The data card of each source; None for one of the user's own, which has none in ``data/cards``."""

    def card(key: str) -> Card | None:
        try:
            return load_card(key)
        except DataError:
            return None

    return {key: card(key) for key in sources}


class Page(Protocol):
    """What a room writes on its models' cards."""

    def __call__(
        self, card: ModelCard, results: Json, sizes: Mapping[str, int], sources: Sources, told: Json | None = None
    ) -> str: ...


def write_page(weights: Path, results: Path, out: Path, robustness: Path | None, schema: str, page: Page) -> Path:
    """Write a model card; it is there whole, or as it was.

    Args:
        weights: The JSON card or a file beside it.
        results: Of `read_results`.
        out: The Markdown file.
        robustness: Of `read_robustness`; None: nobody asked.
        schema: What `results` has to say that it is.
        page: What stands in it.

    Returns:
        `out`.

    Raises:
        DataError: As `read_results` and `read_robustness`.
        ModelError: As they, or if the weights are not what their card says.
    """
    card, _ = load_model_card(weights, check=".onnx")
    told = None if robustness is None else read_robustness(robustness, card)
    sizes = {name: file.stat().st_size for name in card.sha256 if (file := weights.with_name(name)).is_file()}
    content = page(card, read_results(results, schema, card), sizes, cards_of(card.trained_on.sources), told)
    write_atomically(out, content.encode())
    return out


def read_results(path: Path, schema: str, card: ModelCard) -> dict[str, Any]:
    """The `results.json` of an evaluation, if it is that of the weights as they are now.

    Args:
        path: Of the file.
        schema: What it has to say that it is.
        card: Of the weights.

    Raises:
        DataError: If there is no such file, or it is none of ours.
        ModelError: If other weights were evaluated, or these at other operating points.
    """
    again = f"make it with: boxray {card.job} evaluate {card.name}.onnx --data BUILT --report DIR"
    results = _read(path, schema, card, "the results of an evaluation", again)
    for row in results["findings"]:
        at = row["at_threshold"]
        if at is not None and at["threshold"] is not None:  # None: by the highest score
            _require_point(card, row["finding"], at["threshold"], path, again)
    return results


def read_robustness(path: Path, card: ModelCard) -> dict[str, Any]:
    """What the command ``robustness --json`` wrote, if it is of the weights as they are now.

    Args:
        path: Of the file.
        card: Of the weights.

    Raises:
        DataError: If there is no such file, or it is none of ours.
        ModelError: If other weights were asked, or these at other operating points.
    """
    again = f"make it with: boxray {card.job} robustness {card.name}.onnx --data BUILT --json > {path.name}"
    told = _read(path, ROBUSTNESS_SCHEMA, card, "an answer about robustness", again)
    for finding, point in told["operating_points"].items():
        _require_point(card, finding, point, path, again)
    return told


def _read(path: Path, schema: str, card: ModelCard, what: str, again: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as {what}: {error}; {again}") from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise DataError(f"{path.name} says that it is {found!r}, not {schema!r}; {again}")
    measured: dict[str, Any] = content
    theirs, ours = measured["model"]["sha256"], card.identity().sha256
    if theirs != ours:
        raise ModelError(f"{path.name} was measured with weights {theirs[:12]}…, the card is of {ours[:12]}…; {again}")
    return measured


def _require_point(card: ModelCard, finding: str, measured_at: float, path: Path, again: str) -> None:
    stored = card.thresholds.get(finding)
    if measured_at != stored:
        raise ModelError(f"{path.name} was measured at {finding} {measured_at}, the card now says {stored}; {again}")


def head(card: ModelCard, results: Json, counts_where: str, fitted: str) -> str:
    """Whose card it is, and where its figures come from: **E**, the evaluation, and **V**, the validation part.

    Args:
        card: Of the weights.
        results: Of their evaluation.
        counts_where: When an image counts for a finding: ``somebody looked``.
        fitted: What was made on the validation part, by what.
    """
    data = results["data"]
    assumed = " --with-assumed" if results["assumed_absences_count"] else ""
    sources = ", ".join(f"{name} {n}" for name, n in data["sources"].items())
    counted = "count as absences" if assumed else "do not count"
    measured = (
        f"- **E**: `boxray {card.job} evaluate {card.name}.onnx --data BUILT --split {data['split']}{assumed} "
        f"--report DIR` on the set of fingerprint `{data['fingerprint']}`: {data['images']} images of "
        f"{data['patients']} patients ({plain(sources)}). An image counts for a finding where {counts_where}; "
        f"absences that a data card only assumes {counted}. Brackets: 95 % intervals from "
        f"{results['bootstrap_rounds']} resamples of patients."
    )
    about = (
        f"Model card after Mitchell et al. (2019), made by `boxray {card.job} card`. Its figures come from two places, "
        "named above each table:"
    )
    title = f"# {plain(card.name)} {plain(card.version)}"
    return "\n\n".join([title, f"**{plain(DISCLAIMER)}**", about, f"{measured}\n- **V**: {fitted}"])


def use(card: ModelCard, does: str, other_films: str, *more: str) -> str:
    """What the model is for, what it is not for, and on what it is silent.

    Args:
        card: Of the weights.
        does: A sentence that goes on with ``It``.
        other_films: What it must not be shown.
        *more: Further lines.
    """
    silent = [card.space[key].display for key in card.space.keys if key not in card.assessed]
    not_for = (
        "**Not for:** diagnosis, triage, second reading, or any other decision about a person; "
        f"{other_films}; photographs of films or of screens."
    )
    lines = [f"**For:** {plain(card.intended_use)} It {does}", not_for, *more]
    if silent:
        lines.append(f"**Not assessed:** {plain(', '.join(silent))}. Its silence on them says nothing.")
    return "\n".join(["## Intended use", "", *(f"- {line}" for line in lines)])


def model(card: ModelCard, sizes: Mapping[str, int]) -> str:
    """What the network is and sees, and its files with their bytes, where they are there, and hashes."""
    shades = "as they are"
    if card.clahe is not None:
        shades = f"CLAHE, clip {card.clahe.clip:g}, {card.clahe.tiles} x {card.clahe.tiles} tiles"
    about = f"{plain(card.architecture)}, a square of {card.side_px} px in grey, shades {shades}."
    files = [
        (f"`{name}`", f"{sizes[name] / 1e6:.1f} MB" if name in sizes else "not here", f"`{digest}`")
        for name, digest in sorted(card.sha256.items())
    ]
    return "\n\n".join(["## Model", about, table(("file", "size", "SHA-256"), files)])


def training(card: ModelCard, sources: Sources, counted: str) -> str:
    """What the model was trained on.

    Args:
        card: Of the weights.
        sources: Key -> data card.
        counted: What the card counts per finding: ``training boxes``.
    """
    made = card.trained_on
    rows = [
        (code(key), *(("its card is not in data/cards", "not known") if source is None else _of_source(source)))
        for key, source in sources.items()
    ]
    counts = [(plain(card.space[key].display), str(made.positives.get(key, 0))) for key in card.space.keys]
    content = "\n".join(["```json", json.dumps(made.recipe, indent=1, ensure_ascii=False), "```"])
    return "\n\n".join(
        [
            "## Training data",
            f"{made.images} images of the set of fingerprint `{made.fingerprint}`, its training part.",
            table(("source", "name", "licence"), rows),
            table(("finding", counted), counts),
            folded("Recipe of the last run", content),
        ]
    )


def robustness_section(card: ModelCard, told: Json | None) -> str:
    """How often a finding is said of films that look otherwise; empty where nobody asked.

    Args:
        card: Of the weights.
        told: Of `read_robustness`.
    """
    if told is None:
        return ""
    changes = told["changes"]
    rows = [
        (
            plain(card.space[one["finding"]].display),
            f"{one['images']} of {plain(one['source'])} {'with' if one['there'] else 'without'}",
            f"{one['shares'][AS_IS]['value']:.2f}",
            *(_when_changed(one, name) for name in changes),
        )
        for one in told["said"]
    ]
    data = told["data"]
    done = "; ".join(f"{name}: {words}" for name, words in changes.items())
    about = (
        f"`boxray {card.job} robustness {card.name}.onnx --data BUILT --split {data['split']}` on the set of "
        f"fingerprint `{data['fingerprint']}`: share of the films of which a finding is said, at its operating point, "
        f"as they are and changed ({plain(done)}). **Bold**: the 95 % interval of the difference is without zero. What "
        "changes no finding should change no answer; where it does, the model answers by the look of a film."
    )
    return "\n\n".join(["## When films look otherwise", about, table(("finding", "films", AS_IS, *changes), rows)])


def _when_changed(one: Json, change: str) -> str:
    share = f"{one['shares'][change]['value']:.2f}"
    return f"**{share}**" if one["certain"][change] else share


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
