"""A metric's value and its interval, and the drop from one model to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from compressor import statistics
from compressor.evaluation.record import Record

if TYPE_CHECKING:
    import numpy as np

    from compressor.evaluation.evaluation import Predictions
    from compressor.problem.metric import Metric


class Measured(Record):
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


def tables(metrics: Mapping[str, Metric], of: Predictions) -> dict[str, Any]:
    """`quality` over all test samples, and `quality_unseen` over those on which nothing was chosen, null unless these
    are some of them: metric -> {value, low, high, n}, as JSON."""
    whole = measured({name: quality(metric, of) for name, metric in metrics.items()})
    part = {name: quality(metric, of, unseen=True) for name, metric in metrics.items()} if of.partly_seen else {}
    return {
        "quality": {name: one.model_dump() for name, one in whole.items()},
        "quality_unseen": {name: one.model_dump() for name, one in measured(part).items()} or None,
    }


def measured(findings: Mapping[str, Finding]) -> dict[str, Measured]:
    """Those findings that have a value."""
    return {
        name: Measured(value=found.value, low=found.low, high=found.high, n=found.n)
        for name, found in findings.items()
        if found.value is not None
    }


def quality(metric: Metric, of: Predictions, *, unseen: bool = False) -> Finding:
    """A metric over the test samples: Wilson's interval for right and wrong answers, else a bootstrap's."""
    whose, n, scores = _whose(of, unseen), of.count(unseen), of.each(metric, unseen)
    if n == 0:
        return Finding(None)
    if scores is None:
        value = of.weighted(metric, unseen)
        return _bootstrapped(statistics.bootstrap(value, n), n, f"bootstrap over {n:,} {whose}")
    if not _right_or_wrong(scores):
        return _bootstrapped(statistics.bootstrap_mean(scores), n, f"bootstrap of the mean over {n:,} {whose}")
    right = int(scores.sum())
    interval = statistics.wilson(right, n)

    def at(samples: float) -> statistics.Interval:
        return statistics.wilson(right / n * samples, samples)

    how = f"Wilson's interval, {right:,} of {n:,} {whose} right"
    return Finding(interval.value, interval.low, interval.high, how, n, "samples", at)


def drop(metric: Metric, before: Predictions, after: Predictions, *, unseen: bool = False) -> Finding:
    """What is lost from one model to another on the same samples, by Tango's interval, else a paired bootstrap."""
    if metric.better == "lower":
        before, after = after, before
    whose, n = _whose(after, unseen), after.count(unseen)
    first, second = before.each(metric, unseen), after.each(metric, unseen)
    how = f"bootstrap of the paired differences over {n:,} {whose}"
    if first is None or second is None:
        was, now = before.weighted(metric, unseen), after.weighted(metric, unseen)
        return _bootstrapped(statistics.bootstrap(lambda weights: was(weights) - now(weights), n), n, how)
    if not (_right_or_wrong(first) and _right_or_wrong(second)):
        return _bootstrapped(statistics.bootstrap_mean(first - second), n, how)
    lost, won = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    interval = statistics.tango(lost, won, n)
    how = (
        f"Tango's paired score interval over {n:,} {whose}: {lost:,} only the baseline answers rightly, "
        f"{won:,} only this model; exact McNemar p = {statistics.mcnemar(lost, won):.2g}"
    )

    def at(samples: float) -> statistics.Interval:
        return statistics.tango(lost / n * samples, won / n * samples, samples)

    return Finding(interval.value, interval.low, interval.high, how, n, "samples", at, discordant=(lost, won))


def _whose(of: Predictions, unseen: bool) -> str:
    return "unseen test samples" if unseen and of.partly_seen else "test samples"


def _right_or_wrong(scores: np.ndarray) -> bool:
    """Whether each sample is one or the other, so that the metric is a share of right answers."""
    return bool(((scores == 0) | (scores == 1)).all())


def _bootstrapped(interval: statistics.Interval, n: int, how: str) -> Finding:
    return Finding(interval.value, interval.low, interval.high, how, n, "samples", statistics.scaled(interval, n))
