"""Latency figures, against cases computed by hand."""

import numpy as np
import pytest

from compressor.latency import summary


@pytest.mark.parametrize(
    ("count", "rank"),
    [(5, None), (6, 1), (20, 6), (30, 10), (100, 40)],  # P(Bin(n, 1/2) < rank) <= 0.025, from the binomial table
)
def test_interval_of_the_median_takes_the_ranks_of_the_binomial_table(count: int, rank: int | None) -> None:
    values = [float(value) for value in range(1, count + 1)]
    expected = None if rank is None else (float(rank), float(count - rank + 1))
    assert summary.median_interval(values[::-1]) == expected


def test_interval_covers_the_true_median_at_least_95_times_in_100() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        low, high = summary.median_interval(list(random.exponential(size=25))) or (0, 0)
        hits += low <= np.log(2) <= high
    assert 0.945 <= hits / 2000 <= 0.985


@pytest.mark.parametrize(("percent", "needed"), [(90, 100), (95, 200), (99, 1000)])
def test_a_percentile_is_given_only_where_the_samples_carry_it(percent: int, needed: int) -> None:
    assert summary.percentile(np.arange(needed - 1.0), percent) is None
    assert summary.percentile(np.arange(needed + 1.0), percent) == pytest.approx(needed * percent / 100)


def test_row_by_hand() -> None:
    rounds = [np.array([1.0, 2.0, 9.0]), np.array([3.0, 4.0, 5.0]), np.array([1.0, 3.0, 3.0])]
    assert summary.round_medians(rounds) == [2.0, 4.0, 3.0]
    row = summary.row(2, 4, rounds)
    assert row["p50_ms"] == 3.0
    assert row["throughput_per_s"] == pytest.approx(4 / 0.003)
    assert (row["samples"], row["rounds"], row["threads"], row["batch"]) == (9, 3, 2, 4)
    assert (row["low_ms"], row["high_ms"], row["p90_ms"], row["p95_ms"], row["p99_ms"]) == (None,) * 5
