"""The model card as a page: what released weights are for, what was measured of them, and on what.

After Mitchell et al., 2019, Model Cards for Model Reporting (FAT*). Made from the weights' JSON card and the
`results.json` of an evaluation, so that no figure is copied by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from boxray.classification.evaluate import FEWEST_IMAGES
from boxray.classification.report.evaluation import SCHEMA
from boxray.core.calibration import Scale
from boxray.core.metrics import CONFUSION_FIGURES
from boxray.page.markdown import Json, code, folded, plain, said, signed, table
from boxray.page.model_card import (
    Sources,
    head,
    licence,
    model,
    robustness_section,
    training,
    unseen_sources,
    use,
    write_page,
)
from boxray.weights import ModelCard

FEW_IMAGES: Final = 30
"""With or without a finding, within source: with fewer it is named among the limits."""


def write_model_card(weights: Path, results: Path, out: Path, robustness: Path | None = None) -> Path:
    """Write the page; it is there whole, or as it was.

    Args:
        weights: The card or a file beside it.
        results: ``results.json`` of ``boxray classification evaluate --report`` with these weights.
        out: The Markdown file.
        robustness: What ``boxray classification robustness --json`` wrote of these weights; None leaves it out.

    Returns:
        `out`.

    Raises:
        DataError: If `results` or `robustness` is not there or is no such file.
        ModelError: If the weights are not what their card says, or a file is of other weights or of other operating
            points.
    """
    return write_page(weights, results, out, robustness, SCHEMA, model_card)


def model_card(
    card: ModelCard, results: Json, sizes: Mapping[str, int], sources: Sources, told: Json | None = None
) -> str:
    """The page in Markdown, as GitHub shows it.

    Args:
        card: Of the weights.
        results: Of an evaluation of the same weights.
        sizes: Bytes of the weight files that are there, by name.
        sources: What the model was trained on: key -> data card, None where there is none.
        told: Of changed films, by `read_robustness`; None: nobody asked.
    """
    fitted = (
        f"made at its release on the validation part of the set of fingerprint `{card.trained_on.fingerprint}`, "
        "assumed absences included."
    )
    parts = [
        head(card, results, "something is known", fitted),
        _use(card),
        model(card, sizes),
        training(card, sources, "training images with it"),
        _findings(card, results),
        _by_group(card, results),
        _at_threshold(card, results),
        _classes(card, results),
        _calibration(card, results),
        robustness_section(card, told),
        _gallery(card, results),
        _limits(card, results),
        licence(card.licence, sources),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# What it is


def _use(card: ModelCard) -> str:
    named = plain(", ".join(card.space[key].display for key in card.assessed))
    does = f"scores {named} and gives a map for each, for research on classifiers, on labels and on what maps show."
    other_films = "other views and other parts of the body than it was trained on"
    of_maps = "A map shows where a score came from. It is neither an outline nor a probability."
    if card.maps_taught_by_boxes:
        of_maps += " Where the training part has readers' boxes, maps were taught to point into them."
    return use(card, does, other_films, of_maps)


# What was measured


def _findings(card: ModelCard, results: Json) -> str:
    head = (
        "finding",
        "AUROC within source",
        "AP within source",
        "images with / without",
        "AUROC pooled",
        "AP pooled",
        "images with / without",
        "patients",
    )
    rows = []
    for row in results["findings"]:
        within, pooled = row["within_source"], row["pooled"]
        assessed = row["assessed"]
        rows.append(
            (
                _display(card, row),
                said(within["auroc"]) if assessed else "not assessed",
                said(within["ap"]) if assessed else "",
                _counts(within),
                said(pooled["auroc"]) if assessed else "",
                said(pooled["ap"]) if assessed else "",
                _counts(pooled),
                str(pooled["patients"]),
            )
        )
    mean = results["mean"]
    within, pooled = mean["auroc_within"], mean["auroc_pooled"]
    about = (
        f"From **E**. Mean (macro) AUROC within source of {len(within['findings'])} findings: {said(within['macro'])}; "
        f"pooled of {len(pooled['findings'])}: {said(pooled['macro'])}. Within source: images are compared with those "
        "of their own source alone, and only sources that have both kinds take part, so that telling sources apart "
        "earns nothing. Chance reaches an AUROC of 0.5, and an AP of the share of images with the finding."
    )
    return "\n\n".join(["## Results per finding", about, table(head, rows)])


def _by_group(card: ModelCard, results: Json) -> str:
    about = (
        "From **E**, recall and specificity at what is said; excess: mean score less the share of images with "
        f"the finding; above 0, scores are too high there. A group of fewer than {FEWEST_IMAGES} images with or "
        "without a finding has counts and no figure; one of which nothing is known is left out."
    )
    others = folded("By sex, age and view", _groups(card, results, ("sex", "age", "view")))
    return "\n\n".join(["## Results per source", about, _groups(card, results, ("source",)), others])


def _groups(card: ModelCard, results: Json, attributes: Sequence[str]) -> str:
    of_source = attributes == ("source",)
    kinds = ("auroc_pooled",) if of_source else ("auroc_within", "auroc_pooled")
    names = ("AUROC",) if of_source else ("AUROC within source", "AUROC pooled")
    head = (
        "finding",
        "group",
        *names,
        "recall",
        "specificity",
        "ECE",
        "excess",
        "images with / without",
        "patients",
    )
    rows = [
        (
            _display(card, row),
            plain(group["group"] if of_source else f"{group['attribute']}: {group['group']}"),
            *(said(group.get(figure)) for figure in (*kinds, "recall", "specificity", "ece")),
            signed(group.get("excess")),  # results of an older version lack it, and the error
            _counts(group),
            str(group["patients"]),
        )
        for row in results["findings"]
        for group in row["groups"]
        if group["attribute"] in attributes and group["images_with"] + group["images_without"]
    ]
    return table(head, rows) if rows else "Nothing is known of it."


def _at_threshold(card: ModelCard, results: Json) -> str:
    head = ("finding", "score from", "chosen (**V**)", *CONFUSION_FIGURES)
    rows = []
    for row in _assessed(results):
        point, at = card.operating_points.get(row["finding"]), row["at_threshold"]
        chosen = ("–", "none stored") if point is None else (f"{point.threshold:.3g}", plain(point.chosen))
        if at is not None and at["threshold"] is None:
            chosen = ("highest", "classes exclude each other")
        rows.append((_display(card, row), *chosen, *(said((at or {}).get(name)) for name in CONFUSION_FIGURES)))
    mean = results["mean"]
    rows += [
        (f"**Mean ({kind})**", "", "", *(said(mean[name][kind]) for name in CONFUSION_FIGURES))
        for kind in ("macro", "weighted")
    ]
    about = "Scores chosen by **V**, figures from **E**; recall is sensitivity. Weighted: by images with each finding."
    return "\n\n".join(["## What is said", about, table(head, rows)])


def _classes(card: ModelCard, results: Json) -> str:
    classes = results["classes"]
    if classes is None or not classes["images"]:
        return ""
    names = [plain(card.space[key].display) for key in classes["classes"]]
    rows = [(name, *map(str, row)) for name, row in zip(names, classes["confusion"], strict=True)]
    about = f"From **E**: accuracy {said(classes['accuracy'])} on {classes['images']} images. Rows: what an image is."
    return "\n\n".join(["## Which class was taken for which", about, table(("is / said", *names), rows)])


def _calibration(card: ModelCard, results: Json) -> str:
    rows = []
    for row in _assessed(results):
        scale, told = card.scale(row["finding"]), row["calibration"]
        fitted = "as the network says it" if scale == Scale() else f"{scale.slope:.2f}, {scale.offset:+.2f}"
        measured = ("–", "–") if told is None else (said(told["ece"], 3), said(told["brier"], 3))
        rows.append((_display(card, row), fitted, *measured, _counts(row["pooled"])))
    about = (
        "Platt scaling of the network's logit (**V**). ECE, ten bins, and Brier score from **E**: a score is a "
        "probability for a mix of films like the validation part, not for another one."
    )
    head = ("finding", "slope, offset (**V**)", "ECE", "Brier", "images with / without")
    return "\n\n".join(["## Calibration", about, table(head, rows)])


def _gallery(card: ModelCard, results: Json) -> str:
    about = (
        "From **E**: false alarms of the highest score and misses of the lowest, one per patient. The pictures are in "
        "`gallery/` beside the report and are not published."
    )
    parts = ["## Most confident errors", about]
    for finding, gallery in results["gallery"].items():
        rows = [
            (fault["kind"], code(fault["image_id"]), f"{fault['score']:.2f}", plain(fault["why"]))
            for fault in gallery["shown"]
        ]
        if rows:
            all_of_them = ", ".join(f"{kind} {n}" for kind, n in gallery["errors"].items())
            errors = table(("error", "image", "score", "why"), rows)
            parts.append(folded(f"{card.space[finding].display} ({len(rows)} shown; in all: {all_of_them})", errors))
    return "\n\n".join(parts)


# What to beware of


def _limits(card: ModelCard, results: Json) -> str:
    few, unmeasured = [], []
    for row in _assessed(results):
        within = row["within_source"]
        least = min(within["images_with"], within["images_without"])
        if not least:
            unmeasured.append(_display(card, row))
        elif least < FEW_IMAGES:
            few.append(f"{_display(card, row)} ({_counts(within)})")
    lines = [
        "The intervals cover neither another hospital nor another seed of training.",
        unseen_sources(list(results["data"]["sources"]), card.trained_on.sources),
    ]
    if unmeasured:
        lines.append(
            f"No source has images with and without {', '.join(unmeasured)}: a pooled figure may come from telling "
            "sources apart, and is not one of the finding."
        )
    if few:
        lines.append(
            f"Fewer than {FEW_IMAGES} images with or without, within source, so read the intervals: {', '.join(few)}."
        )
    lines.append("Labels are those of the sources, some mined from reports; where they err, so does the measure.")
    return "\n".join(["## Limits", "", *(f"- {line}" for line in lines)])


def _counts(row: Json) -> str:
    return f"{row['images_with']} / {row['images_without']}"


def _display(card: ModelCard, row: Json) -> str:
    return plain(card.space[row["finding"]].display)


def _assessed(results: Json) -> list[Json]:
    return [row for row in results["findings"] if row["assessed"]]
