"""Rounds of the latency experiment as the report takes them, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from compressor import statistics
from compressor.report.judgement import breakdown
from compressor.report.judgement.latencies import Latencies, finite


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


@pytest.mark.parametrize(("rounds", "bins"), [(1, 4), (9, 4), (10, 5), (30, 15), (48, 24), (49, 24), (500, 24)])
def test_a_histogram_has_half_as_many_bins_as_rounds_within_limits(rounds: int, bins: int) -> None:
    found = breakdown._histogram([float(place) for place in range(rounds)])
    assert (len(found.counts), len(found.edges), sum(found.counts)) == (bins, bins + 1, rounds)
    assert found.unit == "ms"
