"""The evaluation as one HTML page: it asks no host for anything, runs no script, is light or dark as the screen is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import isnan

from boxray.core.findings import LabelSpace
from boxray.core.metrics import LUNA16_RATES, Curve, Interval
from boxray.detection.evaluate import FEWEST_BOXES
from boxray.detection.gallery import ErrorKind, Fault
from boxray.detection.report.evaluation import Evaluation
from boxray.detection.results import FindingResult, GroupResult, Reliability
from boxray.detection.shift import FalseAlarms, SourceTold
from boxray.page.frame import facts, figure, plot_row, table, table_row, whole_page
from boxray.page.pictures import Picture, picture_figure
from boxray.page.plots import Axis, bar_plot, curve_plot, row_plot, share_axis


@dataclass(frozen=True, slots=True)
class Shown:
    """A fault with its picture."""

    fault: Fault
    picture: Picture


def report_page(evaluation: Evaluation, gallery: Mapping[str, Sequence[Shown]]) -> str:
    """The whole page.

    Args:
        evaluation: What is told.
        gallery: Finding -> its worst errors; findings without are left out.
    """
    model = evaluation.model
    findings = (_finding(result, evaluation, gallery.get(result.finding, ())) for result in evaluation.results)
    body = (
        evaluation.on.about()
        + _glance(evaluation)
        + f'<div class="part">{_how(evaluation)}</div><div class="part">{_shift(evaluation)}</div>'
        + "".join(findings)
    )
    return whole_page(f"{model.name} {model.version}: evaluation", body, evaluation.on.foot(model))


# At a glance


def _glance(evaluation: Evaluation) -> str:
    head = (
        "Finding",
        "AP50 (95 % interval)",
        "0 – ½ – 1",
        "AP40",
        "AP50:95",
        "Sensitivity at 1 FP / image",
        "At its operating point: sensitivity",
        "FP / image",
        "Boxes",
        "Images with / without",
        "Patients",
    )
    rows = [_glance_row(result, evaluation.on.label_space) for result in evaluation.results]
    n_findings = len(evaluation.averaged)
    rows.append(
        table_row([f"Mean of {n_findings}", figure(evaluation.mean), row_plot(evaluation.mean), *[""] * 8], kind="mean")
    )
    return table("Every finding, where somebody looked", head, rows)


def _glance_row(result: FindingResult, space: LabelSpace) -> str:
    counts = result.counts
    there = [
        str(counts.boxes),
        f"{counts.images_with} / {counts.images_without}",
        str(counts.patients),
    ]
    name = f'<a href="#{escape(result.finding)}">{escape(space[result.finding].display)}</a>'
    if not result.assessed:
        return table_row([name, '<span class="quiet">not assessed</span>', *[""] * 6, *there])
    at_one = result.sensitivity_at.get(1.0, Interval.nothing())
    figures = [figure(result.ap50), row_plot(result.ap50), _short(result.ap40), _short(result.ap50_95)]
    at = result.at_threshold
    at_threshold = ["–", "–"] if at is None else [_short(at.sensitivity), _short(at.false_per_image)]
    return table_row([name, *figures, figure(at_one), *at_threshold, *there])


def _how(evaluation: Evaluation) -> str:
    return f"""<h2>How to read this</h2><ul>
<li>An image takes part for a finding only if a reader boxed the finding in it or it is known to be absent. Where nobody
looked, or nobody drew, a detection is neither right nor wrong. <em>Not assessed</em> means that the detector was never
shown a box of the finding: its silence says nothing.</li>
<li>Brackets are 95 % intervals from {evaluation.on.rounds:,} resamples of patients with all their images. They say what
another draw of such patients would give, not what another hospital would.</li>
<li><b>AP50</b> is the area under the precision-recall curve (COCO, 101 recalls) when a box counts from an overlap
(IoU) of 0.5; <b>AP40</b> from 0.4; <b>AP50:95</b> is the mean over 0.5, 0.55 … 0.95.</li>
<li><b>FP / image</b>: every box that hits no reader's box, a second box on a place already hit included, divided by all
images that take part, with and without the finding. Sensitivity is the share of readers' boxes hit at IoU 0.5. The
<b>FROC mean</b> is over 1/8, 1/4, 1/2, 1, 2, 4 and 8 FP / image (LUNA16's rates).</li>
<li><b>Localization accuracy</b> (Wang et al., 2017) is asked at the operating point and only on images in which
the finding is boxed: the share of readers' boxes that are hit at each overlap.</li>
<li><b>Reliability</b>: of boxes scored 0.3, three in ten should hit a reader's box at IoU 0.5. The <b>calibration
error</b> (ECE; Küppers et al., 2020, by the score alone) is the difference of mean score and share of hits in ten bins
of scores, weighted by their boxes; faint boxes are most of them and keep it low, so look at the plot too. Scores are
calibrated on the validation part with the absences that a card only assumes; where these do not count, more boxes are
hits.</li>
<li>Where two readers boxed the same films, their agreement stands beside the detector's: a ceiling of a kind.</li>
</ul>"""


# One finding


def _finding(result: FindingResult, evaluation: Evaluation, shown: Sequence[Shown]) -> str:
    finding = evaluation.on.label_space[result.finding]
    heading = f'<section id="{escape(finding.key)}"><h2>{escape(finding.display)}</h2>'
    counts = result.counts
    measured = (
        f'<p class="quiet">A box encloses {escape(finding.box)}. {counts.boxes} boxes on {counts.images_with} images, '
        f"{counts.images_without} images without, {counts.patients} patients.</p>"
    )
    if not result.assessed:
        return f"{heading}{measured}<p>Not assessed: the detector was never trained to box it.</p></section>"
    if not counts.boxes:
        return f"{heading}{measured}<p>No reader's box in this split: nothing can be measured.</p></section>"
    return "".join(
        [
            heading,
            measured,
            _warning(result),
            _at_threshold(result, evaluation),
            _plots(result),
            _tables(result),
            _groups(result.groups),
            _gallery(shown),
            "</section>",
        ]
    )


def _warning(result: FindingResult) -> str:
    counts = result.counts
    if counts.images_without == 0:
        return (
            '<p class="caution">No image of the split is known to be without this finding: false positives are counted '
            "on images with it alone, and AP is kinder than it would be elsewhere.</p>"
        )
    if counts.boxes < 50:
        return f'<p class="caution">Measured on {counts.boxes} boxes only: read the intervals, not the figures.</p>'
    return ""


def _at_threshold(result: FindingResult, evaluation: Evaluation) -> str:
    at = result.at_threshold
    if at is None:
        return "<p>The card stores no operating point, so nothing is said at a threshold.</p>"
    ceiling = evaluation.readers.get(result.finding)
    readers = "no film of the set was boxed by two readers"
    if ceiling is not None:
        readers = (
            f"readers between themselves {figure(ceiling.f1)}, on {ceiling.n_images} images with {ceiling.n_boxes} "
            "boxes of all splits"
        )
    told = (
        ("Operating point (score)", f"{at.threshold:.3f}"),
        ("Sensitivity", figure(at.sensitivity)),
        ("FP / image", figure(at.false_per_image)),
        ("F1 at IoU 0.4", f'{figure(at.f1_at_40)}<br><span class="quiet">{readers}</span>'),
        *_reliability_fact(result.reliability),
    )
    return facts(told)


def _reliability_fact(reliability: Reliability | None) -> list[tuple[str, str]]:
    if reliability is None:
        return []
    counted = f"{reliability.detections} boxes scored {reliability.lowest:g} or more, {reliability.hits} of them hits"
    return [("Calibration error", f'{figure(reliability.ece, 3)}<br><span class="quiet">{counted}</span>')]


def _plots(result: FindingResult) -> str:
    rates = Axis("False positives per image", 1 / 8, 8, LUNA16_RATES, doubling=True)
    plots = [
        (
            "Precision against recall at IoU 0.5",
            curve_plot("precision-recall", share_axis("Recall"), share_axis("Precision"), result.precision_recall),
        ),
        (
            "FROC at IoU 0.5, with 95 % intervals",
            curve_plot(
                "FROC", rates, share_axis("Sensitivity"), result.froc, list(result.sensitivity_at.items()), steps=True
            ),
        ),
        (
            "Localization accuracy at the operating point",
            bar_plot(
                "localization accuracy",
                "Overlap (IoU) from which a box counts",
                share_axis("Accuracy"),
                [(f"{at.iou:g}", at.accuracy) for at in result.localization],
            ),
        ),
    ]
    if result.reliability is not None:
        points = [(each.mean_score, each.hit) for each in result.reliability.bins]
        axes = share_axis("Mean score"), share_axis("Share of hits")
        plot = curve_plot("reliability", *axes, Curve((0.0, 1.0), (0.0, 1.0)), points)
        plots.append(("Reliability: on the line scores keep their word", plot))
    return plot_row(plots)


def _tables(result: FindingResult) -> str:
    froc = table(
        "Sensitivity (FROC)",
        ("FP / image", *(f"1/{1 / rate:g}" if rate < 1 else f"{rate:g}" for rate in result.sensitivity_at), "mean"),
        [table_row(["sensitivity", *map(figure, result.sensitivity_at.values()), figure(result.froc_mean)])],
    )
    where = result.localization
    localization = table(
        "Localization at the operating point, on images in which the finding is boxed",
        ("IoU from", *(f"{at.iou:g}" for at in where)),
        [
            table_row(["accuracy", *(figure(at.accuracy) for at in where)]),
            table_row(["FP / image", *(figure(at.false_per_image) for at in where)]),
        ],
    )
    tables = froc + (localization if where else "") + _reliability_table(result.reliability)
    return f"<details><summary>The figures of these plots</summary>{tables}</details>"


def _reliability_table(reliability: Reliability | None) -> str:
    if reliability is None or not reliability.bins:
        return ""
    bins = reliability.bins
    return table(
        f"Reliability of boxes scored {reliability.lowest:g} or more",
        ("score from", *(f"{each.low:g}" for each in bins)),
        [
            table_row(["boxes", *(str(each.detections) for each in bins)]),
            table_row(["mean score", *(f"{each.mean_score:.2f}" for each in bins)]),
            table_row(["share of hits", *(figure(each.hit) for each in bins)]),
        ],
    )


def _groups(groups: Sequence[GroupResult]) -> str:
    if not groups:
        return ""
    rows = []
    for attribute, members in groupby(groups, key=lambda group: group.attribute):
        for group in members:
            counts = group.counts
            enough = counts.boxes >= FEWEST_BOXES
            figures = [
                figure(group.ap50),
                row_plot(group.ap50),
                figure(group.sensitivity),
                figure(group.false_per_image),
            ]
            few = [f'<span class="quiet">fewer than {FEWEST_BOXES} boxes</span>', "", "", ""]
            rows.append(
                table_row(
                    [
                        f"{escape(attribute)}: {escape(group.group)}",
                        *(figures if enough else few),
                        str(counts.boxes),
                        f"{counts.images_with} / {counts.images_without}",
                        str(counts.patients),
                    ]
                )
            )
    head = (
        "Group",
        "AP50",
        "0 – ½ – 1",
        "Sensitivity",
        "FP / image",
        "Boxes",
        "Images with / without",
        "Patients",
    )
    return table("By group; sensitivity and FP / image at the operating point", head, rows)


def _gallery(shown: Sequence[Shown]) -> str:
    parts = []
    for kind, heading in (
        (ErrorKind.FALSE_BOX, "Worst false boxes: highest score where the finding is absent or not boxed"),
        (ErrorKind.MISS, "Worst misses: readers' boxes that the detector left unfound at its operating point"),
    ):
        of_kind = [item for item in shown if item.fault.kind is kind]
        if of_kind:
            pictures = "".join(_picture(item) for item in of_kind)
            parts.append(
                f'<details><summary>{heading} ({len(of_kind)})</summary><div class="films">{pictures}</div></details>'
            )
    return "".join(parts)


def _picture(item: Shown) -> str:
    fault = item.fault
    score = f", score {fault.score:.2f}" if fault.kind is ErrorKind.FALSE_BOX else ""
    return picture_figure(item.picture, f"{fault.kind.value}{score}: {fault.why}", fault.image_id)


# The shift check


def _shift(evaluation: Evaluation) -> str:
    return (
        "<h2>Does it know the finding, or the source?</h2>"
        "<p>Each finding is boxed in few sources. A detector that tells the sources apart could box a finding because "
        "the picture looks like the source where the finding was boxed. The first table shows boxes on images in which "
        "the finding is <em>absent</em>; look at the sources in which it is never boxed, marked “elsewhere”. Where "
        "none was seen, “up to” is what so many patients without one still allow (rule of three).</p>"
        + _alarms_table(evaluation.alarms, evaluation.on.label_space)
        + _told(evaluation.told, evaluation.told_note)
    )


def _alarms_table(alarms: Sequence[FalseAlarms], space: LabelSpace) -> str:
    rows = []
    for (finding, source), group in groupby(alarms, key=lambda alarm: (alarm.finding, alarm.source)):
        by_kind = {alarm.assumed: alarm for alarm in group}
        home = next(iter(by_kind.values())).boxed_here
        cells = [cell for assumed in (False, True) for cell in _alarm_cells(by_kind.get(assumed))]
        where = "boxed here too" if home else "<b>elsewhere</b>"
        rows.append(table_row([escape(space[finding].display), escape(source), where, *cells]))
    head = (
        "Finding",
        "Images of",
        "Finding is boxed",
        "Known absent: images",
        "False boxes / image",
        "Images with one",
        "Assumed absent: images",
        "False boxes / image",
        "Images with one",
    )
    return table("False boxes at the operating point where the finding is absent", head, rows)


def _alarm_cells(alarm: FalseAlarms | None) -> list[str]:
    if alarm is None:
        return ["–", "", ""]
    share = alarm.share_of_images
    if alarm.n_false == 0:
        return [str(alarm.n_images), "0", f'none <span class="quiet">(up to {alarm.at_most_if_none:.1%})</span>']
    around = f' <span class="quiet">({share.low:.0%}–{share.high:.0%})</span>' if share.is_wide else ""
    percent = f"{share.value:.0%}{around}"
    return [str(alarm.n_images), figure(alarm.per_image), percent]


def _told(told: SourceTold | None, note: str) -> str:
    heading = "<h3>Can the source be told from the detector's own features?</h3>"
    if told is None:
        return f"{heading}<p>Not computed: {escape(note)}</p>"
    rows = [
        table_row([escape(source), *(str(int(n)) for n in line)])
        for source, line in zip(told.sources, told.confusion, strict=True)
    ]
    matrix = table(
        "Images by their source (rows) and by the one they were taken for", ("", *map(escape, told.sources)), rows
    )
    return (
        f"{heading}<p>Balanced accuracy <b>{figure(told.balanced_accuracy)}</b>; guessing reaches {told.chance:.2f}. A "
        f"ridge classifier on {told.n_features} features (last backbone layer, mean over the image), {told.n_images} "
        f"images of {told.n_patients} patients, five folds by patient. Near 1 means that the detector sees where a "
        "picture came from; the sources also differ in size, compression and patients, so this is a possibility of a "
        f"shortcut, and the table above shows whether it is taken.</p>{matrix}"
    )


def _short(interval: Interval) -> str:
    return "–" if isnan(interval.value) else f"{interval.value:.2f}"
