"""What several processes measured of a session beside its times: what it takes in one that opens it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any


def middle(values: Sequence[float | None]) -> float | None:
    """The median of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


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
