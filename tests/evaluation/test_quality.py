"""A metric's value, its interval and its drop, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from compressor import statistics
from compressor.evaluation.evaluation import Predictions
from compressor.evaluation.quality import Finding, drop, measured, quality, tables
from compressor.problem.batch import Arrays, only
from compressor.problem.metric import Metric, mean
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY

SCORE = mean("score", lambda outputs, targets: only(outputs), range=(0, 2))
ERROR = mean("error", lambda outputs, targets: np.abs(only(outputs) - only(targets)), better="lower", range=(0, 9))


def got(scores: Sequence[float], unseen: Sequence[bool] | None = None) -> Predictions:
    """What each sample got, as stored; of metrics that are not, the outputs, whose targets are zero."""
    values = np.array(scores, float)
    kept = np.ones(len(values), bool) if unseen is None else np.array(unseen)
    return Predictions({"score_accuracy": values, "test_outputs": values, "test_targets": 0 * values, "unseen": kept})


def test_right_and_wrong_answers_are_a_share() -> None:
    found = quality(ACCURACY, got([1, 0, 1, 1]))
    wanted = statistics.wilson(3, 4)
    assert (found.value, found.low, found.high, found.n, found.unit) == (0.75, wanted.low, wanted.high, 4, "samples")
    assert found.how == "Wilson's interval, 3 of 4 test samples right"
    assert found.interval_at is not None
    assert found.interval_at(400) == statistics.wilson(300, 400)


def test_other_scores_are_bootstrapped() -> None:
    scores = [0.0, 0.5, 1.0, 2.0]
    found, wanted = quality(SCORE, got(scores)), statistics.bootstrap_mean(np.array(scores))
    assert (found.value, found.low, found.high) == (0.875, wanted.low, wanted.high)
    assert found.how == "bootstrap of the mean over 4 test samples"
    assert found.interval_at is not None
    quarter = found.interval_at(64)  # sixteen times the samples
    assert quarter.high is not None and wanted.high is not None
    assert quarter.high - 0.875 == pytest.approx((wanted.high - 0.875) / 4)


def test_a_drop_is_what_the_baseline_alone_answers_less_what_this_one_alone_does() -> None:
    """Of eight samples three are lost and one is won: a drop of 2/8; of four discordant ones p = 2 · 5/16."""
    found = drop(ACCURACY, got([1, 1, 1, 1, 1, 0, 0, 0]), got([1, 1, 0, 0, 0, 1, 0, 0]))
    wanted = statistics.tango(3, 1, 8)
    assert (found.value, found.low, found.high, found.n) == (0.25, wanted.low, wanted.high, 8)
    assert found.discordant == (3, 1)
    assert found.how.endswith("3 only the baseline answers rightly, 1 only this model; exact McNemar p = 0.62")
    assert found.interval_at is not None
    assert found.interval_at(80) == statistics.tango(30, 10, 80)


def test_a_drop_of_other_scores_is_the_mean_of_differences() -> None:
    found = drop(SCORE, got([2.0, 1.0, 0.5]), got([1.0, 1.0, 0.0]))
    assert (found.value, found.discordant) == (0.5, None)
    assert drop(SCORE, got([1.0, 0.0]), got([0.5, 0.5])).how.startswith("bootstrap")
    assert drop(SCORE, got([0.5, 0.5]), got([1.0, 0.0])).how.startswith("bootstrap")


def test_where_lower_is_better_a_drop_is_a_rise() -> None:
    assert drop(ERROR, got([2.0, 1.0, 0.5]), got([1.0, 1.0, 0.0])).value == -0.5
    found = drop(ERROR, got([0, 0, 0, 1]), got([1, 1, 0, 0]))
    assert (found.value, found.discordant) == (0.25, (2, 1))
    assert "2 only the baseline answers rightly, 1 only this model" in found.how


def middle(outputs: Arrays, targets: Arrays, weights: np.ndarray | None) -> float:
    """The weighted mean of the outputs squared: no mean over samples."""
    return float(np.average(only(outputs), weights=weights) ** 2)


SQUARED = Metric("squared", "higher", "", (0, 4), middle)


def test_a_metric_that_is_no_mean_is_bootstrapped_by_weights() -> None:
    of = got([0.0, 2.0] * 200)
    found, straight = quality(SQUARED, of), quality(replace(SCORE, name="other"), of)
    assert (found.value, found.n, found.how) == (1.0, 400, "bootstrap over 400 test samples")
    assert found.low is not None and found.high is not None and straight.low is not None and straight.high is not None
    assert found.low == pytest.approx(straight.low**2, abs=0.03)
    assert found.high == pytest.approx(straight.high**2, abs=0.03)
    assert quality(SQUARED, got([0.0, 2.0, 2.0], [False, True, True]), unseen=True).value == 4.0


def test_a_drop_of_such_a_metric_is_paired() -> None:
    """The same samples are drawn for both, so that a constant distance has no spread: (2x)² - x² = 3x²."""
    found = drop(SQUARED, got([2.0] * 9), got([1.0] * 9))
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)


def test_findings_without_a_value_are_not_measured() -> None:
    found = measured({"a": Finding(0.5, 0.25, 0.75, n=9), "b": Finding(None)})
    assert found["a"].model_dump() == {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    assert list(found) == ["a"]
    assert measured({"b": quality(ACCURACY, got([]))}) == {}


@pytest.mark.parametrize("unseen", [[True] * 4, [False] * 4])
def test_all_samples_are_one_table(unseen: list[bool]) -> None:
    wanted = statistics.wilson(3, 4)
    row = {"value": 0.75, "low": wanted.low, "high": wanted.high, "n": 4}
    assert tables({"accuracy": ACCURACY}, got([1, 0, 1, 1], unseen)) == {
        "quality": {"accuracy": row},
        "quality_unseen": None,
    }


def test_samples_without_choices_have_a_table_of_their_own() -> None:
    of = got([1, 0, 1, 1], [True, True, False, False])
    found = tables({"accuracy": ACCURACY}, of)
    assert (found["quality"]["accuracy"]["value"], found["quality"]["accuracy"]["n"]) == (0.75, 4)
    assert (found["quality_unseen"]["accuracy"]["value"], found["quality_unseen"]["accuracy"]["n"]) == (0.5, 2)
    assert quality(ACCURACY, of, unseen=True).how == "Wilson's interval, 1 of 2 unseen test samples right"
