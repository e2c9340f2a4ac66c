"""What a smoke run tells of a real one: how quickly each node went."""

from __future__ import annotations

from dataclasses import dataclass, field


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
