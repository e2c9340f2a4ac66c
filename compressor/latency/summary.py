"""From runs to figures: percentiles that the runs carry, and intervals that hold without a model of the noise.

Where a process puts its memory moves all that it times, so that a process is one draw: it gives one median a model,
and an interval is over processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from compressor import statistics

# A percentile needs ten runs beyond it, else it is the story of one interruption.
SAMPLES_NEEDED = {90: 100, 95: 200, 99: 1000}

Rounds = Sequence[np.ndarray]
"""One process: milliseconds of each inference, an array a round."""


def percentile(samples: np.ndarray, percent: int) -> float | None:
    """A percentile of the samples, None where they are too few to carry it."""
    if len(samples) < SAMPLES_NEEDED[percent]:
        return None
    return float(np.percentile(samples, percent))


def row(threads: int, batch: int, processes: Sequence[Rounds]) -> dict[str, Any]:
    """The figures of one model at one setting.

    p50_ms is the median of the processes' medians with its `time_interval`, [low_ms, high_ms]; the other percentiles
    are those of all runs together.
    """
    medians = [process_median(rounds) for rounds in processes]
    samples = np.concatenate([samples for rounds in processes for samples in rounds])
    found = statistics.time_interval(medians)
    return {
        "threads": threads,
        "batch": batch,
        "p50_ms": found.value,
        "low_ms": found.low,
        "high_ms": found.high,
        **{f"p{percent}_ms": percentile(samples, percent) for percent in SAMPLES_NEEDED},
        "samples": len(samples),
        "rounds": sum(len(rounds) for rounds in processes),
        "processes": len(processes),
        "throughput_per_s": batch / (found.value / 1000),
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
