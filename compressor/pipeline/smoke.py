"""One batch through every stage: what `compress smoke` changes in a pipeline, and what it learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """How quickly one node went, from its progress events: for each unit the first and the last that was seen."""

    seconds: float = 0.0
    _seen: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def see(self, at: float, done: int, unit: str) -> None:
        """Take one progress event, seen at `at` seconds, into account."""
        self._seen.setdefault(unit, [(at, done)])[1:] = [(at, done)]

    def seconds_each(self, unit: str) -> float | None:
        """Seconds per unit between the first and the last event; None where only one was seen."""
        (first, begun), (last, done) = [*self._seen.get(unit, [(0.0, 0)] * 2), (0.0, 0)][:2]
        return (last - first) / (done - begun) if done > begun else None
