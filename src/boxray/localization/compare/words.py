"""The words of a comparison: what each measure means, and what has to be borne in mind. For page and Markdown alike."""

from __future__ import annotations

from typing import Final

from boxray.data.split import Split
from boxray.localization.compare.asking import UNSTATED_THRESHOLD
from boxray.localization.compare.comparison import Comparison, method_title
from boxray.localization.compare.second_reader import SECOND_READER

HEADLINES: Final = {
    "pointing_hit": "Points into a reader's box",
    "centre_hit": "Centre of the best box in a reader's box",
    "iou": "IoU of the best box",
    "localized_at_0.1": "Best box right at T(IoU) 0.1",
    "localized_at_0.3": "Best box right at T(IoU) 0.3",
    "localized_at_0.5": "Best box right at T(IoU) 0.5",
    "reported": "Images with a box at the operating point",
    "found_at_0.3": "Readers' boxes found at T(IoU) 0.3, all boxes",
    "false_per_image_at_0.3": "False boxes per image at T(IoU) 0.3, all boxes",
    "energy_inside": "Energy (area) inside",
    "readers_cover": "Image inside readers' boxes",
    "best_covers": "Image inside the best box",
}
"""Measure -> its name in tables; every other one is in summary.csv."""

CORRELATIONS: Final = {
    "iou_with_size": "IoU with size of readers' boxes",
    "iou_with_number": "IoU with their number",
    "pointing_with_size": "Pointing with size",
    "pointing_with_number": "Pointing with number",
}

_HOW_TO_READ: Final = (
    (
        "Images",
        (
            "For each finding only the images in which a reader boxed it. Where it is unknown, absent, or there "
            "without a box, nobody can say where it is, and the image takes no part."
        ),
    ),
    (
        "Pointing",
        (
            "(Zhang et al., 2018) The map points at its highest pixel, of a plateau at its middle; its cells are drawn "
            "where they look. The detector points at the centre of its best-scored box, at whatever score. It is a hit "
            "inside any of the readers' boxes, without tolerance. No box, or a map that is zero everywhere, is a miss. "
            "The alternative, the same rule for both, stands beside it: the centre of the one best box, of the "
            "detector or round the map's main region."
        ),
    ),
    (
        "Best box",
        (
            "Of the detector that of the highest score. Of a map the box round the region that holds its "
            "highest pixel, where a region is what reaches a share of the map's maximum; the share is chosen for each "
            "finding and method on the validation split (best mean IoU of 0.1 to 0.9). IoU is with the reader's "
            "box that it overlaps most."
        ),
    ),
    (
        "Localization, one box each",
        (
            "(Wang et al., 2017, T(IoU) 0.1 to 0.7) Share of images in which the one best box overlaps a "
            "reader's box by at least T. All methods give one box an image, so all others are false: with an "
            "accuracy of 0.6 there are 0.4 false boxes an image (fewer where none was given)."
        ),
    ),
    (
        "Localization, all boxes",
        (
            "What each would report: the detector's boxes at its operating point; of the map the boxes round "
            "all regions, if the classifier's score reaches its operating point. Share of readers' boxes that "
            "are hit one to one, with the false boxes per image: only together do the two mean something."
        ),
    ),
    (
        "Energy inside",
        (
            "Share of the map's sum in the readers' boxes; of the detector the share of its best box's area. A "
            "map that is even everywhere reaches what the readers' boxes cover of the image: the column beside "
            "it."
        ),
    ),
    (
        "Intervals",
        (
            "Brackets are 95 % intervals from resampled patients, the same resamples for all findings and "
            "methods. A difference is detector − method on the same images. The intervals say what another draw "
            "of such patients would give, not what another hospital or another training would."
        ),
    ),
)

_TAUGHT_BY_LABELS: Final = (
    "The detector was trained with readers' boxes, the classifier with labels of whole films alone: this is what "
    "a box teaches beyond a label, not which network is better. A map explains a score; it was never asked for an "
    "outline."
)
_TAUGHT_BY_BOXES: Final = (
    "Both were trained with readers' boxes: the detector to draw them, the maps to point into them. So this is what is "
    "left between a box and a map that knows the same; what a map is that learned from labels of whole films alone, "
    "as Grad-CAM is commonly made, another classifier has to say."
)

READER_NOTE: Final = (
    "Second reader against the first, with the same measures: a ceiling of a kind. Of boxes without scores the largest "
    "is the best one. Films with two readers are few, so they are taken from all splits: they are not the images above."
)


def how_to_read(comparison: Comparison) -> list[tuple[str, str]]:
    """Title and text of each thing that has to be known."""
    taught = _TAUGHT_BY_BOXES if comparison.taught_by_boxes else _TAUGHT_BY_LABELS
    return [*_HOW_TO_READ, ("What each was taught", taught)]


def title_of(method: str) -> str:
    """A method's name in tables."""
    return "Second reader" if method == SECOND_READER else method_title(method)


def cautions(comparison: Comparison) -> list[str]:
    """What has to be borne in mind of these very figures."""
    said = []
    if comparison.split is Split.VAL:
        said.append("The maps' thresholds were chosen on these very images: the maps look better than they are.")
    if comparison.split is Split.TRAIN:
        said.append("These are images that the models were trained on: this says nothing of others.")
    by_source = {finding: counts for finding, counts in comparison.sources.items() if len(counts) == 1}
    if by_source:
        names = ", ".join(
            f"{comparison.label_space[key].display} ({next(iter(counts))})" for key, counts in by_source.items()
        )
        said.append(f"From one source only: {names}. What is measured there is that source's films and readers.")
    for name, findings in comparison.without_operating_point.items():
        keys = ", ".join(comparison.label_space[key].display for key in findings)
        said.append(
            f"{name} stores no operating point for {keys}: what is said of all that it reports counts every box of a "
            f"detector, every map from a score of {UNSTATED_THRESHOLD:g} on."
        )
    few = [key for key in comparison.findings if key not in comparison.averaged]
    if few:
        said.append(
            f"Too few images for a part in the mean: {', '.join(comparison.label_space[key].display for key in few)}."
        )
    if comparison.left_out:
        why = "; ".join(
            f"{comparison.label_space[key].display}: {reason}" for key, reason in comparison.left_out.items()
        )
        said.append(f"Not compared: {why}.")
    return said
