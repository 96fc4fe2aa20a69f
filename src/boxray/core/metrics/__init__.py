"""Metrics that know unknown from absent: what nobody annotated is not scored.

All take plain arrays and are written so that a bootstrap by patient is a change of weights, not of data: what does
not depend on the weights (matches, order) is made once. A *measure* takes weights of shape ``(I,)``, how often each
image counts, and gives its figures as one array.

Which images take part is the caller's choice: one in which the finding is unknown, or there without a box, is simply
not handed over, as in LVIS (Gupta et al., CVPR 2019, section 3): an image takes part for the findings that somebody
verified in it, present or absent.
"""

from boxray.core.metrics.auroc import auroc
from boxray.core.metrics.confusion import (
    CONFUSION_FIGURES,
    binary_confusion_measure,
    class_confusion_measure,
    confusion_figures,
    macro_and_weighted,
    one_against_rest,
)
from boxray.core.metrics.correlation import spearman_measure
from boxray.core.metrics.curve import Curve, thinned
from boxray.core.metrics.froc import LUNA16_RATES, froc_curve, froc_measure
from boxray.core.metrics.image_scores import (
    auroc_measure,
    image_precision_curve,
    image_precision_measure,
    precision_at_measure,
    roc_curve,
    sensitivity_measure,
)
from boxray.core.metrics.interval import Interval, Measure, bootstrap, bootstrap_all, paired_difference
from boxray.core.metrics.matches import Matches, OneImage, Ranked, match_image, rank
from boxray.core.metrics.operating import (
    best_f1_threshold,
    expected_f1_threshold,
    localization_measure,
    operating_measure,
)
from boxray.core.metrics.precision import average_precision, precision_curve, precision_measure
from boxray.core.metrics.reliability import (
    brier_measure,
    calibration_measure,
    excess_measure,
    image_score_bins,
    reliability_measure,
    score_bins,
)

__all__ = [
    "CONFUSION_FIGURES",
    "LUNA16_RATES",
    "Curve",
    "Interval",
    "Matches",
    "Measure",
    "OneImage",
    "Ranked",
    "auroc",
    "auroc_measure",
    "average_precision",
    "best_f1_threshold",
    "binary_confusion_measure",
    "bootstrap",
    "bootstrap_all",
    "brier_measure",
    "calibration_measure",
    "class_confusion_measure",
    "confusion_figures",
    "excess_measure",
    "expected_f1_threshold",
    "froc_curve",
    "froc_measure",
    "image_precision_curve",
    "image_precision_measure",
    "image_score_bins",
    "localization_measure",
    "macro_and_weighted",
    "match_image",
    "one_against_rest",
    "operating_measure",
    "paired_difference",
    "precision_at_measure",
    "precision_curve",
    "precision_measure",
    "rank",
    "reliability_measure",
    "roc_curve",
    "score_bins",
    "sensitivity_measure",
    "spearman_measure",
    "thinned",
]
