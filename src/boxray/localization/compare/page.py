"""A comparison as one HTML page: the sentence first, then tables, plots, and films side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan
from typing import Final

from boxray.core.assessed import MEAN
from boxray.core.metrics import Curve
from boxray.detection.evaluate import LOCALIZATION_LIMITS
from boxray.localization.compare.asking import DETECTOR
from boxray.localization.compare.comparison import Comparison, method_title
from boxray.localization.compare.gallery import ORDER, Case, words_for
from boxray.localization.compare.measures import FOUND
from boxray.localization.compare.second_reader import SECOND_READER
from boxray.localization.compare.summary import (
    FALSE,
    LOCALIZATION,
    LOCALIZED,
    POINTING,
)
from boxray.localization.compare.words import CORRELATIONS, HEADLINES, READER_NOTE, cautions, how_to_read, title_of
from boxray.page.frame import difference, figure, table, table_row, whole_page
from boxray.page.plots import Axis, curves_plot, difference_plot, share_axis

_LIMITS: Final = Axis("T(IoU)", 0.0, 0.8, LOCALIZATION_LIMITS)
_MOST_CURVES: Final = 6


@dataclass(frozen=True, slots=True)
class Shown:
    """A case with its picture."""

    case: Case
    data_uri: str
    size_wh: tuple[int, int]


def compare_page(comparison: Comparison, gallery: Mapping[str, Sequence[Shown]]) -> str:
    """The page; `gallery` holds the cases of each finding, in the order in which they are shown."""
    body = [
        "".join(f'<p class="verdict">{escape(sentence)}</p>' for sentence in comparison.verdict),
        _facts(comparison),
        "".join(f'<p class="caution">{escape(line)}</p>' for line in cautions(comparison)),
        f"<section>{_glance(comparison)}{_overview_plots(comparison)}</section>",
        f"<section>{_disagreements(comparison)}</section>",
        f"<section>{_how(comparison)}</section>",
        *(_finding(comparison, finding, gallery.get(finding, ())) for finding in comparison.findings),
        f"<section>{_correlations(comparison)}{_second_reader(comparison)}{_shares(comparison)}</section>",
    ]
    foot = (
        f"Detector {comparison.detector.name} {comparison.detector.version} ({comparison.detector.sha256[:12]}), "
        f"classifier {comparison.explainer.name} {comparison.explainer.version} ({comparison.explainer.sha256[:12]}), "
        f"data {comparison.fingerprint[:12]}, split {comparison.split.value}, {comparison.rounds:,} resamples. "
        "All figures: summary.csv and summary.json; every image: rows.csv, beside this page."
    )
    return whole_page("Boxes against heat maps against readers", "\n".join(body), foot)


def _facts(comparison: Comparison) -> str:
    models = comparison.detector, comparison.explainer
    detector, classifier = (f"{escape(model.name)} {escape(model.version)}" for model in models)
    facts = {
        "Images": f"{comparison.n_images:,}",
        "Patients": f"{comparison.n_patients:,}",
        "Split": escape(comparison.split.value),
        "Detector": detector,
        "Classifier": classifier,
        "Maps": escape(", ".join(map(method_title, comparison.methods))),
        "Maps learned from": "labels and boxes" if comparison.taught_by_boxes else "labels alone",
    }
    return '<dl class="facts">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts.items()) + "</dl>"


def _named(comparison: Comparison, finding: str) -> str:
    if finding == MEAN:
        return f"Mean of {len(comparison.averaged)}"
    return f'<a href="#{escape(finding)}">{escape(comparison.label_space[finding].display)}</a>'


def _with_mean(comparison: Comparison) -> tuple[str, ...]:
    return (*comparison.findings, *([MEAN] if comparison.averaged else []))


def _glance(comparison: Comparison) -> str:
    method = comparison.methods[0]
    title = escape(method_title(method))
    head = ["Finding", "Images", "Boxes"]
    for words in ("Points into a reader's box", "One best box at T(IoU) 0.3"):
        head += [f"{words}: detector", title, "Detector − map"]
    rows = []
    for finding in _with_mean(comparison):
        n_images, n_boxes = _size(comparison, finding)
        cells = [_named(comparison, finding), str(n_images), str(n_boxes)]
        for measure in (POINTING, LOCALIZATION):
            cells += [figure(comparison.figure(finding, who, measure)) for who in (DETECTOR, method)]
            cells.append(difference(comparison.difference(finding, method, measure)))
        rows.append(table_row(cells, kind="mean" if finding == MEAN else ""))
    return "<h2>At a glance</h2>" + table(f"Detector against {title}, on the same images", head, rows)


def _size(comparison: Comparison, finding: str, method: str = DETECTOR) -> tuple[int, int]:
    summary = comparison.summary
    row = summary[(summary["finding"] == finding) & (summary["method"] == method)].iloc[0]
    return int(row["n_images"]), int(row["n_boxes"])


def _overview_plots(comparison: Comparison) -> str:
    method = comparison.methods[0]
    named = {POINTING: "Pointing: difference", LOCALIZATION: "One best box at T(IoU) 0.3: difference"}
    plots = []
    for measure, words in named.items():
        rows = [
            (
                "Mean" if finding == MEAN else comparison.label_space[finding].display,
                comparison.difference(finding, method, measure),
            )
            for finding in _with_mean(comparison)
        ]
        plot = difference_plot(f"{words}, detector − {method_title(method)}", "← map better · detector better →", rows)
        plots.append(_captioned(words, plot))
    if comparison.averaged:
        plots.append(_captioned("Mean over findings: one best box", _localization_plot(comparison, MEAN, LOCALIZED)))
    return f'<div class="plots">{"".join(plots)}</div>'


def _captioned(words: str, plot: str) -> str:
    return f"<figure><figcaption>{escape(words)}</figcaption>{plot}</figure>"


def _localization_plot(comparison: Comparison, finding: str, measures: Sequence[str]) -> str:
    curves = []
    for who in (DETECTOR, *comparison.methods)[:_MOST_CURVES]:
        figures = [comparison.figure(finding, who, measure) for measure in measures]
        curve = Curve(LOCALIZATION_LIMITS, tuple(each.value for each in figures))
        curves.append((method_title(who), curve, list(zip(LOCALIZATION_LIMITS, figures, strict=True))))
    label = "share of images" if measures is LOCALIZED else "share of readers' boxes"
    return curves_plot(f"Localization accuracy against T(IoU), {finding}", _LIMITS, share_axis(label), curves)


def _disagreements(comparison: Comparison) -> str:
    head = ("Finding", "Held against", "By", "Both right", "Detector alone", "Map alone", "Neither")
    by = {POINTING: "pointing", LOCALIZATION: "best box, T(IoU) 0.3"}
    shown = comparison.disagreements[comparison.disagreements["method"] == comparison.methods[0]]
    rows = []
    for row in shown.itertuples(index=False):
        counts = (row.both, row.detector_only, row.map_only, row.neither)
        rows.append(
            table_row(
                [_named(comparison, row.finding), escape(title_of(row.method)), by[row.measure], *map(str, counts)]
            )
        )
    return "<h2>Where they disagree, who was right</h2>" + table("Images", head, rows)


def _how(comparison: Comparison) -> str:
    items = "".join(f"<li><b>{escape(title)}.</b> {escape(text)}</li>" for title, text in how_to_read(comparison))
    return f"<h2>How to read this</h2><ul>{items}</ul>"


def _finding(comparison: Comparison, finding: str, shown: Sequence[Shown]) -> str:
    space = comparison.label_space[finding]
    n_images, n_boxes = _size(comparison, finding)
    sources = ", ".join(f"{escape(name)} {n}" for name, n in comparison.sources[finding].items())
    plots = _captioned("One best box each", _localization_plot(comparison, finding, LOCALIZED))
    plots += _captioned("All boxes that each reports", _localization_plot(comparison, finding, FOUND))
    return (
        f'<section id="{escape(finding)}"><h2>{escape(space.display)}</h2>'
        f'<p class="quiet">{n_images} images ({sources}) with {n_boxes} boxes. A box encloses: {escape(space.box)}.</p>'
        f'{_measures(comparison, finding)}<div class="plots">{plots}</div>{_reported(comparison, finding)}'
        f"{_cases(comparison, shown)}</section>"
    )


def _methods_of(comparison: Comparison, finding: str) -> list[str]:
    """The detector, the maps, and the second reader where there is one."""
    second = not isnan(comparison.figure(finding, SECOND_READER, POINTING).value)
    return [DETECTOR, *comparison.methods, *([SECOND_READER] if second else [])]


def _measures(comparison: Comparison, finding: str) -> str:
    """Every method a column, every measure a row; below a map's figure what the detector has more."""
    methods = _methods_of(comparison, finding)
    head = ["Measure"]
    for method in methods:
        n_images, _ = _size(comparison, finding, method)
        head.append(escape(title_of(method)) + (f" ({n_images} other images)" if method == SECOND_READER else ""))
    rows = []
    for measure, words in HEADLINES.items():
        cells = [escape(words)]
        for method in methods:
            more = comparison.difference(finding, method, measure)
            shown = figure(comparison.figure(finding, method, measure))
            below = "" if isnan(more.value) or measure == "readers_cover" else f"<br>detector {difference(more)}"
            cells.append(shown + (f'<span class="quiet">{below}</span>' if below else ""))
        rows.append(table_row(cells))
    return table("Every measure, with its 95 % interval", head, rows)


def _reported(comparison: Comparison, finding: str) -> str:
    head = ["T(IoU)"]
    for method in (DETECTOR, *comparison.methods):
        head += [f"{escape(title_of(method))}: boxes found", "false / image"]
    rows = []
    for limit, found, false in zip(LOCALIZATION_LIMITS, FOUND, FALSE, strict=True):
        cells = [f"{limit:g}"]
        for method in (DETECTOR, *comparison.methods):
            cells += [figure(comparison.figure(finding, method, measure)) for measure in (found, false)]
        rows.append(table_row(cells))
    inner = table("All boxes that each reports, at the stored operating points", head, rows)
    return f"<details><summary>All boxes: accuracy and false boxes at every T(IoU)</summary>{inner}</details>"


def _cases(comparison: Comparison, shown: Sequence[Shown]) -> str:
    parts = []
    for kind, order in ORDER.items():
        of_kind = [item for item in shown if item.case.kind is kind]
        if not of_kind:
            continue
        pictures = "".join(_case(item, comparison) for item in of_kind)
        heading = f"Who points right: {escape(kind.value)} ({of_kind[0].case.n_of_kind} images; {escape(order)})"
        parts.append(f'<h3>{heading}</h3><div class="pairs">{pictures}</div>')
    if not parts:
        return ""
    summary = "<summary>Films side by side: extremes of each kind, not a sample</summary>"
    return f"<details open>{summary}{''.join(parts)}</details>"


def _case(item: Shown, comparison: Comparison) -> str:
    width, height = item.size_wh
    words = escape(words_for(item.case, comparison.label_space))
    return (
        f'<figure><img src="{item.data_uri}" width="{width}" height="{height}" alt="{words}" loading="lazy">'
        f'<figcaption class="quiet">{escape(item.case.image_id)}</figcaption></figure>'
    )


def _correlations(comparison: Comparison) -> str:
    head = ("Finding", "Method", *(escape(words) for words in CORRELATIONS.values()))
    rows = [
        table_row(
            [
                _named(comparison, finding),
                escape(title_of(method)),
                *(difference(comparison.figure(finding, method, name)) for name in CORRELATIONS),
            ]
        )
        for finding in comparison.findings
        for method in (DETECTOR, *comparison.methods)
    ]
    return "<h2>Does success go with size and number of boxes?</h2>" + table("Spearman's rank correlation", head, rows)


def _second_reader(comparison: Comparison) -> str:
    there = [finding for finding in comparison.findings if SECOND_READER in _methods_of(comparison, finding)]
    if not there:
        return "<h2>A second reader</h2><p>No film of this set was boxed by one reader and read by another.</p>"
    measures = (POINTING, "iou", "localized_at_0.1", LOCALIZATION, "localized_at_0.5", "energy_inside")
    head = ("Finding", "Images", "First reader's boxes", *(escape(HEADLINES[measure]) for measure in measures))
    rows = []
    for finding in there:
        n_images, n_boxes = _size(comparison, finding, SECOND_READER)
        figures = (figure(comparison.figure(finding, SECOND_READER, measure)) for measure in measures)
        rows.append(table_row([_named(comparison, finding), str(n_images), str(n_boxes), *figures]))
    return f"<h2>A second reader</h2><p>{escape(READER_NOTE)}</p>" + table("Second reader, by the first", head, rows)


def _shares(comparison: Comparison) -> str:
    head = ("Finding", "Method", "Share of the maximum", "Mean IoU there", "How it was chosen")
    rows = [
        table_row(
            [
                escape(comparison.label_space[each.finding].display),
                escape(title_of(each.method)),
                f"{each.share:g}",
                "–" if isnan(each.mean_iou) else f"{each.mean_iou:.2f}",
                escape(each.how),
            ]
        )
        for each in comparison.shares
    ]
    return "<h2>Thresholds of the maps</h2>" + table("From which share of its maximum a map is a region", head, rows)
