"""How sure a measured value is: 95 % intervals, tests on the same samples, and how much more would decide.

Pure functions of counts and arrays. Shares and drops are in the metric's own unit, times in the unit given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from compressor.device.figures import DRIFT, median_bounds

if TYPE_CHECKING:
    import numpy as np

Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

_SEARCH_LIMIT = 10**9
_BOOTSTRAP_DRAWS = 2_000
_BOOTSTRAP_CELLS = 4_000_000
_VALUE_DRAWS = 500
"""Fewer where each draw costs as much as the value itself."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval; None where none exists."""

    value: float
    low: float | None
    high: float | None


def wilson(right: float, n: float) -> Interval:
    """Wilson's score interval of a share: `right` of `n` samples. 0 of 10 gives 0 to 0.278."""
    if not 0 <= right <= n or n <= 0:
        raise ValueError(f"{right} of {n} is no share")
    share = right / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if right == 0 else min(share, centre - half)
    high = 1.0 if right == n else max(share, centre + half)
    return Interval(share, low, high)


def tango(only_first: float, only_second: float, n: float) -> Interval:
    """Tango's score interval (1998) of first minus second, two shares of right answers on the same `n` samples.

    only_first, only_second: samples that one alone answers rightly. With both 0 the bounds are z²/(n + z²) away.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n or n <= 0:
        raise ValueError(f"{only_first} and {only_second} of {n} are no counts of discordant samples")
    difference = (only_first - only_second) / n
    low = _root(lambda delta: _tango_score(only_first, only_second, n, delta) - Z, -1.0, difference)
    high = _root(lambda delta: _tango_score(only_first, only_second, n, delta) + Z, difference, 1.0)
    return Interval(difference, low, high)


def _tango_score(b: float, c: float, n: float, delta: float) -> float:
    """The score statistic of `difference = delta`, falling in delta; the shares are the likeliest under delta."""
    linear = (2 * n - b + c) * delta - b - c
    constant = -c * delta * (1 - delta)
    nuisance = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * nuisance + delta * (1 - delta))
    distance = b - c - n * delta
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero between two bounds, by bisection to the last bit that matters."""
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p that both err equally often: of 10 discordant samples, 1 against 9 gives 22/1024."""
    n = only_first + only_second
    return min(1.0, 2 * _binomial_tail(min(only_first, only_second), n))


def _binomial_tail(k: int, n: int) -> float:
    """P(at most k heads in n throws of a fair coin)."""
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return math.fsum(math.exp(log) for log in logs)


def bootstrap_mean(scores: np.ndarray, *, seed: int = 0) -> Interval:
    """Percentile bootstrap of a mean. scores: float [samples]; for a drop, the paired differences."""
    import numpy as np

    n = len(scores)
    if n == 0:
        raise ValueError("no scores")
    value = float(np.mean(scores))
    if n < 2:
        return Interval(value, None, None)
    generator = np.random.default_rng(seed)
    draws = np.empty(_BOOTSTRAP_DRAWS)
    block = max(1, _BOOTSTRAP_CELLS // n)
    for start in range(0, _BOOTSTRAP_DRAWS, block):
        end = min(start + block, _BOOTSTRAP_DRAWS)
        draws[start:end] = scores[generator.integers(0, n, size=(end - start, n))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value, min(value, float(low)), max(value, float(high)))


def bootstrap(value: Callable[[np.ndarray | None], float], n: int, *, seed: int = 0) -> Interval:
    """Percentile bootstrap of any value of `n` samples, given how often each counts, float64 [n]; None for once."""
    import numpy as np

    found = value(None)
    if n < 2:
        return Interval(found, None, None)
    generator = np.random.default_rng(seed)
    drawn = (np.bincount(generator.integers(0, n, n), minlength=n).astype(np.float64) for _ in range(_VALUE_DRAWS))
    low, high = np.quantile([value(weights) for weights in drawn], [0.025, 0.975])
    return Interval(found, min(found, float(low)), max(found, float(high)))


def median_interval(values: Sequence[float]) -> Interval:
    """The median and the order statistics that enclose it in 95 % of samples; fewer than 6 values have none.

    Of 20 values it is the 6th to the 15th (95.9 %). No shape of distribution is assumed.
    """
    if not len(values):
        raise ValueError("no values")
    ordered = sorted(float(value) for value in values)
    return Interval(median(ordered), *median_bounds(ordered))


def time_interval(medians: Sequence[float]) -> Interval:
    """What a repeat of an experiment may say of a time: the median of the processes' medians, its order statistics, and
    `DRIFT` on either side.

    >>> found = time_interval([2.0, 1.0, 3.0, 4.0, 5.0, 6.0])
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (3.5, 0.995, 6.03)
    """
    found = median_interval(medians)
    if found.low is None or found.high is None:
        return found
    return Interval(found.value, found.low * (1 - DRIFT), found.high * (1 + DRIFT))


def process_ratios(numerator: Sequence[float], denominator: Sequence[float], processes: Sequence[int]) -> list[float]:
    """One ratio a process: the median of its rounds' ratios. The i-th of each is one round's median, and its process.

    >>> process_ratios([2.0, 4.0, 9.0, 6.0], [1.0, 1.0, 1.0, 2.0], [0, 0, 0, 1])
    [4.0, 3.0]
    """
    if not len(numerator) == len(denominator) == len(processes):
        raise ValueError(f"{len(numerator)} rounds, {len(denominator)} and {len(processes)} are not the same rounds")
    ratios: dict[int, list[float]] = {}
    for over, under, process in zip(numerator, denominator, processes, strict=True):
        ratios.setdefault(process, []).append(over / under)
    return [median(of_one) for of_one in ratios.values()]


def ratio_interval(numerator: Sequence[float], denominator: Sequence[float], processes: Sequence[int]) -> Interval:
    """The median of the processes' ratios with its order-statistic interval over the processes."""
    return median_interval(process_ratios(numerator, denominator, processes))


def samples_needed(interval_of: Callable[[float], Interval], n: int, limit: float) -> int | None:
    """Samples at which the interval would clear the limit if the observed shares stayed; None where none would.

    interval_of: the interval at a given number of samples, with the shares that were observed.
    """
    value = interval_of(n).value
    if math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12):
        return None

    def clears(samples: int) -> bool:
        interval = interval_of(samples)
        if interval.low is None or interval.high is None:
            return False
        return interval.low > limit if value > limit else interval.high < limit

    low, high = n, max(2 * n, 2)
    while not clears(high):
        low, high = high, high * 2
        if high > _SEARCH_LIMIT:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if clears(middle) else (middle, high)
    return high


def scaled(interval: Interval, n: int, least: float = 0.0) -> Callable[[float], Interval]:
    """The interval at another number of samples or processes, its half widths shrinking with the root of the number.

    least: share of the value below which no half width shrinks.
    """

    def at(samples: float) -> Interval:
        if interval.low is None or interval.high is None:
            return interval
        shrink = math.sqrt(n / samples)
        fixed = least * abs(interval.value)
        below = max(fixed, (interval.value - interval.low) * shrink)
        above = max(fixed, (interval.high - interval.value) * shrink)
        return Interval(interval.value, interval.value - below, interval.value + above)

    return at
