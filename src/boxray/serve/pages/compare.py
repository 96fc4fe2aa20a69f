"""The page *Compare*: the tables, plots and films of a folder that `boxray compare` made.

The figures come from its `summary.json` and are told in the reader's language; the films are the pictures inside of its
`compare.html`. Nothing else of the folder is read and nothing of it is served as a file.
"""

import json
from collections.abc import Callable, Mapping
from html import escape
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from boxray.core.assessed import MEAN
from boxray.core.findings import LabelSpace
from boxray.core.metrics import Curve, Interval
from boxray.detection.evaluate import LOCALIZATION_LIMITS
from boxray.localization.compare.asking import DETECTOR
from boxray.localization.compare.comparison import method_title
from boxray.localization.compare.measures import FOUND
from boxray.localization.compare.second_reader import SECOND_READER
from boxray.localization.compare.summary import FALSE, LOCALIZATION, LOCALIZED, POINTING, SUMMARY_COLUMNS, figures_of
from boxray.localization.compare.write import SCHEMA
from boxray.page.frame import difference, facts, figure, plot_row, table, table_row
from boxray.page.plots import Axis, curves_plot, difference_plot, share_axis
from boxray.serve.pages.films import films_in
from boxray.serve.words import Words, words_for

if TYPE_CHECKING:
    import gradio as gr

COMPARISONS: Final = Path("runs/compare")
"""Where a comparison is looked for where none is named; from the folder in which the program was started."""

COMMAND: Final = "boxray compare --data data/built/real --out runs/compare"
"""How one is made."""

_NONE: Final = Interval(float("nan"), float("nan"), float("nan"))
_LIMITS: Final = Axis("T(IoU)", 0.0, 0.8, LOCALIZATION_LIMITS)
_MOST_CURVES: Final = 6


def compare_page(tab: "gr.Tab", say: Callable[[str], Any], label_space: LabelSpace, folder: Path) -> None:
    """Lay out the page; it is filled when its tab is opened, so that a new comparison is seen.

    Args:
        tab: In which it stands.
        say: Key of a text -> what a component shows.
        label_space: Names of the findings.
        folder: A comparison, or a folder with several, of which the newest is shown.
    """
    import gradio as gr

    whole = gr.HTML(say("page.loading"), elem_id="compare", elem_classes="bx-page")
    finding = gr.Radio([], label="", visible=False, elem_id="compare-finding")
    part = gr.HTML("", elem_id="compare-part", elem_classes="bx-page")

    def fill(request: gr.Request) -> list[Any]:
        words = words_for(request.headers)
        shown = newest_comparison(folder)
        if shown is None:
            return [nothing_html(words), gr.update(visible=False, value=None), ""]
        told = Told(shown, words, label_space)
        choices = [(told.name(key), key) for key in told.findings]
        first = next(iter(told.findings), "")
        radio = gr.update(choices=choices, value=first or None, label=words["compare.finding"], visible=bool(choices))
        return [told.whole(), radio, told.part(first)]

    def choose(key: str | None, request: gr.Request) -> str:
        shown = newest_comparison(folder)
        return Told(shown, words_for(request.headers), label_space).part(key) if shown and key else ""

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    tab.select(fill, None, [whole, finding, part], **hidden)
    finding.input(choose, finding, part, **hidden)


def newest_comparison(folder: Path) -> Path | None:
    """The folder itself or the newest of those in it that holds a comparison; None where there is none."""
    try:
        summaries = [*folder.glob("summary.json"), *folder.glob("*/summary.json")]
        found = [(path.stat().st_mtime, path.parent) for path in summaries if _summary(path) is not None]
    except OSError:
        return None
    return max(found, default=(0.0, None))[1]


def _summary(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None


def nothing_html(words: Words) -> str:
    """How a comparison is made."""
    return (
        f"<h2>{escape(words['compare.title'])}</h2><p>{escape(words['compare.none'])}</p>"
        f"<pre>{COMMAND}</pre><p>{escape(words['compare.then'])}</p>"
    )


class Told:
    """One comparison in one language, as HTML.

    Args:
        folder: From `newest_comparison`.
        words: The language.
        label_space: Names of the findings; one that it has not is called by its key.
    """

    def __init__(self, folder: Path, words: Words, label_space: LabelSpace) -> None:
        self._folder = folder
        self._words = words
        self._space = words.label_space(label_space)
        self._said: Mapping[str, Any] = _summary(folder / "summary.json") or {}
        self._summary = pd.DataFrame(self._said["summary"], columns=list(SUMMARY_COLUMNS))
        self._figures = figures_of(self._summary)

    @property
    def findings(self) -> tuple[str, ...]:
        """Keys, in the comparison's order."""
        return tuple(self._said["findings"])

    def name(self, finding: str) -> str:
        """Of a finding, or of the mean over them."""
        if finding == MEAN:
            return self._words("compare.mean", n=len(self._said["mean_over"]))
        return self._space[finding].display if finding in self._space else finding

    @property
    def _taught_by(self) -> str:
        # An older comparison does not say: then no map was taught by boxes.
        return "boxes" if self._said.get("maps_taught_by_boxes") else "labels"

    def whole(self) -> str:
        """What is told of all findings together."""
        words = self._words
        verdict = "".join(f'<p class="verdict">{escape(line)}</p>' for line in self._verdict())
        cautions = "".join(f'<p class="caution">{escape(line)}</p>' for line in self._cautions())
        taught = words[f"compare.taught.{self._taught_by}"]
        how = f'<p class="quiet">{escape(words["compare.how"])} {escape(taught)}</p>'
        return f"<h2>{escape(words['compare.title'])}</h2>{verdict}{self._facts()}{cautions}{self._glance()}{how}"

    def part(self, finding: str) -> str:
        """What is told of one finding; empty for one that was not compared."""
        if finding not in self.findings:
            return ""
        words = self._words
        plots = [
            (escape(words["compare.best_plot"]), self._curves(finding, LOCALIZED, words["compare.share_images"])),
            (escape(words["compare.all_plot"]), self._curves(finding, FOUND, words["compare.share_boxes"])),
        ]
        films = films_in(self._folder / "compare.html").get(finding, "")
        gallery = f"<h3>{escape(words['compare.gallery'])}</h3>{films}" if films else ""
        return f"<h2>{escape(self.name(finding))}</h2>{self._measures(finding)}{plot_row(plots)}{gallery}"

    def _figure(self, finding: str, method: str, measure: str) -> tuple[Interval, Interval]:
        return self._figures.get((finding, method, measure), (_NONE, _NONE))

    @property
    def _methods(self) -> list[str]:
        return list(self._said["methods"])

    @property
    def _with_mean(self) -> list[str]:
        return [*self.findings, *([MEAN] if self._said["mean_over"] else [])]

    def _verdict(self) -> list[str]:
        if not (self._said["mean_over"] and self._methods):
            return []
        lines = []
        method = self._methods[0]
        for measure, key in ((POINTING, "compare.pointing"), (LOCALIZATION, "compare.localized")):
            detector, _ = self._figure(MEAN, DETECTOR, measure)
            heat, more = self._figure(MEAN, method, measure)
            points = (_points(value) for value in (more.value, more.low, more.high))
            between = dict(zip(("difference", "low", "high"), points, strict=True))
            lines.append(
                self._words(
                    "compare.verdict",
                    measure=self._words[key],
                    n=len(self._said["mean_over"]),
                    detector=f"{detector.value:.0%}",
                    method=method_title(method),
                    map=f"{heat.value:.0%}",
                    **between,
                )
            )
        return lines

    def _cautions(self) -> list[str]:
        words, sources = self._words, self._said["data"]["sources"]
        alone = [f"{self.name(key)} ({next(iter(there))})" for key, there in sources.items() if len(there) == 1]
        lines = [words("compare.one_source", findings=words["list.comma"].join(alone))] if alone else []
        left = [self.name(key) for key in self._said["not_compared"]]
        return lines + ([words("compare.left_out", findings=words["list.comma"].join(left))] if left else [])

    def _facts(self) -> str:
        data, models, words = self._said["data"], self._said["models"], self._words
        pairs = {
            "compare.images": f"{data['images']:,}",
            "compare.patients": f"{data['patients']:,}",
            "compare.split": escape(str(data["split"])),
            **{f"model.{role}": escape(f"{it['name']} {it['version']}") for role, it in models.items()},
            "compare.maps": escape(", ".join(map(method_title, self._methods))),
            "model.maps": escape(words[f"model.maps.{self._taught_by}"]),
            "compare.resamples": f"{self._said['bootstrap_rounds']:,}",
        }
        return facts((escape(words[key]), value) for key, value in pairs.items())

    def _glance(self) -> str:
        words, method = self._words, self._methods[0]
        title = method_title(method)
        head = [words["compare.finding"], words["compare.images"], words["compare.boxes"]]
        named = {POINTING: words["compare.pointing"], LOCALIZATION: words["compare.localized"]}
        for measure_name in named.values():
            head += [f"{measure_name}: {words['model.detector']}", title, words["compare.difference"]]
        rows = []
        for finding in self._with_mean:
            cells = [escape(self.name(finding)), *map(str, self._size(finding))]
            for measure in named:
                heat, more = self._figure(finding, method, measure)
                cells += [figure(self._figure(finding, DETECTOR, measure)[0]), figure(heat), difference(more)]
            rows.append(table_row(cells, kind="mean" if finding == MEAN else ""))
        plots = [(escape(name), self._differences(measure, name)) for measure, name in named.items()]
        caption = escape(f"{words['model.detector']} / {title}")
        heads = [escape(each) for each in head]
        return f"<h3>{escape(words['compare.glance'])}</h3>{table(caption, heads, rows)}{plot_row(plots)}"

    def _size(self, finding: str) -> tuple[int, int]:
        rows = self._summary[(self._summary["finding"] == finding) & (self._summary["method"] == DETECTOR)]
        return int(rows["n_images"].iloc[0]), int(rows["n_boxes"].iloc[0])

    def _differences(self, measure: str, name: str) -> str:
        rows = [
            (self.name(finding), self._figure(finding, self._methods[0], measure)[1]) for finding in self._with_mean
        ]
        return difference_plot(f"{name}: {self._words['compare.difference']}", self._words["compare.better"], rows)

    def _curves(self, finding: str, measures: tuple[str, ...], label: str) -> str:
        curves = []
        for who in (DETECTOR, *self._methods)[:_MOST_CURVES]:
            figures = [self._figure(finding, who, measure)[0] for measure in measures]
            curve = Curve(LOCALIZATION_LIMITS, tuple(each.value for each in figures))
            curves.append((self._title(who), curve, list(zip(LOCALIZATION_LIMITS, figures, strict=True))))
        return curves_plot(f"T(IoU): {self.name(finding)}", _LIMITS, share_axis(label), curves)

    def _title(self, method: str) -> str:
        own = {DETECTOR: "model.detector", SECOND_READER: "compare.second"}
        return self._words[own[method]] if method in own else method_title(method)

    def _measures(self, finding: str) -> str:
        words = self._words
        named = {
            POINTING: words["compare.pointing"],
            "centre_hit": words["compare.centre"],
            "iou": words["compare.iou"],
        }
        for limit in (0.1, 0.3, 0.5):
            named[f"localized_at_{limit:g}"] = words("compare.right", limit=limit)
        named["found_at_0.3"] = words["compare.found"]
        named[FALSE[LOCALIZATION_LIMITS.index(0.3)]] = words["compare.false"]
        named["energy_inside"] = words["compare.energy"]
        methods = [
            who for who in (DETECTOR, *self._methods, SECOND_READER) if (finding, who, POINTING) in self._figures
        ]
        rows = [
            table_row([escape(name), *(figure(self._figure(finding, who, measure)[0]) for who in methods)])
            for measure, name in named.items()
        ]
        head = [escape(each) for each in (words["compare.measure"], *map(self._title, methods))]
        return table(escape(words["compare.measures"]), head, rows)


def _points(value: float) -> str:
    """Percentage points with their sign; a dash where there are none."""
    return "–" if isnan(value) else f"{100 * value:+.0f}"
