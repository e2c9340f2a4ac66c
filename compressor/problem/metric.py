"""What a metric is: its name, which way is better, and how it is reckoned from outputs and targets. numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compressor.problem.batch import Arrays

if TYPE_CHECKING:
    import numpy as np

Better = Literal["higher", "lower"]
Unit = Literal["share", ""]
Each = Callable[[Arrays, Arrays], "np.ndarray"]
Value = Callable[[Arrays, Arrays, "np.ndarray | None"], float]


@dataclass(frozen=True)
class Metric:
    """How good outputs are, in one number.

    unit: `share` is shown in percent, and its drops in points. range: least and largest value that it can have.
    value(outputs, targets, weights): the metric over all samples, from arrays by name; weights: how often each sample
    counts, float64 [samples], None for once. each(outputs, targets): float64 [samples], where the metric is their mean.
    """

    name: str
    better: Better
    unit: Unit
    range: tuple[float, float]
    value: Value
    each: Each | None = None

    def improves(self, value: float, other: float) -> bool:
        """Whether a value is better than another."""
        return value > other if self.better == "higher" else value < other

    def drop(self, before: float, after: float) -> float:
        """What is lost from one value to another: above zero where the second is worse."""
        return before - after if self.better == "higher" else after - before


def mean(name: str, each: Each, *, better: Better = "higher", unit: Unit = "", range: tuple[float, float]) -> Metric:
    """The metric that is the mean of what each sample gets."""

    def value(outputs: Arrays, targets: Arrays, weights: np.ndarray | None) -> float:
        import numpy as np

        return float(np.average(each(outputs, targets), weights=weights))

    return Metric(name, better, unit, range, value, each)


def out_of_range(metric: str, value: float, low: float, high: float) -> tuple[str, str]:
    """What is wrong with a limit that a metric of this range always keeps or never can, and what to do."""
    share = f"; write {value / 100:g} for {value:g} %" if (low, high) == (0, 1) and 1 < value <= 100 else ""
    return f"{value:g} is out of range", f"{metric} is a number from {low:g} to {high:g}{share}"
