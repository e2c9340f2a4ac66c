"""From runs to figures: percentiles that the runs carry, and intervals that hold without a model of the noise."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

DRIFT = 0.005
"""Share by which a machine's pace moves from one latency experiment to the next, which processes seconds apart do not
show. Without it the median of a repeat a minute later lay within the interval in 75 % of 354 experiments, with it in
95 %; 91 % are due (benchmarks/latency_truth). A ratio needs none: the pace moves both of its times.
"""
# A percentile needs ten runs beyond it, else it is the story of one interruption.
SAMPLES_NEEDED = {90: 100, 95: 200, 99: 1000}

Rounds = Sequence["np.ndarray"]
"""One process: milliseconds of each inference, an array a round."""


def row(threads: int, batch: int, processes: Sequence[Rounds]) -> dict[str, Any]:
    """The figures of one model at one setting.

    p50_ms is the median of the processes' medians, [low_ms, high_ms] its order statistics with `DRIFT` on either side;
    the other percentiles are those of all runs together.
    """
    import numpy as np

    medians = [process_median(rounds) for rounds in processes]
    samples = np.concatenate([samples for rounds in processes for samples in rounds])
    low, high = median_bounds(sorted(medians))
    return {
        "threads": threads,
        "batch": batch,
        "p50_ms": median(medians),
        "low_ms": None if low is None else low * (1 - DRIFT),
        "high_ms": None if high is None else high * (1 + DRIFT),
        **{f"p{percent}_ms": percentile(samples, percent) for percent in SAMPLES_NEEDED},
        "samples": len(samples),
        "rounds": sum(len(rounds) for rounds in processes),
        "processes": len(processes),
        "throughput_per_s": batch / (median(medians) / 1000),
    }


def percentile(samples: np.ndarray, percent: int) -> float | None:
    """A percentile of the samples, None where they are too few to carry it."""
    import numpy as np

    if len(samples) < SAMPLES_NEEDED[percent]:
        return None
    return float(np.percentile(samples, percent))


def process_median(rounds: Rounds) -> float:
    """What one process says of one model: the median of its rounds' medians, which one disturbed round cannot move."""
    return median(round_medians(rounds))


def round_medians(rounds: Rounds) -> list[float]:
    """The median of each round, in order."""
    import numpy as np

    return [float(np.median(samples)) for samples in rounds]


def median_bounds(ordered: Sequence[float]) -> tuple[float | None, float | None]:
    """The order statistics that enclose the median with 95 %: of 20 sorted values the 6th and the 15th."""
    n, place, tail = len(ordered), 0, 0.0
    while place < n // 2 and tail + comb(n, place) / 2**n <= 0.025:
        tail += comb(n, place) / 2**n
        place += 1
    return (ordered[place - 1], ordered[n - place]) if place else (None, None)
