"""Metrics that know unknown from absent: what nobody annotated is not scored.

All take plain arrays and are written so that a bootstrap by patient is a change of weights, not of data: what does
not depend on the weights (matches, order) is made once. A *measure* takes weights of shape ``(I,)``, how often each
image counts, and gives its figures as one array.

Which images take part is the caller's choice: one in which the finding is unknown, or there without a box, is simply
not handed over, as in LVIS (Gupta et al., CVPR 2019, section 3): an image takes part for the findings that somebody
verified in it, present or absent.
"""

from boxray.core.metrics.auroc import auroc
from boxray.core.metrics.correlation import spearman_measure
from boxray.core.metrics.curve import Curve
from boxray.core.metrics.froc import LUNA16_RATES, froc_curve, froc_measure
from boxray.core.metrics.interval import Interval, Measure, bootstrap, bootstrap_all, paired_difference
from boxray.core.metrics.matches import Matches, OneImage, Ranked, match_image, rank
from boxray.core.metrics.operating import best_f1_threshold, localization_measure, operating_measure
from boxray.core.metrics.precision import average_precision, precision_curve, precision_measure
from boxray.core.metrics.reliability import reliability_measure, score_bins

__all__ = [
    "LUNA16_RATES",
    "Curve",
    "Interval",
    "Matches",
    "Measure",
    "OneImage",
    "Ranked",
    "auroc",
    "average_precision",
    "best_f1_threshold",
    "bootstrap",
    "bootstrap_all",
    "froc_curve",
    "froc_measure",
    "localization_measure",
    "match_image",
    "operating_measure",
    "paired_difference",
    "precision_curve",
    "precision_measure",
    "rank",
    "reliability_measure",
    "score_bins",
    "spearman_measure",
]
