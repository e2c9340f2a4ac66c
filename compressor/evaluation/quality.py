"""From what each sample got to a metric's value and its interval, and to the drop between two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from compressor import statistics
from compressor.evaluation.part import Part

if TYPE_CHECKING:
    import numpy as np


class Measured(Part):
    """A metric over `n` samples with its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Finding:
    """One measured value: its interval, where it comes from, and what more of the same would decide.

    interval_at: the interval at another number of samples or processes, where more would narrow it. needed: how many
    that takes, where it is known without an interval. discordant: of a drop, how many samples only the first model
    answers rightly and how many only the second; None where answers are neither right nor wrong.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    how: str = ""
    n: int = 0
    unit: Literal["samples", "processes", ""] = ""
    interval_at: Callable[[float], statistics.Interval] | None = None
    needed: int | None = None
    discordant: tuple[int, int] | None = None


def tables(scores: Mapping[str, np.ndarray], unseen: np.ndarray | None) -> dict[str, Any]:
    """`quality` over all test samples, and `quality_unseen` over those on which nothing was chosen, null unless these
    are some of them: metric -> {value, low, high, n}, as JSON.

    scores: metric -> float64 [samples]. unseen: bool [samples].
    """
    partly = unseen is not None and unseen.any() and not unseen.all()
    kept = {name: values[unseen] for name, values in scores.items()} if partly else {}
    whole, part = (measured({name: quality(values) for name, values in given.items()}) for given in (scores, kept))
    return {
        "quality": {name: one.model_dump() for name, one in whole.items()},
        "quality_unseen": {name: one.model_dump() for name, one in part.items()} or None,
    }


def measured(findings: Mapping[str, Finding]) -> dict[str, Measured]:
    """Those findings that have a value."""
    return {
        name: Measured(value=found.value, low=found.low, high=found.high, n=found.n)
        for name, found in findings.items()
        if found.value is not None
    }


def quality(scores: np.ndarray, whose: str = "test samples") -> Finding:
    """The mean of what each sample got, with Wilson's interval for right and wrong answers, a bootstrap's otherwise.

    scores: float64 [samples]. whose: what the samples are called.
    """
    n = len(scores)
    if n == 0:
        return Finding(None)
    if not _right_or_wrong(scores):
        return _bootstrapped(scores, f"bootstrap of the mean over {n:,} {whose}")
    right = int(scores.sum())
    interval = statistics.wilson(right, n)

    def at(samples: float) -> statistics.Interval:
        return statistics.wilson(right / n * samples, samples)

    how = f"Wilson's interval, {right:,} of {n:,} {whose} right"
    return Finding(interval.value, interval.low, interval.high, how, n, "samples", at)


def drop(before: np.ndarray, after: np.ndarray, whose: str = "test samples") -> Finding:
    """What is lost from one model to another on the same samples, by Tango's interval, else a bootstrap."""
    n = len(after)
    if not (_right_or_wrong(before) and _right_or_wrong(after)):
        return _bootstrapped(before - after, f"bootstrap of the paired differences over {n:,} {whose}")
    lost, won = int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum())
    interval = statistics.tango(lost, won, n)
    how = (
        f"Tango's paired score interval over {n:,} {whose}: {lost:,} only the baseline answers rightly, "
        f"{won:,} only this model; exact McNemar p = {statistics.mcnemar(lost, won):.2g}"
    )

    def at(samples: float) -> statistics.Interval:
        return statistics.tango(lost / n * samples, won / n * samples, samples)

    return Finding(interval.value, interval.low, interval.high, how, n, "samples", at, discordant=(lost, won))


def _right_or_wrong(scores: np.ndarray) -> bool:
    """Whether each sample is one or the other, so that the metric is a share of right answers."""
    return bool(((scores == 0) | (scores == 1)).all())


def _bootstrapped(scores: np.ndarray, how: str) -> Finding:
    n, interval = len(scores), statistics.bootstrap_mean(scores)
    return Finding(interval.value, interval.low, interval.high, how, n, "samples", statistics.scaled(interval, n))
