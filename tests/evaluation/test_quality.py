"""A metric's value, its interval and its drop from what each sample got, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from compressor import statistics
from compressor.evaluation.quality import Finding, drop, measured, quality, tables


def test_right_and_wrong_answers_are_a_share() -> None:
    found = quality(np.array([1.0, 0.0, 1.0, 1.0]), "test samples")
    wanted = statistics.wilson(3, 4)
    assert (found.value, found.low, found.high, found.n, found.unit) == (0.75, wanted.low, wanted.high, 4, "samples")
    assert found.how == "Wilson's interval, 3 of 4 test samples right"
    assert found.interval_at is not None
    assert found.interval_at(400) == statistics.wilson(300, 400)


def test_other_scores_are_bootstrapped() -> None:
    scores = np.array([0.0, 0.5, 1.0, 2.0])
    found, wanted = quality(scores, "samples"), statistics.bootstrap_mean(scores)
    assert (found.value, found.low, found.high) == (0.875, wanted.low, wanted.high)
    assert found.interval_at is not None
    quarter = found.interval_at(64)  # sixteen times the samples
    assert quarter.high is not None and wanted.high is not None
    assert quarter.high - 0.875 == pytest.approx((wanted.high - 0.875) / 4)


def test_a_drop_is_what_the_baseline_alone_answers_less_what_this_one_alone_does() -> None:
    """Of eight samples three are lost and one is won: a drop of 2/8; of four discordant ones p = 2 · 5/16."""
    before = np.array([1, 1, 1, 1, 1, 0, 0, 0], float)
    after = np.array([1, 1, 0, 0, 0, 1, 0, 0], float)
    finding = drop(before, after)
    wanted = statistics.tango(3, 1, 8)
    assert finding.discordant == (3, 1)
    assert (finding.value, finding.low, finding.high, finding.n) == (0.25, wanted.low, wanted.high, 8)
    assert finding.how.endswith("3 only the baseline answers rightly, 1 only this model; exact McNemar p = 0.62")
    assert finding.interval_at is not None
    assert finding.interval_at(80) == statistics.tango(30, 10, 80)


def test_a_drop_of_other_scores_is_the_mean_of_differences() -> None:
    finding = drop(np.array([2.0, 1.0, 0.5]), np.array([1.0, 1.0, 0.0]))
    assert (finding.value, finding.discordant) == (0.5, None)
    assert drop(np.array([1.0, 0.0]), np.array([0.5, 0.5])).how.startswith("bootstrap")
    assert drop(np.array([0.5, 0.5]), np.array([1.0, 0.0])).how.startswith("bootstrap")


def test_findings_without_a_value_are_not_measured() -> None:
    found = measured({"a": Finding(0.5, 0.25, 0.75, n=9), "b": Finding(None)})
    assert found["a"].model_dump() == {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    assert list(found) == ["a"]
    assert measured({"b": quality(np.zeros(0))}) == {}


@pytest.mark.parametrize("unseen", [None, [True] * 4, [False] * 4])
def test_all_samples_are_one_table(unseen: list[bool] | None) -> None:
    scores = {"accuracy": np.array([1.0, 0.0, 1.0, 1.0])}
    found = tables(scores, None if unseen is None else np.array(unseen))
    wanted = statistics.wilson(3, 4)
    row = {"value": 0.75, "low": wanted.low, "high": wanted.high, "n": 4}
    assert found == {"quality": {"accuracy": row}, "quality_unseen": None}


def test_samples_without_choices_have_a_table_of_their_own() -> None:
    found = tables({"accuracy": np.array([1.0, 0.0, 1.0, 1.0])}, np.array([True, True, False, False]))
    assert (found["quality"]["accuracy"]["value"], found["quality"]["accuracy"]["n"]) == (0.75, 4)
    assert (found["quality_unseen"]["accuracy"]["value"], found["quality_unseen"]["accuracy"]["n"]) == (0.5, 2)
