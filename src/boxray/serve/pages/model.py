"""The page *Model*: the cards of the weights that speak here, and what they do not answer."""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from boxray.core.errors import ModelError
from boxray.core.reading import ModelIdentity
from boxray.page.frame import facts, table, table_row
from boxray.serve.pages.worst import REPORTS, worst_errors, worst_html
from boxray.serve.words import Words, words_for
from boxray.weights import ModelCard, released_cards

if TYPE_CHECKING:
    import gradio as gr

JOBS: Final[Mapping[str, str]] = {"detector": "detection", "classifier": "classification"}
"""Role of a model in a reading -> the bench folder of its weights."""

_LIMITS: Final = ("few", "hospital", "score", "map", "labels")


def model_page(
    tab: "gr.Tab",
    say: Callable[[str], Any],
    models: Mapping[str, ModelIdentity],
    reports: Path = REPORTS,
) -> None:
    """Lay out the page; it is filled when its tab is opened.

    Args:
        tab: In which it stands.
        say: Key of a text -> what a component shows.
        models: Role -> who speaks.
        reports: Where reports on these weights are looked for, for pictures of their worst errors.
    """
    import gradio as gr

    cards = {role: card_of(role, models.get(role)) for role in JOBS}
    whole = gr.HTML(say("page.loading"), elem_id="model", elem_classes="bx-page")
    full = []
    for _, path in (found for found in cards.values() if found is not None):
        written = path.with_suffix(".md")
        if written.is_file():
            with gr.Accordion(path.stem, open=False, elem_classes="bx-card") as folded:
                gr.Markdown(written.read_text(encoding="utf-8"), elem_classes="bx-page bx-markdown")
            full.append((folded, path.stem))
    finding = gr.Radio([], label="", visible=False, elem_id="model-worst-finding")
    worst = gr.HTML("", elem_id="model-worst", elem_classes="bx-page")

    def fill(request: gr.Request) -> list[Any]:
        words = words_for(request.headers)
        labels = [gr.update(label=words("model.full", name=name)) for _, name in full]
        errors = worst_errors(models, reports)
        space = next((words.label_space(card.space) for card, _ in (each for each in cards.values() if each)), None)
        there = [each for each in space or () if any(each.key in of for of in errors.values())]
        choices = [(each.display, each.key) for each in there]
        first = choices[0][1] if choices else None
        radio = gr.update(choices=choices, value=first, label=words["model.worst"], visible=bool(choices))
        return [model_html(words, models, cards), *labels, radio, worst_html(words, errors, first) if first else ""]

    def choose(key: str | None, request: gr.Request) -> str:
        return worst_html(words_for(request.headers), worst_errors(models, reports), key) if key else ""

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    tab.select(fill, None, [whole, *(folded for folded, _ in full), finding, worst], **hidden)
    finding.input(choose, finding, worst, **hidden)


def card_of(role: str, identity: ModelIdentity | None) -> tuple[ModelCard, Path] | None:
    """The released card whose graph has the hash that the model states, and where it lies; None where there is none."""
    if identity is None:
        return None
    for path in released_cards(JOBS[role]):
        try:
            card = ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
            if card.identity().sha256 == identity.sha256:
                return card, path
        except (ModelError, OSError, ValueError):  # another's broken card is no reason for an empty page
            continue
    return None


def licences_of(models: Mapping[str, ModelIdentity]) -> list[str]:
    """A line for each model whose card is released: its name and what its card says of the licence."""
    found = [card_of(role, identity) for role, identity in models.items() if role in JOBS]
    return [f"{card.name} {card.version}: {card.licence}" for card, _ in (each for each in found if each is not None)]


def model_html(
    words: Words, models: Mapping[str, ModelIdentity], cards: Mapping[str, tuple[ModelCard, Path] | None]
) -> str:
    """The page in one language: identity of each model, and what its card says."""
    parts = [f"<h2>{escape(words['model.title'])}</h2>"]
    for role in JOBS:
        identity, found = models.get(role), cards.get(role)
        if identity is None:
            parts.append(f"<section><h3>{_role(words, role)}</h3><p>{escape(words['model.none'])}</p></section>")
            continue
        name = f"{_role(words, role)}: {escape(identity.name)} {escape(identity.version)}"
        told = (
            f'<p class="caution">{escape(words["model.unknown"])}</p>'
            if found is None
            else _card(words, role, found[0])
        )
        sha256 = f'<p class="quiet">SHA-256 <code>{escape(identity.sha256)}</code></p>'
        parts.append(f"<section><h3>{name}</h3>{sha256}{told}</section>")
    limits = "".join(f"<li>{escape(words[f'model.limit.{limit}'])}</li>" for limit in _LIMITS)
    return "".join(parts) + f"<section><h3>{escape(words['model.limits'])}</h3><ul>{limits}</ul></section>"


def _role(words: Words, role: str) -> str:
    return escape(words[f"model.{role}"])


def _card(words: Words, role: str, card: ModelCard) -> str:
    space = words.label_space(card.space)
    silent = [space[key].display for key in space.keys if key not in card.assessed]
    said = words("model.silent", findings=words["list.comma"].join(silent)) if silent else words["model.all"]
    made = card.trained_on
    pairs = {
        "model.architecture": escape(card.architecture),
        "model.side": f"{card.side_px} × {card.side_px} px",
        "model.images": f"{made.images:,}",
        "model.sources": escape(", ".join(made.sources)),
        "model.data": f"<code>{escape(made.fingerprint[:12])}</code>",
    }
    if card.job == "classification":
        pairs["model.maps"] = escape(words[f"model.maps.{'boxes' if card.maps_taught_by_boxes else 'labels'}"])
    return (
        f"<p>{escape(words[f'model.use.{role}'])}</p><p>{escape(words['model.not_for'])}</p>"
        f'<p class="{"caution" if silent else "quiet"}">{escape(said)}</p>'
        f"{facts((escape(words[key]), value) for key, value in pairs.items())}"
        f"{_findings(words, role, card)}"
        f'<p class="quiet">{escape(words["model.licence"])}: <span lang="en">{escape(card.licence)}</span></p>'
    )


def _findings(words: Words, role: str, card: ModelCard) -> str:
    heads = ("compare.finding", "model.assessed", f"model.trained.{role}", "model.threshold", "model.calibrated")
    rows = []
    for finding in words.label_space(card.space):
        key, point = finding.key, card.operating_points.get(finding.key)
        assessed = key in card.assessed
        rows.append(
            table_row(
                [
                    escape(finding.display),
                    escape(words["model.yes" if assessed else "table.not_assessed"]),
                    f"{card.trained_on.positives.get(key, 0):,}",
                    f"{point.threshold:.3g}" if assessed and point else "–",
                    escape(words["model.yes" if assessed and _is_calibrated(card, key) else "model.no"]),
                    f'<span lang="en">{escape(point.chosen)}</span>' if assessed and point else "–",
                ],
                kind="" if assessed else "silent",
            )
        )
    head = [escape(words[each]) for each in (*heads, "model.chosen")]
    return table(escape(words["model.findings"]), head, rows)


def _is_calibrated(card: ModelCard, finding: str) -> bool:
    return card.calibration.get(finding, (1.0, 0.0)) != (1.0, 0.0)
