"""What a person is told in one line, and the exit code that goes with it."""

from __future__ import annotations

NOT_A_BUNDLE, ALTERED, RESOURCES = 2, 4, 7


class Refused(Exception):  # the sentence a person reads, not a fault of the code
    """What the person is told in one line, and the exit code: 2 for a wrong request, 4 for an altered bundle,
    7 for want of memory.

    place: the file it is about. problem: what is wrong with it. todo: what to do.
    """

    def __init__(self, code: int, place: str, problem: str, todo: str) -> None:
        self.code, self.place, self.problem, self.todo = code, place, problem, todo
        super().__init__(f"{place}: {problem}; {todo}")


def altered(place: str, problem: str) -> Refused:
    """The bundle is not what was written."""
    return Refused(ALTERED, place, problem, "get a fresh copy of the bundle")


class Unfit(ValueError):
    """A picture that cannot be read, or that its preprocessing or its network cannot take; a setting that is none.

    problem: what is wrong with it. todo: what to do; empty where that is plain. field: which of the settings inside.
    """

    def __init__(self, problem: str, todo: str = "", field: str = "") -> None:
        self.problem, self.todo, self.field = problem, todo, field
        super().__init__(f"{problem}; {todo}" if todo else problem)
