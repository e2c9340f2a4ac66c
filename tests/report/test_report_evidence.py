"""Findings from scores and rounds, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from compressor import statistics
from compressor.report.judgement import breakdown
from compressor.report.judgement.evidence import (
    Evaluation,
    Latencies,
    drop_finding,
    finite,
    is_share,
    measured,
    paired,
    quality_finding,
)
from compressor.report.judgement.finding import Finding


def test_right_and_wrong_answers_are_a_share() -> None:
    found = quality_finding(np.array([1.0, 0.0, 1.0, 1.0]), "test samples")
    wanted = statistics.wilson(3, 4)
    assert (found.value, found.low, found.high, found.n, found.unit) == (0.75, wanted.low, wanted.high, 4, "samples")
    assert found.how == "Wilson's interval, 3 of 4 test samples right"
    assert found.interval_at is not None
    assert found.interval_at(400) == statistics.wilson(300, 400)


def test_other_scores_are_bootstrapped() -> None:
    scores = np.array([0.0, 0.5, 1.0, 2.0])
    assert not is_share(scores)
    found, wanted = quality_finding(scores, "samples"), statistics.bootstrap_mean(scores)
    assert (found.value, found.low, found.high) == (0.875, wanted.low, wanted.high)
    assert found.interval_at is not None
    quarter = found.interval_at(64)  # sixteen times the samples
    assert quarter.high is not None and wanted.high is not None
    assert quarter.high - 0.875 == pytest.approx((wanted.high - 0.875) / 4)


def test_a_drop_is_what_the_baseline_alone_answers_less_what_this_one_alone_does() -> None:
    """Of eight samples three are lost and one is won: a drop of 2/8; of four discordant ones p = 2 · 5/16."""
    before = np.array([1, 1, 1, 1, 1, 0, 0, 0], float)
    after = np.array([1, 1, 0, 0, 0, 1, 0, 0], float)
    finding, drop = drop_finding(before, after, "test samples")
    wanted = statistics.tango(3, 1, 8)
    assert (drop.drop, drop.only_baseline_right, drop.only_this_right) == (0.25, 3, 1)
    assert (finding.value, finding.low, finding.high, finding.n) == (0.25, wanted.low, wanted.high, 8)
    assert finding.how.endswith("3 only the baseline answers rightly, 1 only this model; exact McNemar p = 0.62")
    assert finding.interval_at is not None
    assert finding.interval_at(80) == statistics.tango(30, 10, 80)


def test_a_drop_of_other_scores_is_the_mean_of_differences() -> None:
    finding, drop = drop_finding(np.array([2.0, 1.0, 0.5]), np.array([1.0, 1.0, 0.0]), "samples")
    assert (finding.value, drop.drop, drop.only_baseline_right) == (0.5, 0.5, None)
    mixed, _ = drop_finding(np.array([1.0, 0.0]), np.array([0.5, 0.5]), "samples")
    assert mixed.how.startswith("bootstrap")
    swapped, _ = drop_finding(np.array([0.5, 0.5]), np.array([1.0, 0.0]), "samples")
    assert swapped.how.startswith("bootstrap")


def test_models_are_paired_by_their_samples() -> None:
    scores = {"m": np.zeros(3)}
    one, other = (Evaluation(scores=scores, indices=np.array(places)) for places in ([0, 1, 2], [0, 2, 1]))
    assert paired(one, one) and not paired(one, other)
    assert paired(one, Evaluation(scores=scores)) and not paired(Evaluation(scores={"m": np.zeros(2)}), one)


def test_unseen_samples_are_those_no_choice_was_made_on() -> None:
    held = Evaluation({}, {"m": np.array([1.0, 2.0, 3.0])}, np.array([True, False, True]), np.array([4, 5, 6]))
    unseen = held.of_unseen()
    assert not held.all_unseen
    assert (unseen.scores["m"].tolist(), unseen.indices.tolist()) == ([1.0, 3.0], [4, 6])  # type: ignore[union-attr]
    for mask in (None, np.ones(3, bool), np.zeros(3, bool)):
        same = Evaluation({}, held.scores, mask, held.indices)
        assert same.of_unseen() is same
        assert same.all_unseen == (mask is None or bool(mask.all()))


def latencies(processes: list[int], before: list[float], after: list[float], **row: Any) -> Latencies:
    rows = {"b": [{"threads": 2, "batch": 4, "p50_ms": 1.0, **row}]}
    return Latencies(rows=rows, rounds={"a": {"2x4": before}, "b": {"2x4": after}}, process=tuple(processes))


def test_a_speedup_is_the_median_of_the_processes_ratios() -> None:
    """Six processes, ratios 1 to 6: 3.5 from 1 to 6."""
    found = latencies([0, 1, 2, 3, 4, 5], [2.0, 4, 6, 8, 10, 12], [2.0] * 6).speedup("a", "b")
    assert found is not None
    assert (found.value, found.low, found.high, found.n, found.unit) == (3.5, 1.0, 6.0, 6, "processes")
    assert found.how == (
        "median of the ratios of 6 processes, each the median over its rounds, 2 threads, batch 4; order-statistic interval"
    )
    assert found.interval_at is not None
    assert found.interval_at(24) == statistics.Interval(3.5, 2.25, 4.75)
    one = latencies([0, 0], [6.0, 2.0], [2.0, 2.0], threads=2).speedup("a", "b")
    assert one is not None
    assert (one.value, one.low, one.n, one.interval_at) == (2.0, None, 1, None)
    assert "ratios of 1 process, each" in one.how


def test_rounds_that_do_not_belong_together_give_no_speedup() -> None:
    assert latencies([0, 1], [1.0, 2.0], [1.0]).speedup("a", "b") is None
    assert latencies([0], [1.0, 2.0], [1.0, 2.0]).speedup("a", "b") is None
    assert latencies([], [], []).speedup("a", "b") is None
    known = latencies([0], [1.0], [1.0])
    assert [known.speedup(*pair) for pair in ((None, "b"), ("a", None), ("x", "b"), ("b", "a"))] == [None] * 4


def test_what_is_not_a_number_is_null() -> None:
    given = {"a": [math.nan, 1.5, math.inf], "b": (True, None, "x", {"c": -math.inf})}
    assert finite(given) == {"a": [None, 1.5, None], "b": [True, None, "x", {"c": None}]}


def test_findings_without_a_value_are_not_measured() -> None:
    found = measured({"a": Finding(0.5, 0.25, 0.75, n=9), "b": Finding(None)})
    assert found is not None
    assert found["a"].model_dump() == {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    assert list(found) == ["a"]
    assert measured({"b": Finding(None)}) is None


@pytest.mark.parametrize(("rounds", "bins"), [(1, 4), (9, 4), (10, 5), (30, 15), (48, 24), (49, 24), (500, 24)])
def test_a_histogram_has_half_as_many_bins_as_rounds_within_limits(rounds: int, bins: int) -> None:
    found = breakdown._histogram([float(place) for place in range(rounds)])
    assert (len(found.counts), len(found.edges), sum(found.counts)) == (bins, bins + 1, rounds)
    assert found.unit == "ms"
