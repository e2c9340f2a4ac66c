"""The order of classes, which is that of a network's outputs: as given, as usual, and which one the weights mean."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.errors import InputError

if TYPE_CHECKING:
    import numpy as np

WHERE = "task.data.classes"
LARGEST_LIST = 2**24
"""Bytes of a file of class names."""
SHOWN = 24
CHANCE = 1e-3
SAMPLES = 512
"""Validation samples that tell the order where not all are answered anyway."""
_NUMBER = r"(\d{1,4000})"
"""Digits that Python makes a number of; it refuses more than 4,300 at once."""


def natural(text: str) -> tuple[object, ...]:
    """A sorting key that puts `class2` before `class10`."""
    parts = enumerate(re.split(_NUMBER, text))  # words at even places, numbers at odd ones, and a word at the end
    return (*(int(part) if place % 2 else part.casefold() for place, part in parts), -1, text)


def usual(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The orders in which folders, tables and scripts put classes, by what a person calls them."""
    return {
        "plain order, as ImageFolder has it": tuple(sorted(names)),
        "natural order": tuple(sorted(names, key=natural)),
        "order without regard to case": tuple(sorted(names, key=lambda name: (name.casefold(), name))),
        "order of their numbers": tuple(sorted(names, key=lambda name: ([*map(int, re.findall(_NUMBER, name))], name))),
    }


def given(classes: Sequence[str] | Path | None, base: Path) -> tuple[str, ...] | None:
    """The names that a file lists for its classes, itself or in another file (a name a line, or a JSON list).

    base: the folder that a relative path begins at.

    Raises:
        InputError: no such file, or one that lists no names.
    """
    if not isinstance(classes, Path):
        return None if classes is None else tuple(classes)
    path = base / classes.expanduser()
    todo = "give a text file with one name a line, or a JSON list of names"
    try:
        if path.stat().st_size > LARGEST_LIST:
            raise InputError(WHERE, f"{str(path)!r} is larger than {LARGEST_LIST:,} bytes", todo)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(WHERE, f"{str(path)!r} cannot be read ({error.strerror})", todo) from None
    except ValueError:
        raise InputError(WHERE, f"{str(path)!r} is not UTF-8", todo) from None
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(WHERE, f"{str(path)!r} is no JSON list ({str(error)[:80]})", todo) from None
        names = tuple(str(name) for name in listed if isinstance(name, str | int) and not isinstance(name, bool))
        if len(names) != len(listed):
            raise InputError(WHERE, f"{str(path)!r} lists something that is no name", todo)
    else:
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise InputError(WHERE, f"{str(path)!r} is empty", todo)
    return names


def ordered(known: Sequence[str], wanted: Sequence[str], what: str = "class folder") -> tuple[str, ...]:
    """`wanted`, where it holds each of the `known` names once.

    Raises:
        InputError: a name twice, one that is not known, or one that is left out, with the nearest of the others.
    """
    twice = [name for name, count in Counter(wanted).items() if count > 1]
    if twice:
        raise InputError(WHERE, f"{twice[0]!r} stands there twice", "write each class once")
    strange, absent = (
        [name for name in one if name not in set(other)] for one, other in ((wanted, known), (known, wanted))
    )
    if strange:
        digits = strange[0].lstrip("0") if strange[0].isdigit() else None
        near = [name for name in absent if name.isdigit() and name.lstrip("0") == digits]
        near = near or get_close_matches(strange[0], absent, n=1)
        todo = (
            f"did you mean {near[0]!r}"
            if near
            else f"leave it out; there are {_listed(get_close_matches(strange[0], known, n=len(known), cutoff=0))}"
        )
        raise InputError(WHERE, f"there is no {what} {strange[0]!r}", todo + (" (in quotes)" if near else ""))
    if absent:
        raise InputError(WHERE, f"does not list {_listed(absent)}, and there is such a {what}", "write all classes")
    return tuple(wanted)


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


@dataclass(frozen=True)
class Reordered:
    """An order in which the answers of a network are right. right, before: shares of samples in it and as given."""

    order: str
    classes: tuple[str, ...]
    right: float
    before: float
    samples: int

    def error(self, where: str) -> InputError:
        """The sentence that names the order and the field that settles it."""
        what = (
            f"is right on {self.before:.1%} of {self.samples:,} validation samples, and on {self.right:.1%} with the "
            f"classes in {self.order}"
        )
        names = json.dumps(list(self.classes), ensure_ascii=False)
        todo = f"write data: {{…, classes: {names}}}"
        if len(self.classes) > SHOWN:
            todo = "write the names in that order into a file, one a line, and data: {…, classes: FILE}"
        return InputError(where, what, todo)


def check(where: str, answers: np.ndarray, targets: np.ndarray, classes: Sequence[str]) -> None:
    """Refuse answers of a network with weights that are right in another usual order of the classes; see `mistaken`.

    Raises:
        InputError: names the order, and the field that settles it.
    """
    if (found := mistaken(answers, targets, classes)) is not None:
        raise found.error(where)


def mistaken(answers: np.ndarray, targets: np.ndarray, classes: Sequence[str]) -> Reordered | None:
    """The usual order that the weights seem to mean, where that is not the order of `classes`; else None.

    answers, targets: int64 [samples]. Asked only of a network that is right on less than 2/n of the samples (1/2
    for two classes): an order must be right on at least half of what was wrong, and be so by chance with p below
    0.001 (binomial: a wrong answer among n classes is another one's by 1/(n - 1); two classes are a fair coin; and
    answers that know nothing agree with the targets as often as both are frequent, always the same one for instance).
    """
    import numpy as np

    count, samples = len(classes), len(targets)
    right = answers == targets
    if count < 2 or not samples or right.mean() >= (0.5 if count == 2 else 2 / count):
        return None
    place, wrong = {name: index for index, name in enumerate(classes)}, ~right
    found: list[tuple[int, Reordered]] = []
    for words, order in usual(classes).items():
        renamed = np.array([place[name] for name in order], dtype=np.int64)[answers]
        moved = renamed == targets
        gained = int(moved[wrong].sum())
        tried, chance = (np.ones_like(wrong), 0.5) if count == 2 else (wrong, 1 / (count - 1))
        chance = max(chance, _by_frequency(renamed[tried], targets[tried], count))
        if 2 * gained >= wrong.sum() and at_least(gained, int(tried.sum()), chance) < CHANCE:
            found.append((gained, Reordered(words, order, float(moved.mean()), float(right.mean()), samples)))
    return max(found, key=lambda one: one[0])[1] if found else None


def _by_frequency(answers: np.ndarray, targets: np.ndarray, count: int) -> float:
    """How often answers and targets agree if one says nothing of the other: the frequencies' products, summed."""
    import numpy as np

    shares = [np.bincount(values, minlength=count) / len(values) for values in (answers, targets)]
    return min(1.0, float(shares[0] @ shares[1]))


def at_least(successes: int, trials: int, chance: float) -> float:
    """Exact probability of `successes` or more in `trials`; 3 of 3 with 1/5 are 0.008."""
    if chance >= 1:
        return 1.0
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(chance) + (trials - k) * math.log1p(-chance)
        for k in range(successes, trials + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(map(math.exp, logs)))
