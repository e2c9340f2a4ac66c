"""One batch through every stage: what `compress smoke` changes in a pipeline, and what it learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHORT: Mapping[str, Any] = {
    "epochs": 1,
    "warmup_epochs": 0.0,
    "early_stopping": None,
    "calibration_samples": 64,
    "rounds": 2,
    "min_seconds": 0.0,
}
"""What a step's settings become where it has them; everything else stays as the file says."""


def shortened(spec: Any) -> Any:
    """The spec of a step with its long settings cut to the least that still runs."""
    changes = {name: value for name, value in SHORT.items() if name in type(spec).model_fields}
    return spec.model_copy(update=changes)


@dataclass
class Pace:
    """How quickly one node went, from its progress events."""

    first: tuple[float, int] | None = None
    last: tuple[float, int] | None = None
    unit: str = ""
    seconds: float = 0.0

    def see(self, at: float, done: int, unit: str) -> None:
        """Take one progress event, seen at `at` seconds, into account."""
        if unit != self.unit or (self.last and done < self.last[1]):
            self.first, self.unit = None, unit
        self.first = self.first or (at, done)
        self.last = (at, done)

    def seconds_each(self) -> float | None:
        """Seconds per unit between the first and the last event; None where only one was seen."""
        if not self.first or not self.last or self.last[1] <= self.first[1]:
            return None
        return (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])
