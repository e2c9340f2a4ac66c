"""Intervals and tests against cases worked by hand, published ones, and properties that must hold everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import statistics
from compressor.statistics import Z

Z2 = Z * Z


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (0, 10, 0.0, Z2 / (10 + Z2)),
        (10, 10, 10 / (10 + Z2), 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
    ids=["none", "all", "newcombe-1998-a", "newcombe-1998-b", "newcombe-1998-d"],
)
def test_wilson_gives_the_published_bounds(right: int, n: int, low: float, high: float) -> None:
    found = statistics.wilson(right, n)
    assert found.value == right / n
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_wilson_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match="no share"):
        statistics.wilson(11, 10)


def test_tango_gives_the_published_bounds() -> None:
    """Newcombe's airway data: 50 pairs, 12 against 2 discordant."""
    found = statistics.tango(12, 2, 50)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0611, 0.3447), abs=5e-5)


def test_tango_without_discordant_samples_is_as_wide_as_the_samples_allow() -> None:
    """By hand: the score is n·delta² / (delta(1 - delta)) = z², so delta = z² / (n + z²)."""
    found = statistics.tango(0, 0, 360)
    assert found.high == pytest.approx(Z2 / (360 + Z2))
    assert found.low == pytest.approx(-Z2 / (360 + Z2))


def test_tango_with_all_samples_discordant() -> None:
    """By hand: the likeliest shares are (1 ± delta)/2, so 5(1 - delta)/(1 + delta) = z²."""
    found = statistics.tango(5, 0, 5)
    assert found.low == pytest.approx((5 - Z2) / (5 + Z2))
    assert found.high == pytest.approx(1.0)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))))
def test_tango_encloses_the_difference_and_turns_with_it(counts: tuple[int, int, int]) -> None:
    b, c, n = counts[0], min(counts[1], counts[2] - counts[0]), counts[2]
    found, turned = statistics.tango(b, c, n), statistics.tango(c, b, n)
    assert found.low is not None
    assert found.high is not None
    assert turned.low is not None
    assert turned.high is not None
    assert -1 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert found.low == pytest.approx(-turned.high, abs=1e-7)


def test_tango_agrees_with_the_score_found_by_search() -> None:
    """An independent way: the likelihood under a fixed difference is searched on a grid, and the score compared."""
    b, c, n = 9, 4, 80
    found = statistics.tango(b, c, n)
    for delta in (found.low, found.high):
        assert delta is not None
        shares = np.linspace(max(0.0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9, 400_001)
        likelihood = b * np.log(shares + delta) + c * np.log(shares) + (n - b - c) * np.log1p(-2 * shares - delta)
        share = shares[np.nanargmax(likelihood)]
        score = (b - c - n * delta) / math.sqrt(n * (2 * share + delta * (1 - delta)))
        assert abs(score) == pytest.approx(Z, abs=1e-3)


@pytest.mark.parametrize(("b", "c", "p"), [(1, 9, 22 / 1024), (0, 0, 1.0), (5, 5, 1.0), (6, 0, 2 / 64)])
def test_mcnemar_by_hand(b: int, c: int, p: float) -> None:
    assert statistics.mcnemar(b, c) == pytest.approx(p)
    assert statistics.mcnemar(c, b) == pytest.approx(p)


def test_an_interval_of_a_time_does_not_shrink_below_the_machines_pace() -> None:
    """Of 100 with 3 below and 2 above, at four times the processes 1.5 and 1; at 10,000 times 1 % on either side."""
    at = statistics.scaled(statistics.Interval(100.0, 97.0, 102.0), 10, 0.01)
    assert at(40) == statistics.Interval(100.0, 98.5, 101.0)
    assert at(100_000) == statistics.Interval(100.0, 99.0, 101.0)
    assert statistics.samples_needed(at, 10, 100.5) is None, "no number of processes decides this"
    assert statistics.samples_needed(at, 10, 98.5) == 41


def bounds(values: Sequence[float]) -> tuple[float | None, float | None]:
    found = statistics.median_interval(values)
    return found.low, found.high


@pytest.mark.parametrize(
    ("count", "rank"),
    [
        (5, None),
        (6, 1),
        (8, 1),
        (9, 2),
        (10, 2),
        (20, 6),
        (30, 10),
        (100, 40),
    ],  # P(Bin(n, 1/2) < rank) <= 0.025, from the binomial table
)
def test_interval_of_the_median_takes_the_ranks_of_the_binomial_table(count: int, rank: int | None) -> None:
    values = [float(value) for value in range(1, count + 1)]
    expected = (None, None) if rank is None else (float(rank), float(count - rank + 1))
    assert bounds(values[::-1]) == expected


def test_interval_covers_the_true_median_at_least_95_times_in_100() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        low, high = bounds(list(random.exponential(size=25)))
        assert low is not None
        assert high is not None
        hits += low <= np.log(2) <= high
    assert 0.945 <= hits / 2000 <= 0.985


def test_median_interval_takes_the_order_statistics() -> None:
    """Of 20: P(at most 5 heads) = 0.0207, P(at most 6) = 0.0577, so the 6th and the 15th."""
    shuffled = [float(value) for value in np.random.default_rng(0).permutation(np.arange(1, 21))]
    found = statistics.median_interval(shuffled)
    assert (found.value, found.low, found.high) == (10.5, 6.0, 15.0)


def test_median_interval_of_few_values_does_not_exist() -> None:
    """2 · (1/2)^5 is more than 0.05, 2 · (1/2)^6 is less."""
    five, six = statistics.median_interval([1, 2, 3, 4, 5]), statistics.median_interval([1, 2, 3, 4, 5, 6])
    assert (five.value, five.low, five.high) == (3.0, None, None)
    assert (six.low, six.high) == (1.0, 6.0)


def test_ratio_interval_pairs_the_rounds() -> None:
    """A slow machine in half of the rounds slows both models: the ratio does not see it."""
    slow = [1.0, 2.0] * 10
    found = statistics.ratio_interval([4 * factor for factor in slow], slow, list(range(20)))
    assert (found.value, found.low, found.high) == (4.0, 4.0, 4.0)


def test_a_process_is_one_ratio_however_many_rounds_it_has() -> None:
    """Ten processes with the ratios 1 to 10, each in three rounds beside an outlier: the 2nd to the 9th."""
    ratios = [float(process) for process in range(1, 11)]
    over = [value for ratio in ratios for value in (ratio, 2 * ratio, 900.0)]
    under = [1.0, 2.0, 1.0] * 10
    processes = [process for process in range(10) for _ in range(3)]
    assert statistics.process_ratios(over, under, processes) == ratios
    found = statistics.ratio_interval(over, under, processes)
    assert (found.value, found.low, found.high) == (5.5, 2.0, 9.0)
    one = statistics.ratio_interval(over, under, [0] * 30)
    assert (one.low, one.high) == (None, None)


def test_ratio_interval_refuses_other_rounds() -> None:
    with pytest.raises(ValueError, match="same rounds"):
        statistics.ratio_interval([1.0, 2.0], [1.0], [0, 0])


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    scores = np.random.default_rng(1).normal(5, 2, 1_000)
    found, again = statistics.bootstrap_mean(scores), statistics.bootstrap_mean(scores)
    half = Z * scores.std() / math.sqrt(1_000)
    assert found == again
    assert found.low == pytest.approx(found.value - half, abs=0.15 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.15 * half)


def test_samples_needed_is_the_first_number_that_decides() -> None:
    def at(n: float) -> statistics.Interval:
        return statistics.wilson(0.96 * n, n)

    needed = statistics.samples_needed(at, 360, 0.95)
    assert needed is not None
    before, then = at(needed - 1).low, at(needed).low
    assert before is not None
    assert then is not None
    assert before <= 0.95 < then


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(2, 5_000))
def test_samples_needed_decides_or_says_that_none_do(share: float, limit: float, n: int) -> None:
    needed = statistics.samples_needed(lambda samples: statistics.wilson(share * samples, samples), n, limit)
    if needed is None:
        assert abs(share - limit) < 1e-3
    else:
        found = statistics.wilson(share * needed, needed)
        assert found.low is not None
        assert found.high is not None
        assert found.low > limit or found.high < limit


def test_no_number_of_samples_decides_a_value_that_is_the_limit() -> None:
    assert statistics.samples_needed(lambda n: statistics.wilson(0.95 * n, n), 360, 0.95) is None


def test_rounds_needed_follow_the_root() -> None:
    """An interval of ±0.2 from 30 rounds must shrink to less than ±0.1: four times the rounds, and one."""
    at = statistics.scaled(statistics.Interval(1.0, 0.8, 1.2), 30)
    assert statistics.samples_needed(at, 30, 1.1) in (120, 121)


def test_wilson_of_a_half_by_hand() -> None:
    """5 of 10: the centre is 1/2, half the width z/(1 + z²/10) · sqrt(1/40 + z²/400)."""
    found = statistics.wilson(5, 10)
    half = Z / (1 + Z2 / 10) * math.sqrt(0.025 + Z2 / 400)
    assert (found.value, found.low, found.high) == (0.5, pytest.approx(0.5 - half), pytest.approx(0.5 + half))


@pytest.mark.parametrize(("right", "n"), [(-1, 10), (0, 0), (11, 10)])
def test_no_share_at_the_limits(right: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        statistics.wilson(right, n)


@pytest.mark.parametrize(("b", "c", "n"), [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_no_discordant_counts_at_the_limits(b: int, c: int, n: int) -> None:
    with pytest.raises(ValueError, match="no counts"):
        statistics.tango(b, c, n)


@pytest.mark.parametrize(("b", "c", "low", "high"), [(5, 0, (5 - Z2) / (5 + Z2), 1), (0, 5, -1, (Z2 - 5) / (5 + Z2))])
def test_all_samples_may_be_discordant(b: int, c: int, low: float, high: float) -> None:
    found = statistics.tango(b, c, 5)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_bootstrap_of_one_score_and_of_none() -> None:
    assert statistics.bootstrap_mean(np.array([0.25])) == statistics.Interval(0.25, None, None)
    with pytest.raises(ValueError, match="no scores"):
        statistics.bootstrap_mean(np.array([]))


def test_bootstrap_of_two_scores_reaches_both() -> None:
    """A resample of 0 and 1 has the mean 0 or 1 in a quarter of the draws each, more than 2.5 %."""
    assert statistics.bootstrap_mean(np.array([0.0, 1.0])) == statistics.Interval(0.5, 0.0, 1.0)


def test_bootstrap_takes_the_outer_fortieths_of_two_thousand_means(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.arange(20.0) ** 2  # mean 2470 / 20
    means = scores[np.random.default_rng(3).integers(0, 20, size=(2_000, 20))].mean(axis=1)
    low, high = np.quantile(means, [1 / 40, 39 / 40])
    wanted = (123.5, pytest.approx(low), pytest.approx(high))
    found = statistics.bootstrap_mean(scores, seed=3)
    assert (found.value, found.low, found.high) == wanted
    for cells in (1, 7 * 20, 999 * 20):  # however many draws are made at once
        monkeypatch.setattr(statistics, "_BOOTSTRAP_CELLS", cells)
        found = statistics.bootstrap_mean(scores, seed=3)
        assert (found.value, found.low, found.high) == wanted


def test_two_scores_of_many_draws_stay_within_the_value() -> None:
    found = statistics.bootstrap_mean(np.full(50, 0.1))
    assert found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high


def test_needed_is_the_first_number_beyond_the_limit() -> None:
    """Half widths of 16/m: from above, 1/2 clears 1/4 when 16/m < 1/4, first at 65; from below, 3/4 likewise."""

    def at(samples: float) -> statistics.Interval:
        return statistics.Interval(0.5, 0.5 - 16 / samples, 0.5 + 16 / samples)

    assert statistics.samples_needed(at, 20, 0.25) == 65
    assert statistics.samples_needed(at, 20, 0.75) == 65
    assert statistics.samples_needed(at, 1, 0.75) == 65
    assert statistics.samples_needed(at, 64, 0.25) == 65


def test_nobody_needs_more_than_a_thousand_million_samples() -> None:
    def at(samples: float) -> statistics.Interval:
        return statistics.Interval(0.0, -(2.0**29) / samples, 2.0**29 / samples)

    assert statistics.samples_needed(at, 1, 2.0) == 2**28 + 1
    assert statistics.samples_needed(at, 1, 0.25) is None  # 2^31 of them, and one
    assert statistics.samples_needed(lambda n: statistics.Interval(1.0, None, None), 10, 0.5) is None


def test_a_value_within_a_thousand_millionth_of_the_limit_is_the_limit() -> None:
    def at(samples: float) -> statistics.Interval:
        return statistics.Interval(1.0, 1.0, 1.0)

    assert statistics.samples_needed(at, 10, 1 + 0.9e-9) is None
    assert statistics.samples_needed(at, 10, 1 + 1.1e-9) is not None
    zero = statistics.Interval(0.0, 0.0, 0.0)
    assert statistics.samples_needed(lambda _: zero, 10, 0.99e-12) is None
    assert statistics.samples_needed(lambda _: zero, 10, 1.005e-12) is not None


def test_half_widths_shrink_with_the_root() -> None:
    """Four times the number halves 4 below and 8 above; a fourth of it doubles them."""
    at = statistics.scaled(statistics.Interval(10.0, 6.0, 18.0), 9)
    assert at(9) == statistics.Interval(10.0, 6.0, 18.0)
    assert at(36) == statistics.Interval(10.0, 8.0, 14.0)
    assert at(2.25) == statistics.Interval(10.0, 2.0, 26.0)
    for none in (statistics.Interval(1.0, None, 2.0), statistics.Interval(1.0, 0.0, None)):
        assert statistics.scaled(none, 9)(36) == none


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        statistics.median_interval([])
    assert statistics.median_interval([7.0]) == statistics.Interval(7.0, None, None)
