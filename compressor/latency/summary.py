"""From samples to figures: percentiles that the samples carry, and intervals that hold without a model of the noise."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

# A percentile needs ten samples beyond it, else it is the story of one interruption.
SAMPLES_NEEDED = {90: 100, 95: 200, 99: 1000}


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """The order-statistic interval of the median: the k-th smallest and k-th largest value, with the largest k whose
    coverage (binomial, p = 1/2) is at least `confidence`. None where there are too few values for any.
    """
    n, ordered = len(values), sorted(values)
    tail, k = 0.0, 0
    while k < n and tail + comb(n, k) / 2**n <= (1 - confidence) / 2:
        tail += comb(n, k) / 2**n
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def percentile(samples: np.ndarray, percent: int) -> float | None:
    """A percentile of the samples, None where they are too few to carry it."""
    if len(samples) < SAMPLES_NEEDED[percent]:
        return None
    return float(np.percentile(samples, percent))


def row(threads: int, batch: int, rounds: Sequence[np.ndarray]) -> dict[str, Any]:
    """The figures of one model at one setting. rounds: milliseconds of each inference, one array a round.

    p50_ms is the median of the rounds' medians, so that it lies inside [low_ms, high_ms], the interval of that median.
    """
    medians = round_medians(rounds)
    samples = np.concatenate(rounds)
    middle = float(np.median(medians))
    low, high = median_interval(medians) or (None, None)
    return {
        "threads": threads,
        "batch": batch,
        "p50_ms": middle,
        "low_ms": low,
        "high_ms": high,
        **{f"p{percent}_ms": percentile(samples, percent) for percent in SAMPLES_NEEDED},
        "samples": len(samples),
        "rounds": len(rounds),
        "throughput_per_s": batch / (middle / 1000),
    }


def round_medians(rounds: Sequence[np.ndarray]) -> list[float]:
    """The median of each round, in order."""
    return [float(np.median(samples)) for samples in rounds]
