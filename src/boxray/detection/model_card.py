"""The model card as a page: what released weights are for, what was measured of them, and on what.

After Mitchell et al., 2019, Model Cards for Model Reporting (FAT*). Made from the weights' JSON card and the
`results.json` of an evaluation, so that no figure is copied by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from boxray.core.calibration import Scale
from boxray.detection.evaluate import FEWEST_BOXES
from boxray.detection.report.evaluation import SCHEMA
from boxray.page.markdown import Json, code, folded, plain, said, table
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

FEW_BOXES: Final = 50
"""With fewer in the test part a finding is named among the limits."""


def write_model_card(weights: Path, results: Path, out: Path, robustness: Path | None = None) -> Path:
    """Write the page; it is there whole, or as it was.

    Args:
        weights: The card or a file beside it.
        results: ``results.json`` of ``boxray detection evaluate --report`` with these weights.
        out: The Markdown file.
        robustness: What ``boxray detection robustness --json`` wrote of these weights; None leaves it out.

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
    parts = [
        head(card, results, "somebody looked", _fitted(card)),
        _use(card),
        model(card, sizes),
        training(card, sources, "training boxes"),
        _findings(card, results),
        _by_group(card, results),
        _operating_points(card, results),
        _calibration(card, results),
        _shift(card, results),
        robustness_section(card, told),
        _gallery(card, results),
        _limits(card, results),
        licence(card.licence, sources),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# What it is


def _fitted(card: ModelCard) -> str:
    """What made calibration and operating points; an older card has points alone, made at its release."""
    by, on = "at its release,", card.trained_on.fingerprint
    if card.calibrated_on:
        by, on = f"`boxray detection calibrate {card.name}.onnx --data BUILT`", card.calibrated_on.fingerprint
    return f"{by} on the validation part of the set of fingerprint `{on}`."


def _use(card: ModelCard) -> str:
    does = (
        f"boxes {_listed(card, card.assessed)} on frontal chest radiographs, for research on detectors, on labels and "
        "on their agreement."
    )
    return use(card, does, "lateral films, CT, other parts of the body")


# What was measured


def _findings(card: ModelCard, results: Json) -> str:
    head = ("finding", "AP50", "AP40", "AP50:95", "sensitivity at 1 FP/image", "FROC mean", *_COUNTED)
    rows: list[tuple[str, ...]] = []
    for row in results["findings"]:
        name = plain(card.space[row["finding"]].display)
        if not row["assessed"]:
            rows.append((name, "not assessed", "", "", "", "", *_counts(row)))
            continue
        ap50 = {"value": row["ap50"], "low": row["low"], "high": row["high"]}
        at_one = row["sensitivity_at_false_per_image"].get("1")
        figures = (ap50, row["ap40"], row["ap50_95"], at_one, row["froc_mean"])
        rows.append((name, *map(said, figures), *_counts(row)))
    mean = results["mean_ap50"]
    about = f"From **E**. Mean AP50 of {len(mean['findings'])} findings: {said(mean)}."
    return "\n\n".join(["## Results per finding", about, table(head, rows)])


def _by_group(card: ModelCard, results: Json) -> str:
    about = (
        f"From **E**, sensitivity and false boxes at the operating point. A group of fewer than {FEWEST_BOXES} boxes "
        "has counts and no figure; one without a box is left out."
    )
    others = folded("By sex, age and view", _groups(card, results, ("sex", "age", "view")))
    return "\n\n".join(["## Results per source", about, _groups(card, results, ("source",)), others])


def _groups(card: ModelCard, results: Json, attributes: Sequence[str]) -> str:
    head = ("finding", "group", "AP50", "sensitivity", "FP/image", *_COUNTED)
    rows = [
        (
            plain(card.space[row["finding"]].display),
            plain(group["group"] if attributes == ("source",) else f"{group['attribute']}: {group['group']}"),
            *(said(group[figure]) for figure in ("ap50", "sensitivity", "false_per_image")),
            *_counts(group),
        )
        for row in results["findings"]
        for group in row["groups"]
        if group["attribute"] in attributes and group["boxes"]
    ]
    return table(head, rows) if rows else "Nothing is known of it."


def _operating_points(card: ModelCard, results: Json) -> str:
    head = ("finding", "score from", "chosen (**V**)", "sensitivity", "FP/image", "F1 at IoU 0.4", "readers' F1")
    rows = []
    for row in _assessed(results):
        point, at = card.operating_points.get(row["finding"]), row["at_threshold"] or {}
        readers = row["readers"]
        between = "–" if readers is None else f"{said(readers['f1_at_40'])}, {readers['images']} images"
        figures = (said(at.get(figure)) for figure in ("sensitivity", "false_per_image", "f1_at_40"))
        chosen = ("–", "none stored") if point is None else (f"{point.threshold:.3g}", plain(point.chosen))
        rows.append((plain(card.space[row["finding"]].display), *chosen, *figures, between))
    about = (
        "Scores chosen by **V**, figures from **E**. Readers' F1: how far two readers of the same films agree, all "
        "splits of the set of **E**."
    )
    return "\n\n".join(["## Operating points", about, table(head, rows)])


def _calibration(card: ModelCard, results: Json) -> str:
    rows = []
    for row in _assessed(results):
        key, told = row["finding"], row.get("reliability")
        how = card.calibrated_on.findings.get(key, "not calibrated") if card.calibrated_on else "not calibrated"
        scale = card.scale(key)
        fitted = "–" if scale == Scale() else f"{scale.slope:.2f}, {scale.offset:+.2f}"
        measured = ("–", "–") if told is None else (said(told["ece"], 3), f"{told['detections']} / {told['hits']}")
        rows.append((plain(card.space[key].display), fitted, plain(how), *measured))
    about = (
        "A score is the probability that its box hits a reader's at IoU 0.5, among films like those of the validation "
        "part: Platt scaling of the network's logit (**V**). Calibration error (**E**): Küppers et al. (2020) by the "
        "score alone, ten bins, boxes scored 0.01 or more. **V** counts assumed absences."
    )
    head = ("finding", "slope, offset", "how (**V**)", "calibration error", "boxes / hits")
    return "\n\n".join(["## Calibration", about, table(head, rows)])


def _shift(card: ModelCard, results: Json) -> str:
    head = ("finding", "images of", "absence", "finding is boxed", "images", "false boxes", "images with one")
    rows = [
        (
            plain(card.space[alarm["finding"]].display),
            plain(alarm["source"]),
            alarm["absence"],
            "here too" if alarm["boxed_in_this_source"] else "**elsewhere**",
            str(alarm["images"]),
            str(alarm["false_boxes"]),
            _alarmed(alarm),
        )
        for alarm in results["false_boxes_where_absent"]
    ]
    told = results["source_from_features"]
    if "not_computed" in told:
        features = f"Source from features: not computed ({plain(told['not_computed'])})."
    else:
        features = (
            f"The source of a film is told from the detector's features with a balanced accuracy of "
            f"{said(told['balanced_accuracy'])}; chance is {told['chance']:.2f} ({len(told['sources'])} sources, "
            f"{told['images']} images, {told['patients']} patients)."
        )
    about = (
        "From **E**, at the operating points: boxes on images in which the finding is absent. Where it is boxed only "
        "elsewhere, boxes mean that the picture speaks and not the finding. “Up to”: rule of three."
    )
    return "\n\n".join(["## Finding or source?", about, table(head, rows), features])


def _alarmed(alarm: Json) -> str:
    share = alarm["share_of_images"]
    if not alarm["false_boxes"]:
        return f"none (up to {alarm['share_at_most_if_none']:.1%})"
    if share["low"] == share["high"]:  # none, or no resample differs
        return f"{share['value']:.0%}"
    return f"{share['value']:.0%} ({share['low']:.0%}–{share['high']:.0%})"


def _gallery(card: ModelCard, results: Json) -> str:
    about = (
        "From **E**: false boxes of the highest score, and readers' boxes that nothing at the operating point touches, "
        "one per patient. The pictures are in `gallery/` beside the report and are not published. Boxes: x1, y1, x2, "
        "y2 in pixels of the built set."
    )
    parts = ["## Worst errors", about]
    for finding, faults in results["gallery"].items():
        rows = [
            (
                fault["kind"],
                code(fault["image_id"]),
                f"{fault['score']:.2f}",
                ", ".join(f"{value:.0f}" for value in fault["box_xyxy"]),
                plain(fault["why"]),
            )
            for fault in faults
        ]
        if rows:
            errors = table(("error", "image", "score", "box", "why"), rows)
            parts.append(folded(f"{card.space[finding].display} ({len(rows)})", errors))
    return "\n\n".join(parts)


# What to beware of


def _limits(card: ModelCard, results: Json) -> str:
    few = [row for row in _assessed(results) if row["boxes"] < FEW_BOXES]
    unseen = [row["finding"] for row in _assessed(results) if not row["images_without"]]
    lines = ["The intervals cover neither another hospital nor another seed of training."]
    lines.append(unseen_sources(list(results["data"]["sources"]), card.trained_on.sources))
    if few:
        named = ", ".join(f"{plain(card.space[row['finding']].display)} ({row['boxes']})" for row in few)
        lines.append(f"Fewer than {FEW_BOXES} test boxes, so read the intervals: {named}.")
    if unseen:
        lines.append(f"No image of **E** is known to be without {_listed(card, unseen)}: AP is kinder there.")
    lines.append(
        "A score is a probability for a mix of films like the validation part; where a finding is rarer, less."
    )
    lines.append("Labels are those of the sources; where readers disagree, so does the measure.")
    return "\n".join(["## Limits", "", *(f"- {line}" for line in lines)])


# Words and tables

_COUNTED: Final = ("boxes", "images with / without", "patients")


def _counts(row: Json) -> tuple[str, str, str]:
    return str(row["boxes"]), f"{row['images_with']} / {row['images_without']}", str(row["patients"])


def _assessed(results: Json) -> list[Json]:
    return [row for row in results["findings"] if row["assessed"]]


def _listed(card: ModelCard, keys: Sequence[str]) -> str:
    return plain(", ".join(card.space[key].display for key in keys))
