"""From runs to figures: percentiles that the runs carry, and intervals that hold without a model of the noise.

Where a process puts its memory moves all that it times, so that a process is one draw: it gives one median a model,
and an interval is over processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from statistics import median
from typing import Any

import numpy as np

# A percentile needs ten runs beyond it, else it is the story of one interruption.
SAMPLES_NEEDED = {90: 100, 95: 200, 99: 1000}

DRIFT = 0.005
"""Share of a time by which a machine's pace moves between experiments, as `compressor.report.statistics` has it."""

Rounds = Sequence[np.ndarray]
"""One process: milliseconds of each inference, an array a round."""


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """The order-statistic interval of the median: the k-th smallest and k-th largest value, with the largest k whose
    coverage (binomial, p = 1/2) is at least `confidence`. None where there are too few values for any.

    Of 6 values the 1st and 6th, of 10 the 2nd and 9th, of 20 the 6th and 15th.
    """
    n, ordered = len(values), sorted(values)
    tail, k = 0.0, 0
    while k < n and tail + comb(n, k) / 2**n <= (1 - confidence) / 2:
        tail += comb(n, k) / 2**n
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def time_interval(medians: Sequence[float]) -> tuple[float, float] | None:
    """What a repeat of the experiment may say of a time: the interval of the median, and `DRIFT` on either side.

    >>> low, high = time_interval([2.0, 1.0, 3.0, 4.0, 5.0, 6.0]) or (0, 0)
    >>> round(low, 3), round(high, 3)
    (0.995, 6.03)
    """
    interval = median_interval(medians)
    return (interval[0] * (1 - DRIFT), interval[1] * (1 + DRIFT)) if interval else None


def percentile(samples: np.ndarray, percent: int) -> float | None:
    """A percentile of the samples, None where they are too few to carry it."""
    if len(samples) < SAMPLES_NEEDED[percent]:
        return None
    return float(np.percentile(samples, percent))


def row(threads: int, batch: int, processes: Sequence[Rounds]) -> dict[str, Any]:
    """The figures of one model at one setting.

    p50_ms is the median of the processes' medians and [low_ms, high_ms] its `time_interval`; the other percentiles are
    those of all runs together.
    """
    medians = [process_median(rounds) for rounds in processes]
    samples = np.concatenate([samples for rounds in processes for samples in rounds])
    middle = median(medians)
    low, high = time_interval(medians) or (None, None)
    return {
        "threads": threads,
        "batch": batch,
        "p50_ms": middle,
        "low_ms": low,
        "high_ms": high,
        **{f"p{percent}_ms": percentile(samples, percent) for percent in SAMPLES_NEEDED},
        "samples": len(samples),
        "rounds": sum(len(rounds) for rounds in processes),
        "processes": len(processes),
        "throughput_per_s": batch / (middle / 1000),
    }


def process_median(rounds: Rounds) -> float:
    """What one process says of one model: the median of its rounds' medians, which one disturbed round cannot move."""
    return median(round_medians(rounds))


def middle(values: Sequence[float | None]) -> float | None:
    """The median of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def round_medians(rounds: Rounds) -> list[float]:
    """The median of each round, in order."""
    return [float(np.median(samples)) for samples in rounds]


Opened = Sequence[tuple[int, float | None]]
"""One session in several processes: its place in the order of opening, and what was measured of it."""


def as_first(sessions: Mapping[Any, Opened]) -> dict[Any, float | None]:
    """What each session takes in a process that opens it first, as a program with one model would; the median.

    The first session of a process also pays for pages and tables of the library. A session that never came first is
    given that share as the other sessions paid it: the median over them of first minus later. None where no process
    measured it, or none tells the share.

    >>> as_first({"a": [(0, 18.0), (1, 2.0)], "b": [(1, 3.0)]})
    {'a': 18.0, 'b': 19.0}
    """
    first = {name: middle([value for place, value in seen if place == 0]) for name, seen in sessions.items()}
    later = {name: middle([value for place, value in seen if place > 0]) for name, seen in sessions.items()}
    pairs = [(first[name], later[name]) for name in sessions]
    share = middle([one - other for one, other in pairs if one is not None and other is not None])
    return {
        name: at_first if at_first is not None or after is None or share is None else after + max(0.0, share)
        for name, (at_first, after) in zip(sessions, pairs, strict=True)
    }
