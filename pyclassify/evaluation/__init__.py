"""What a trained model's answers are worth, measured on examples that no choice was made on."""

from __future__ import annotations

from pyclassify.evaluation.calibration import Calibration, ReliabilityBin, calibrated, calibration, fit_temperature
from pyclassify.evaluation.comparison import Comparison, compare, p_shown
from pyclassify.evaluation.scores import LabelScore, Mistake, Scores, accuracy_with_interval, mistakes, score
from pyclassify.evaluation.sets import COVERAGES, SetScore, fit_sets, members, score_sets
from pyclassify.evaluation.trust import Trust

__all__ = [
    "COVERAGES",
    "Calibration",
    "Comparison",
    "LabelScore",
    "Mistake",
    "ReliabilityBin",
    "Scores",
    "SetScore",
    "Trust",
    "accuracy_with_interval",
    "calibrated",
    "calibration",
    "compare",
    "fit_sets",
    "fit_temperature",
    "members",
    "mistakes",
    "p_shown",
    "score",
    "score_sets",
]
