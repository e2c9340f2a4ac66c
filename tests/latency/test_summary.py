"""Latency figures, against cases computed by hand."""

import numpy as np
import pytest

from compressor.device import figures
from compressor.latency import summary


@pytest.mark.parametrize(("percent", "needed"), [(90, 100), (95, 200), (99, 1000)])
def test_a_percentile_is_given_only_where_the_samples_carry_it(percent: int, needed: int) -> None:
    assert figures.percentile(np.arange(needed - 1.0), percent) is None
    assert figures.percentile(np.arange(needed + 0.0), percent) == pytest.approx((needed - 1) * percent / 100)


def test_row_by_hand() -> None:
    first = [np.array([1.0, 2.0, 9.0]), np.array([3.0, 4.0, 5.0]), np.array([1.0, 3.0, 3.0])]
    assert figures.round_medians(first) == [2.0, 4.0, 3.0]
    assert figures.process_median(first) == 3.0
    row = figures.row(2, 4, [first, [np.array([6.0])], [np.array([1.0, 1.0])]])
    assert row["p50_ms"] == 3.0  # of 3, 6 and 1; the median of all runs is 2.5
    assert row["throughput_per_s"] == pytest.approx(4 / 0.003)
    assert (row["samples"], row["rounds"], row["processes"], row["threads"], row["batch"]) == (12, 5, 3, 2, 4)
    assert (row["low_ms"], row["high_ms"], row["p90_ms"], row["p95_ms"], row["p99_ms"]) == (None,) * 5


@pytest.mark.parametrize(("count", "low", "high"), [(6, 1.0, 6.0), (10, 2.0, 9.0), (20, 6.0, 15.0)])
def test_the_interval_of_a_row_is_over_its_processes(count: int, low: float, high: float) -> None:
    row = figures.row(1, 1, [[np.full(4, float(place))] * 3 for place in range(count, 0, -1)])
    assert (row["low_ms"], row["high_ms"]) == (pytest.approx(0.995 * low), pytest.approx(1.005 * high))
    assert row["p50_ms"] == (count + 1) / 2


def test_percentiles_are_those_of_all_runs_together() -> None:
    processes = [[np.arange(100.0) + 100 * place] for place in range(10)]
    row = figures.row(1, 1, processes)
    assert row["p99_ms"] == pytest.approx(989.01)
    assert figures.row(1, 1, processes[:9])["p99_ms"] is None


def test_what_a_session_takes_that_comes_first() -> None:
    seen = {
        "a": [(0, 18.0), (1, 2.0), (2, 4.0)],  # 18 first, 3 later: 15 more
        "b": [(0, 20.0), (0, 24.0), (1, 5.0)],  # 22 and 5: 17 more
        "c": [(1, 1.0), (2, 1.5)],
        "d": [(2, None)],
        "e": [(0, None), (1, 7.0)],
    }
    assert summary.as_first(seen) == {"a": 18.0, "b": 22.0, "c": 1.25 + 16.0, "d": None, "e": 7.0 + 16.0}
    assert summary.as_first({"a": [(0, 3.0)], "b": [(1, 2.0)]}) == {"a": 3.0, "b": None}


def test_a_session_that_comes_first_and_is_quicker_costs_the_others_nothing() -> None:
    assert summary.as_first({"a": [(0, 1.0), (1, 3.0)], "b": [(1, 2.0)]}) == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("n", "places"), [(1, None), (5, None), (6, (1, 6)), (20, (6, 15)), (21, (6, 16)), (100, (40, 61))]
)
def test_the_order_statistics_that_enclose_a_median(n: int, places: tuple[int, int] | None) -> None:
    """Of 6, the first and the last leave out 2 / 64; tables of the sign test give the others."""
    values = [float(value) for value in range(1, n + 1)]
    assert figures.median_bounds(values) == (places or (None, None))
