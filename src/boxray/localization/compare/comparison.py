"""A detector and an explainer on the images that readers boxed: the tables, and the sentence that they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from boxray.core.assessed import MEAN
from boxray.core.errors import ModelError
from boxray.core.findings import LabelSpace
from boxray.core.metrics import Interval
from boxray.core.protocols import Detector, Explainer
from boxray.core.reading import ModelIdentity
from boxray.data.manifest import Manifest
from boxray.data.split import Split
from boxray.localization.compare.asking import DETECTOR, ChosenShare, boxed_images, choose_shares, rows_of
from boxray.localization.compare.second_reader import SECOND_READER, second_reader_rows
from boxray.localization.compare.summary import (
    FEWEST_IMAGES,
    LOCALIZATION,
    POINTING,
    Figures,
    disagreements,
    figures_of,
    summarize,
)

Progress = Callable[[str, int], Callable[[], None]]
"""What is done now and how often it will say that one more is done -> what it calls."""


_NONE: Final = (Interval.nothing(), Interval.nothing())


@dataclass(frozen=True)
class Comparison:
    """What came out, as tables and with all that is needed to read them."""

    rows: pd.DataFrame
    """A row for each image × finding × method with the raw measures of `measures.measured`; the second reader's rows
    are of other images (all splits) and come last."""
    summary: pd.DataFrame
    """Figures with intervals; see `summary.summarize`. The second reader's rows come last."""
    disagreements: pd.DataFrame
    """Who was right where detector and map disagree; see `summary.disagreements`."""
    shares: tuple[ChosenShare, ...]
    """The thresholds of the maps."""
    label_space: LabelSpace
    findings: tuple[str, ...]
    """Those compared: boxed in the split and assessed by both."""
    averaged: tuple[str, ...]
    """Those of them that the mean is over."""
    left_out: Mapping[str, str]
    """Finding -> why it is not compared."""
    methods: tuple[str, ...]
    """The explainer's; the first is the one of the verdict."""
    taught_by_boxes: bool
    """Whether the maps, too, learned from readers' boxes."""
    detector: ModelIdentity
    explainer: ModelIdentity
    split: Split
    fingerprint: str
    """Of the whole built set."""
    rounds: int

    def figure(self, finding: str, method: str, measure: str) -> Interval:
        """A figure of the summary; NaN throughout where there is none."""
        return self._figures.get((finding, method, measure), _NONE)[0]

    def difference(self, finding: str, method: str, measure: str) -> Interval:
        """Detector − method; NaN throughout where there is none."""
        return self._figures.get((finding, method, measure), _NONE)[1]

    @cached_property
    def _figures(self) -> Figures:
        return figures_of(self.summary)

    @property
    def maps(self) -> str:
        """The method of the verdict, for people."""
        title = method_title(self.methods[0])
        return f"{title} taught by boxes" if self.taught_by_boxes else title

    @property
    def n_images(self) -> int:
        """Compared in at least one finding."""
        return int(self._compared["image_id"].nunique())

    @property
    def n_patients(self) -> int:
        """Of these images."""
        return int(self._compared["patient"].nunique())

    @property
    def sources(self) -> dict[str, dict[str, int]]:
        """Finding -> source -> images."""
        one_each = self._compared.drop_duplicates(["image_id", "finding"])
        counts = one_each.groupby(["finding", "source"]).size()
        return {finding: {str(name): int(n) for name, n in counts[finding].items()} for finding in self.findings}

    @property
    def without_operating_point(self) -> dict[str, tuple[str, ...]]:
        """Name of a model -> compared findings for which it stores no operating point; none lacking, no entry."""
        lacking = {
            model.name: tuple(finding for finding in self.findings if finding not in model.thresholds)
            for model in (self.detector, self.explainer)
        }
        return {name: findings for name, findings in lacking.items() if findings}

    @property
    def verdict(self) -> tuple[str, ...]:
        """Whether the detector beats the first method, in pointing and in localization at T(IoU) = 0.3: plain words.

        A last sentence says what is left of that where each only says what reaches its operating point.
        """
        return (*(_said(self, measure) for measure in _SAID), *_said_of_reports(self))

    @property
    def _compared(self) -> pd.DataFrame:
        return self.rows[self.rows["method"] != SECOND_READER]


def compare(
    detector: Detector,
    explainer: Explainer,
    manifest: Manifest,
    *,
    split: Split = Split.TEST,
    methods: Sequence[str] = (),
    lanes: int = 1,
    rounds: int = 1000,
    progress: Progress = lambda _what, _total: lambda: None,
) -> Comparison:
    """Hold boxes against maps against readers, on the images of a split that readers boxed.

    Args:
        detector: Gives boxes.
        explainer: Gives maps.
        manifest: The whole built set: thresholds of maps are chosen on its validation part.
        split: What is compared.
        methods: Of the explainer; the first is the one of the verdict. None means all that it knows.
        lanes: Radiographs in work at once; see `rows_of`.
        rounds: Of the bootstrap.
        progress: Told what is done.

    Raises:
        ModelError: If a label space is not the manifest's, a method is not known, or no finding that both models
            assess has a box in the split.
    """
    for model in (detector, explainer):
        model.label_space.require_same(manifest.label_space)
    asked = _known_methods(explainer, methods)
    part, validation = manifest.part(split), manifest.part(Split.VAL)
    findings, left_out = _findings(detector, explainer, part)
    said = progress("choosing thresholds of maps", len(boxed_images(validation, findings)))
    shares = choose_shares(explainer, validation, findings, asked, lanes=lanes, progress=said)
    share_of = {(each.finding, each.method): each.share for each in shares}
    said = progress("asking both models", len(boxed_images(part, findings)))
    rows = pd.DataFrame(list(rows_of(detector, explainer, part, share_of, lanes=lanes, progress=said)))
    progress("measuring", 1)
    summary = summarize(rows, findings, (DETECTOR, *asked), rounds=rounds)
    second = pd.DataFrame(second_reader_rows(manifest, findings), columns=rows.columns)
    boxed = [finding for finding in findings if (second["finding"] == finding).any()]
    ceilings = summarize(second, boxed, (SECOND_READER,), rounds=rounds)
    counts = rows.drop_duplicates(["image_id", "finding"])["finding"].value_counts()
    return Comparison(
        rows=_stacked(rows, second),
        summary=_stacked(summary, ceilings[ceilings["finding"] != MEAN]),
        disagreements=disagreements(rows, findings, asked),
        shares=tuple(shares),
        label_space=manifest.label_space,
        findings=findings,
        averaged=tuple(finding for finding in findings if counts[finding] >= FEWEST_IMAGES),
        left_out=left_out,
        methods=asked,
        taught_by_boxes=explainer.taught_by_boxes,
        detector=detector.identity,
        explainer=explainer.identity,
        split=split,
        fingerprint=manifest.fingerprint,
        rounds=rounds,
    )


def _known_methods(explainer: Explainer, methods: Sequence[str]) -> tuple[str, ...]:
    unknown = [method for method in methods if method not in explainer.methods]
    if unknown:
        raise ModelError(
            f"the classifier does not explain by {', '.join(unknown)}; it knows {', '.join(explainer.methods)}"
        )
    return tuple(dict.fromkeys(methods)) or tuple(explainer.methods)


def _findings(detector: Detector, explainer: Explainer, part: Manifest) -> tuple[tuple[str, ...], dict[str, str]]:
    """Those that can be compared, and why the others cannot."""
    left_out = {}
    for finding in part.label_space.keys:
        silent = [
            who for who, model in (("detector", detector), ("classifier", explainer)) if finding not in model.assessed
        ]
        if not boxed_images(part, [finding]):
            left_out[finding] = "no reader boxed it in this split"
        elif silent:
            left_out[finding] = f"not assessed by the {' and the '.join(silent)}"
    findings = tuple(finding for finding in part.label_space.keys if finding not in left_out)
    if not findings:
        why = "; ".join(f"{finding}: {reason}" for finding, reason in left_out.items())
        raise ModelError(f"there is nothing to compare: {why}")
    return findings, left_out


def _stacked(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([first, second], ignore_index=True) if len(second) else first


_SAID: Final = {
    POINTING: ("pointing", "points into a reader's box"),
    LOCALIZATION: ("localization at T(IoU) = 0.3", "puts its one best box on a reader's box (IoU of at least 0.3)"),
}
"""Measure -> what it is called, what one who is right does."""


def _said(comparison: Comparison, measure: str) -> str:
    method, title = comparison.methods[0], comparison.maps
    name, does = _SAID[measure]
    if not comparison.averaged:
        return f"In {name} nothing can be said: no finding has {FEWEST_IMAGES} boxed images in this split."
    ours, theirs = (comparison.figure(MEAN, who, measure) for who in (DETECTOR, method))
    more = comparison.difference(MEAN, method, measure)
    beats = more.low > 0
    verb = "beats" if beats else "does not beat"
    why = "" if beats else f" {_why_not(more, title)}"
    return (
        f"In {name} the detector {verb} {title}: on the mean over {len(comparison.averaged)} findings it {does} in "
        f"{ours.value:.0%} of images, the map in {theirs.value:.0%}; "
        f"difference {100 * more.value:+.0f} percentage points{_percent_interval(more)}."
        f"{why}{_by_finding(comparison, measure)}"
    )


def _said_of_reports(comparison: Comparison) -> tuple[str, ...]:
    """The other side of asking for the one best box at any score."""
    if not comparison.averaged or comparison.without_operating_point:
        return ()
    sides = []
    for who, name in ((DETECTOR, "the detector"), (comparison.methods[0], comparison.maps)):
        reported, found, false = (
            comparison.figure(MEAN, who, measure).value
            for measure in ("reported", "found_at_0.3", "false_per_image_at_0.3")
        )
        sides.append(
            f"{name} gives a box in {reported:.0%} of these images and finds {found:.0%} of the readers' boxes "
            f"(T(IoU) = 0.3) with {false:.2f} false boxes an image"
        )
    return (f"With all that reaches the stored operating points and nothing else, {sides[0]}; {sides[1]}.",)


def _percent_interval(more: Interval) -> str:
    return "" if np.isnan(more.low) else f" (95 % interval {100 * more.low:+.0f} to {100 * more.high:+.0f})"


def _why_not(more: Interval, title: str) -> str:
    if more.high < 0:
        return f"{title} is the better one here."
    if np.isnan(more.low):
        return "There is no interval."
    return "The interval holds zero: these images are too few, or the two too alike, to tell."


def _by_finding(comparison: Comparison, measure: str) -> str:
    """Findings in which the difference goes the other way or its interval holds zero, by name."""
    differences = {
        comparison.label_space[finding].display: comparison.difference(finding, comparison.methods[0], measure)
        for finding in comparison.findings
    }
    worse = [name for name, more in differences.items() if more.high < 0]
    open_ = [name for name, more in differences.items() if not more.excludes_zero]
    said = f" The map is the better one in: {', '.join(worse)}." if worse else ""
    return said + (f" Taken alone, not decided in: {', '.join(open_)}." if open_ else "")


def method_title(method: str) -> str:
    """A method's name for people.

    >>> [method_title(name) for name in ("detector", "grad_cam", "grad_cam_plus_plus", "layer_cam", "occlusion")]
    ['Detector', 'Grad-CAM', 'Grad-CAM++', 'LayerCAM', 'Occlusion']
    """
    known = {
        "grad_cam": "Grad-CAM",
        "grad_cam_plus_plus": "Grad-CAM++",
        "layer_cam": "LayerCAM",
        "eigen_cam": "Eigen-CAM",
    }
    return known.get(method, method.replace("_", " ").capitalize())
