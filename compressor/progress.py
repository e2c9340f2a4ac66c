"""How far a step is, and what is worth saying on the way."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a stage tells the person who waits."""

    def say(self, text: str) -> None:
        """One line worth reading: the resolved loss, the preprocessing, a choice made."""

    def advance(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """How far the step is, with the numbers of the moment (`loss=0.3`, `accuracy=0.91`)."""
