"""Where in a file one of pydantic's errors is: its location without the names of alternatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pydantic_core import ErrorDetails

from compressor.strict import Place

LENGTHS = frozenset({"too_short", "too_long"})


@dataclass(frozen=True)
class Located:
    """An error with its place in the data. `branch` is set for one alternative of several at `at`."""

    details: ErrorDetails
    path: Place
    at: Place = ()
    branch: str | int | None = None


def locate(details: ErrorDetails, data: Any) -> Located:
    """Tell the parts of pydantic's location that are in the data from those that name an alternative."""
    here: Any = data
    path: Place = ()
    at, branch = path, None
    for index, part in enumerate(details["loc"]):
        if _holds(here, part):
            path, here = (*path, part), here[part]
        elif index == len(details["loc"]) - 1 and _absent(here, part, details["type"]):
            path = (*path, part)
        elif branch is None:
            at, branch = path, part
    return Located(details, path, at, branch)


def worth_telling(located: list[Located]) -> list[Located]:
    """Without the lists that pydantic finds too short only because their items are wrong."""
    return [
        each
        for each in located
        if each.details["type"] not in LENGTHS
        or not any(len(other.path) > len(each.path) == _shared(each.path, other.path) for other in located)
    ]


def _shared(one: Place, other: Place) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _absent(here: Any, part: str | int, kind: str) -> bool:
    """Whether the part is a field that is not there, by its name and not by the name of an alternative's class."""
    is_field = isinstance(part, str) and part.isidentifier() and part.islower()
    return is_field and (kind == "missing" or (kind == "value_error" and isinstance(here, Mapping)))


def _holds(here: Any, part: str | int) -> bool:
    if isinstance(here, Mapping):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)
