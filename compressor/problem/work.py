"""What a step has to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """What a step does in a whole run beyond what it did in the smoke run: so many more of each unit of its progress,
    what that one did, so many times again, and seconds that the units take at least."""

    units: Mapping[str, float] = field(default_factory=dict)
    again: int = 0
    seconds: float = 0.0
