"""Everything a user can be told, and the exit code that goes with it.

CompressError            1    a bug of ours (never raised on purpose)
├── InputError           2    the file, the data, a model or the command line is wrong
├── StepError            3    a step failed: a loss that is not a number, parity missed
├── IntegrityError       4    an artifact or a bundle is not what was written
├── ResourceError        7    disk, memory, a held store, a read-only folder
└── Interrupted        130    Ctrl-C

A message is one sentence of three parts: where, what is wrong with the value as given, what to do.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum

from compressor.device.memory import first_line, limit_in_words, shortage_in
from compressor.printable import printable

_LINE_END = re.compile(r"\s*\n\s*")
_TEXT_END = re.compile(r"\s*\n(?!    )\s*")


class Exit(IntEnum):
    """The exit codes of `compress`, a contract with every CI job that runs it."""

    PASS = 0
    BUG = 1
    INPUT = 2
    STEP = 3
    INTEGRITY = 4
    FAIL = 5
    UNDECIDED = 6
    RESOURCES = 7
    INTERRUPTED = 130


class CompressError(Exception):
    """Where something is wrong, what is wrong, and what to do about it."""

    exit_code: Exit = Exit.BUG

    def __init__(self, where: str, what: str, todo: str = "") -> None:
        self.where, self.what, self.todo = where, what, todo
        self.others: tuple[CompressError, ...] = ()
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """`where: what; what to do`, without the parts that are empty, printable and on one line.

        Lines that `todo` gives to be copied begin with four spaces and stay lines.
        """
        where, what = (printable(_LINE_END.sub(" ", part)) for part in (self.where, self.what))
        todo = printable(_TEXT_END.sub(" ", self.todo), lines=True)
        head = f"{where}: {what}" if where else what
        return f"{head}; {todo}" if todo else head

    def sentences(self) -> list[str]:
        """This mistake and those found with it, one sentence each."""
        return [self.sentence(), *(other.sentence() for other in self.others)]

    def under(self, place: str) -> None:
        """Give the error a place in the pipeline file; where it was before leads what is wrong."""
        if not self.where.startswith(("steps.", "task.")):
            self.where, self.what = place, f"{self.where}: {self.what}" if self.where else self.what

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.where, self.what, self.todo), {"others": self.others}


class InputError(CompressError):
    """The pipeline file, the data, a model or the command line is wrong; nothing was trained."""

    exit_code = Exit.INPUT

    @classmethod
    def together(cls, mistakes: Iterable[InputError]) -> InputError:
        """All mistakes of one file as a single error; the first one leads."""
        first, *rest = mistakes
        first.others = tuple(rest)
        return first


class StepError(CompressError):
    """A step failed while it worked; nothing of it was cached."""

    exit_code = Exit.STEP


class IntegrityError(CompressError):
    """An artifact or a bundle is not what was written."""

    exit_code = Exit.INTEGRITY


class ResourceError(CompressError):
    """Disk, memory, a store held by somebody else, or a folder that cannot be written."""

    exit_code = Exit.RESOURCES


class Interrupted(CompressError):
    """Ctrl-C, with the command that goes on in `todo`."""

    exit_code = Exit.INTERRUPTED


def closest(word: object, names: Iterable[str]) -> str | None:
    """The name that was probably meant, if one is near."""
    found = get_close_matches(str(word), list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def meant(word: object, names: Iterable[str], otherwise: str) -> str:
    """What to do about an unknown name: the one that was probably meant, or something else."""
    near = closest(word, names)
    return f'did you mean "{near}"?' if near else otherwise


def unspelled(name: str) -> CompressError | None:
    """The sentence for a file's name that is no text here, which a locale without UTF-8 is to blame for; else None."""
    try:
        os.fsencode(name)
        name.encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        if encoding.replace("-", "").lower() == "utf8":
            return InputError(name, "the name is not UTF-8", "rename it")
        what = f"this locale (its encoding is {encoding}) cannot spell the name"
        return ResourceError(name, what, "set LC_ALL=C.UTF-8 or PYTHONUTF8=1, and run again")
    return None


def shortage(problem: BaseException, where: str = "") -> ResourceError | None:
    """The sentence for memory, addresses or threads that ran out below an exception; None where it is about another.

    where: what was done when it happened; left out: what the exception says of it.
    """
    found = None if isinstance(problem, ResourceError) else shortage_in(problem)
    if found is None:
        return None
    place = where or (problem.where if isinstance(problem, CompressError) else "")
    smaller = ", or use a smaller batch_size or network" if place.startswith("step") else ""
    todo = f"end other programs{',' if smaller else ' or'} raise the limit on memory{smaller}"
    return ResourceError(place, f"the memory does not suffice ({first_line(found)}{limit_in_words()})", todo)


BY_EXIT: dict[Exit, type[CompressError]] = {
    kind.exit_code: kind for kind in (CompressError, InputError, StepError, IntegrityError, ResourceError, Interrupted)
}
