"""The evaluation as one HTML page: it asks no host for anything, runs no script, is light or dark as the screen is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import isnan

from boxray.classification.evaluate import FEWEST_IMAGES
from boxray.classification.gallery import ErrorKind, Fault
from boxray.classification.report.evaluation import Evaluation
from boxray.classification.results import (
    AtThreshold,
    Calibration,
    ClassesResult,
    Counts,
    Curves,
    FindingResult,
    GroupResult,
    ScoreBin,
)
from boxray.core.calibration import Scale
from boxray.core.metrics import CONFUSION_FIGURES, Curve
from boxray.page.frame import difference, facts, figure, heat_table, plot_row, table, table_row, whole_page
from boxray.page.pictures import Picture, picture_figure
from boxray.page.plots import curve_plot, row_plot, share_axis

_DIAGONAL = Curve((0.0, 1.0), (0.0, 1.0))
FEW_IMAGES = 30
"""With or without a finding: with fewer the page says so."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A fault with its picture."""

    fault: Fault
    picture: Picture


@dataclass(frozen=True, slots=True)
class Gallery:
    """The worst errors of one finding, and how many there are of each kind, shown or not."""

    shown: tuple[Shown, ...]
    n_of: Mapping[ErrorKind, int]


def report_page(evaluation: Evaluation, galleries: Mapping[str, Gallery]) -> str:
    """The whole page.

    Args:
        evaluation: What is told.
        galleries: Finding -> its worst errors; findings without are left out.
    """
    model = evaluation.card.identity()
    findings = (_finding(result, evaluation, galleries.get(result.finding)) for result in evaluation.judgement.findings)
    body = (
        evaluation.on.about()
        + _glance(evaluation)
        + _said_at_threshold(evaluation)
        + _not_assessed(evaluation)
        + f'<div class="part">{_how(evaluation)}</div>'
        + _classes(evaluation)
        + "".join(findings)
    )
    return whole_page(f"{model.name} {model.version}: evaluation", body, evaluation.on.foot(model))


# At a glance


def _glance(evaluation: Evaluation) -> str:
    head = (
        "Finding",
        "AUROC within source (95 % interval)",
        "0 – ½ – 1",
        "AUROC pooled",
        "AP within source",
        "Images with / without, within source",
        "AP pooled",
        "Images with / without, pooled",
        "Patients",
    )
    rows = [_glance_row(result, evaluation) for result in evaluation.judgement.findings]
    means = evaluation.judgement.means
    within, pooled, ap_within, ap_pooled = (
        means[name] for name in ("auroc_within", "auroc_pooled", "ap_within", "ap_pooled")
    )
    rows.append(
        table_row(
            [
                "Mean (macro)",
                figure(within.macro),
                row_plot(within.macro),
                figure(pooled.macro),
                figure(ap_within.macro),
                f"{len(within.findings)} findings",
                figure(ap_pooled.macro),
                f"{len(pooled.findings)} findings",
                "",
            ],
            kind="mean",
        )
    )
    return table("Every finding, where something is known", head, rows)


def _glance_row(result: FindingResult, evaluation: Evaluation) -> str:
    within, pooled = result.within, result.pooled
    name = f'<a href="#{escape(result.finding)}">{escape(evaluation.on.label_space[result.finding].display)}</a>'
    counts = _both(within.counts), _both(pooled.counts), str(pooled.counts.patients)
    if not result.assessed:
        return table_row([name, '<span class="quiet">not assessed</span>', "", "", "", counts[0], "", *counts[1:]])
    return table_row(
        [
            name,
            figure(within.auroc),
            row_plot(within.auroc),
            figure(pooled.auroc),
            figure(within.ap),
            counts[0],
            figure(pooled.ap),
            *counts[1:],
        ]
    )


def _said_at_threshold(evaluation: Evaluation) -> str:
    told = [result for result in evaluation.judgement.findings if result.at_threshold is not None]
    if not told:
        return "<p>The card stores no operating point, so nothing is said at a threshold.</p>"
    rows = []
    for result in told:
        at = result.at_threshold
        assert at is not None, "chosen above"
        from_score = "highest" if at.threshold is None else f"{at.threshold:.2f}"
        ece = "–" if result.calibration is None else figure(result.calibration.ece)
        name = escape(evaluation.on.label_space[result.finding].display)
        rows.append(table_row([name, from_score, *(figure(at.figures[each]) for each in CONFUSION_FIGURES), ece]))
    means = evaluation.judgement.means
    for kind in ("macro", "weighted"):
        figures = [figure(getattr(means[each], kind)) for each in CONFUSION_FIGURES]
        rows.append(table_row([f"Mean ({kind})", "", *figures, ""], kind="mean" if kind == "macro" else ""))
    head = ("Finding", "Said from score", "Accuracy", "Precision", "Recall (sensitivity)", "Specificity", "F1", "ECE")
    said = "by the highest score" if evaluation.on.label_space.exclusive else "at the stored operating points"
    return table(f"What is said {said}, on all images counted", head, rows) + _stand_ins(evaluation)


def _stand_ins(evaluation: Evaluation) -> str:
    """Which thresholds nothing speaks for: what is said there is no choice, and it has its part in the means."""
    points = evaluation.card.operating_points.items()
    named = [evaluation.on.label_space[key].display for key, point in points if not point.is_chosen]
    if not named:
        return ""
    return (
        f'<p class="quiet">No threshold could be chosen for {escape(", ".join(named))}, as the validation part has too '
        "few images with or without: the card's stand-in is asked, and counts in the means as the others do.</p>"
    )


def _not_assessed(evaluation: Evaluation) -> str:
    space = evaluation.on.label_space
    silent = [space[result.finding].display for result in evaluation.judgement.findings if not result.assessed]
    unmeasured = [
        space[result.finding].display
        for result in evaluation.judgement.findings
        if result.assessed and isnan(result.within.auroc.value)
    ]
    lines = []
    if silent:
        lines.append(
            f"<p><b>Not assessed:</b> {escape(', '.join(silent))}. The classifier was never trained for it: its "
            "silence says nothing.</p>"
        )
    if unmeasured:
        lines.append(
            f"<p><b>Not measured within source:</b> {escape(', '.join(unmeasured))}. No source of this split has "
            "images with and without it, so a pooled figure, if there is one, may come from telling sources apart.</p>"
        )
    return "".join(lines)


def _how(evaluation: Evaluation) -> str:
    return f"""<h2>How this was measured</h2><ul>
<li>An image takes part for a finding only if the finding is known to be there, boxed or not, or known to be absent.
Where nobody looked the score is neither right nor wrong. <em>Not assessed</em> means that the classifier was never
trained for the finding.</li>
<li>Brackets are 95 % intervals from {evaluation.on.rounds:,} resamples of patients with all their images, the same ones
for all findings. They say what another draw of such patients would give, not what another hospital would.</li>
<li><b>AUROC</b> is the chance that an image with the finding scores above one without, ties counting half.
<b>Pooled</b>: any image with is compared with any without. <b>Within source</b>: only with those of its own source, and
only sources that have both take part: the sources' AUROC weighted by their pairs. A classifier that tells sources
apart and not findings reaches ½ within source, and may reach 1 pooled.</li>
<li><b>AP</b> is the average precision of images by their score; chance reaches the share of images with the
finding. Within source the precision at an image is that among the images of its own source.</li>
<li><b>Mean (macro)</b> is over findings with at least {FEWEST_IMAGES} images with and as many without; <b>weighted</b>:
by the images with each finding. Precision is of nothing, and has no figure, where nothing is said.</li>
<li><b>Reliability</b>: of images scored 0.3, three in ten should have the finding. <b>ECE</b> is the difference of
mean score and share in ten bins of scores, weighted by their images; <b>Brier</b> the mean squared difference of score
and truth. Calibration is for the mix of films of the validation part, where assumed absences count: on another mix
scores are off, however well they rank.</li>
<li>A group has figures from {FEWEST_IMAGES} images with and {FEWEST_IMAGES} without the finding.</li>
</ul>"""


# Classes that exclude each other


def _classes(evaluation: Evaluation) -> str:
    classes = evaluation.judgement.classes
    if classes is None or not classes.images:
        return ""
    names = [escape(evaluation.on.label_space[key].display) for key in classes.classes]
    caption = "Images by what they are (rows) and by the class of their highest score"
    told = [
        ("Accuracy", figure(classes.accuracy)),
        ("Images", str(classes.images)),
        ("Calibration error of the highest score", figure(classes.ece, 3)),
        ("Brier", figure(classes.brier, 3)),
    ]
    return (
        '<section id="classes"><h2>Which class was taken for which</h2>'
        + facts(told)
        + heat_table(caption, "is / said", names, classes.confusion)
        + plot_row([_reliability_plot(classes.bins, "Share right")])
        + _bins_table(classes, "Reliability of the highest score")
        + "</section>"
    )


# One finding


def _finding(result: FindingResult, evaluation: Evaluation, gallery: Gallery | None) -> str:
    finding = evaluation.on.label_space[result.finding]
    heading = f'<section id="{escape(finding.key)}"><h2>{escape(finding.display)}</h2>'
    counts = result.pooled.counts
    measured = (
        f'<p class="quiet">{counts.images_with} images with, {counts.images_without} without, {counts.patients} '
        f"patients; of {_named(result.pooled.sources)}.</p>"
    )
    if not result.assessed:
        return f"{heading}{measured}<p>Not assessed: the classifier was never trained for it.</p></section>"
    parts = [heading, measured, _warning(result), _facts(result, evaluation)]
    if result.curves is not None:
        parts.append(_plots(result.curves, result))
    if result.at_threshold is not None:
        parts.append(_confusion(result.at_threshold))
    if result.curves is not None:
        parts.append(_tables(result.curves, result.calibration))
    parts += [_groups(result.groups), "" if gallery is None else _gallery(gallery), "</section>"]
    return "".join(parts)


def _warning(result: FindingResult) -> str:
    within, pooled = result.within.counts, result.pooled.counts
    if not pooled.images_with or not pooled.images_without:
        missing = "with" if not pooled.images_with else "without"
        return (
            f'<p class="caution">No image {missing} this finding is counted in this split: nothing says whether it is '
            "told from its absence.</p>"
        )
    if not within.images_with:
        return (
            '<p class="caution">No source has images with and without this finding: the pooled figure may come from '
            "telling sources apart.</p>"
        )
    if min(within.images_with, within.images_without) < FEW_IMAGES:
        return (
            f'<p class="caution">Within source {within.images_with} images with and {within.images_without} without: '
            "read the intervals, not the figures.</p>"
        )
    return ""


def _facts(result: FindingResult, evaluation: Evaluation) -> str:
    told = [
        (
            "AUROC within source (images with / without)",
            _over(figure(result.within.auroc), f"{_both(result.within.counts)}; {_named(result.within.sources)}"),
        ),
        ("AUROC pooled (with / without)", _over(figure(result.pooled.auroc), _both(result.pooled.counts))),
        ("AP within source", _over(figure(result.within.ap), _chance(result.within.counts))),
        ("AP pooled", _over(figure(result.pooled.ap), _chance(result.pooled.counts))),
    ]
    if result.calibration is not None:
        scale = evaluation.card.scale(result.finding)
        stored = "as the network says it" if scale == Scale() else f"Platt {scale.slope:.2f}, {scale.offset:+.2f}"
        told += [
            ("Calibration error (ECE)", _over(figure(result.calibration.ece, 3), stored)),
            ("Brier", figure(result.calibration.brier, 3)),
        ]
    return facts(told)


def _over(value: str, quiet: str) -> str:
    return f'{value}<br><span class="quiet">{quiet}</span>'


def _named(sources: Sequence[str]) -> str:
    return escape(", ".join(sources)) or "no source"


def _chance(counts: Counts) -> str:
    total = counts.images_with + counts.images_without
    return f"chance: {counts.images_with / total:.2f}" if total else ""


def _plots(curves: Curves, result: FindingResult) -> str:
    counts = result.pooled.counts
    share = counts.images_with / (counts.images_with + counts.images_without)
    of_sources = list(curves.roc_of.values()) if len(result.pooled.sources) > 1 else []
    sources = "; broken: within each source" if of_sources else ""
    plots = [
        (
            f"ROC, all images{sources}",
            curve_plot(
                "ROC",
                share_axis("Rate of false positives"),
                share_axis("Sensitivity"),
                curves.roc,
                curves.sensitivity_at,
                reference=_DIAGONAL,
                others=of_sources,
            ),
        ),
        (
            "Precision against recall, all images",
            curve_plot(
                "precision-recall",
                share_axis("Recall"),
                share_axis("Precision"),
                _steps(curves.precision_recall),
                curves.precision_at,
                reference=Curve((0.0, 1.0), (share, share)),
            ),
        ),
    ]
    if result.calibration is not None:
        plots.append(_reliability_plot(result.calibration.bins, "Share with the finding"))
    return plot_row(plots)


def _steps(curve: Curve) -> Curve:
    """Precision as it is summed to AP: up to a recall that of the threshold which reaches it."""
    x = [at for left, right in pairwise((0.0, *curve.x)) for at in (left, right)]
    return Curve(tuple(x), tuple(y for y in curve.y for _ in range(2)))


def _reliability_plot(bins: Sequence[ScoreBin], y_label: str) -> tuple[str, str]:
    points = [(each.mean_score, each.share) for each in bins]
    line = Curve(tuple(each.mean_score for each in bins), tuple(each.share.value for each in bins))
    axes = share_axis("Mean score"), share_axis(y_label)
    plot = curve_plot("reliability", *axes, line, points, reference=_DIAGONAL)
    return "Reliability: on the dotted line scores keep their word", plot


def _confusion(at: AtThreshold) -> str:
    true_not, false, missed, hit = at.confusion
    how = "by the highest score" if at.threshold is None else f"from a score of {at.threshold:.3f}"
    counts = heat_table(f"Images, said {how}", "is / said", ("absent", "there"), ((true_not, false), (missed, hit)))
    names = {"accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1"}
    names["specificity"] = "Specificity"
    return counts + facts((names[name], figure(at.figures[name])) for name in CONFUSION_FIGURES)


def _tables(curves: Curves, calibration: Calibration | None) -> str:
    roc = table(
        "Sensitivity at rates of false positives",
        ("false positives", *(f"{at:g}" for at, _ in curves.sensitivity_at)),
        [table_row(["sensitivity", *(figure(each) for _, each in curves.sensitivity_at)])],
    )
    precision = table(
        "Precision at recalls",
        ("recall", *(f"{at:g}" for at, _ in curves.precision_at)),
        [table_row(["precision", *(figure(each) for _, each in curves.precision_at)])],
    )
    bins = "" if calibration is None else _bins_table(calibration, "Reliability")
    return f"<details><summary>The figures of these plots</summary>{roc}{precision}{bins}</details>"


def _bins_table(of: Calibration | ClassesResult, caption: str) -> str:
    return table(
        caption,
        ("score from", *(f"{each.low:g}" for each in of.bins)),
        [
            table_row(["images", *(str(each.images) for each in of.bins)]),
            table_row(["mean score", *(f"{each.mean_score:.2f}" for each in of.bins)]),
            table_row(["share", *(figure(each.share) for each in of.bins)]),
        ],
    )


def _groups(groups: Sequence[GroupResult]) -> str:
    rows = []
    for group in groups:
        counts = group.counts
        if not counts.images_with and not counts.images_without:
            continue
        enough = min(counts.images_with, counts.images_without) >= FEWEST_IMAGES
        figures = [
            figure(group.within),
            figure(group.pooled),
            figure(group.recall),
            figure(group.specificity),
            figure(group.ece),
            difference(group.excess),
        ]
        few = [f'<span class="quiet">fewer than {FEWEST_IMAGES} of a kind</span>', *[""] * (len(figures) - 1)]
        named = f"{escape(group.attribute)}: {escape(group.group)}"
        rows.append(table_row([named, *(figures if enough else few), f"{_both(counts)} ({counts.patients})"]))
    head = (
        "Group",
        "AUROC within source",
        "AUROC pooled",
        "Recall",
        "Specificity",
        "ECE",
        "Excess",
        "Images with / without (patients)",
    )
    caption = "By group; recall and specificity at what is said; excess: mean score less the share of images with it"
    return table(caption, head, rows) if rows else ""


def _gallery(gallery: Gallery) -> str:
    parts = []
    for kind, heading in (
        (ErrorKind.FALSE_ALARM, "False alarms of the highest score, of images in which it is known to be absent"),
        (ErrorKind.MISS, "Misses of the lowest score"),
    ):
        of_kind = [item for item in gallery.shown if item.fault.kind is kind]
        if of_kind:
            pictures = "".join(_picture(item) for item in of_kind)
            counted = f"{len(of_kind)} of {gallery.n_of[kind]}"
            parts.append(
                f'<details><summary>{heading} ({counted})</summary><div class="films">{pictures}</div></details>'
            )
    return "".join(parts)


def _picture(item: Shown) -> str:
    fault = item.fault
    return picture_figure(item.picture, f"{fault.kind.value}, score {fault.score:.2f}: {fault.why}", fault.image_id)


def _both(counts: Counts) -> str:
    return f"{counts.images_with} / {counts.images_without}"
