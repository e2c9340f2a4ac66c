"""Metrics by hand: values, weights, and which way is better."""

from __future__ import annotations

import numpy as np

from compressor.problem.batch import Arrays, only
from compressor.problem.metric import Metric, mean
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY

OUTPUTS = {"logits": np.array([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0], [2.0, 2.0, 1.0], [0.0, 0.0, 1.0]])}
TARGETS = {"class": np.array([1, 1, 0, 2])}
"""Answers 1, 0, 0 (the first of equals), 2: three of four are right."""


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert ACCURACY.each is not None
    assert ACCURACY.each(OUTPUTS, TARGETS).tolist() == [1.0, 0.0, 1.0, 1.0]
    assert ACCURACY.value(OUTPUTS, TARGETS, None) == 0.75
    assert (ACCURACY.better, ACCURACY.unit, ACCURACY.range) == ("higher", "share", (0.0, 1.0))


def test_a_weight_is_how_often_a_sample_counts() -> None:
    """The second twice and the last not at all: two of four."""
    weights = np.array([1.0, 2.0, 1.0, 0.0])
    assert ACCURACY.value(OUTPUTS, TARGETS, weights) == 0.5
    drawn = [0, 1, 1, 2]
    assert ACCURACY.value({"logits": OUTPUTS["logits"][drawn]}, {"class": TARGETS["class"][drawn]}, None) == 0.5


def error() -> Metric:
    def each(outputs: Arrays, targets: Arrays) -> np.ndarray:
        return np.asarray(np.abs(only(outputs) - only(targets)))

    return mean("error", each, better="lower", range=(0.0, float("inf")))


def test_where_lower_is_better_a_drop_is_a_rise() -> None:
    assert ACCURACY.improves(0.9, 0.8) and not ACCURACY.improves(0.8, 0.8)
    assert error().improves(0.8, 0.9) and not error().improves(0.9, 0.8)
    assert ACCURACY.drop(0.75, 0.5) == 0.25
    assert error().drop(0.75, 0.5) == -0.25
    assert error().value({"x": np.array([1.0, 4.0])}, {"y": np.array([2.0, 2.0])}, None) == 1.5
