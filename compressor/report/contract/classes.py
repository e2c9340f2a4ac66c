"""Class by class: a matrix and a row a class where there are few, columns and the most frequent mistakes where many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compressor import statistics
from compressor.report.contract.details import (
    LARGEST_MATRIX,
    MOST_NAMED,
    Cells,
    ClassQuality,
    Confusion,
    Details,
    ManyClasses,
)

MOST_PAIRS = 2_000
_NAMES = ("name", "class", "answer", "label")
_COUNTS = ("n", "samples", "count", "support")
_VALUES = ("value", "accuracy", "recall", "share")


@dataclass(frozen=True)
class Counted:
    """Answers of one model. targets, answers, counts: int64 [k], cells of its confusion matrix that are not zero."""

    names: tuple[str, ...]
    targets: np.ndarray
    answers: np.ndarray
    counts: np.ndarray

    def samples(self) -> np.ndarray:
        """int64 [classes]: test samples of each class."""
        return self._by_target(np.ones(len(self.counts), dtype=bool))

    def right(self) -> np.ndarray:
        """int64 [classes]: those answered rightly."""
        return self._by_target(self.targets == self.answers)

    def _by_target(self, chosen: np.ndarray) -> np.ndarray:
        total = np.zeros(len(self.names), dtype=np.int64)
        np.add.at(total, self.targets[chosen], self.counts[chosen])
        return total

    def matrix(self) -> Confusion:
        """All cells; for few classes only."""
        counts = np.zeros((len(self.names), len(self.names)), dtype=np.int64)
        np.add.at(counts, (self.targets, self.answers), self.counts)
        return Confusion(labels=self.names, counts=tuple(map(tuple, counts.tolist())))

    def rows(self) -> tuple[ClassQuality, ...]:
        """Each class with Wilson's interval."""
        return rows(self.names, self.samples().tolist(), self.right().tolist())

    def confused(self) -> Cells:
        """Wrong answers, each class's most frequent one before all others, at most `MOST_PAIRS`; the largest first."""
        wrong = np.flatnonzero((self.targets != self.answers) & (self.counts > 0))
        order = wrong[np.lexsort((self.answers[wrong], self.targets[wrong], -self.counts[wrong]))]
        _, first = np.unique(self.targets[order], return_index=True)
        is_first = np.zeros(len(order), dtype=bool)
        is_first[first] = True
        ranked = np.concatenate([np.flatnonzero(is_first), np.flatnonzero(~is_first)])
        kept = order[np.sort(ranked[:MOST_PAIRS])]
        left = order[ranked[MOST_PAIRS:]]
        return Cells(
            targets=tuple(self.targets[kept].tolist()),
            answers=tuple(self.answers[kept].tolist()),
            counts=tuple(self.counts[kept].tolist()),
            left_out_pairs=len(left),
            left_out_samples=int(self.counts[left].sum()),
        )


def rows(names: Sequence[str], samples: Sequence[int], right: Sequence[int]) -> tuple[ClassQuality, ...]:
    """Each class with the share of its samples answered rightly and Wilson's interval."""
    return tuple(_class(name, good, n) for name, n, good in zip(names, samples, right, strict=True))


def of_step(details: Details, step: str | None) -> tuple[ClassQuality, ...]:
    """The classes of one step, in whichever form the report holds them; empty where it has none."""
    named, many = details.per_class.get(step or ""), details.classes
    if named or many is None or step not in many.right:
        return named or ()
    return rows(many.names, many.samples, many.right[step])


def weakest_first(known: Sequence[ClassQuality]) -> list[ClassQuality]:
    """By the share answered rightly; of equal ones the class with more samples first, then by name."""
    return sorted(known, key=lambda one: (one.value or 0.0, -one.n, one.name))


def confusions(details: Details, step: str | None) -> tuple[tuple[str, ...], Cells] | None:
    """The names and the wrong answers of one step, the most frequent first; None where the report has none."""
    small, many = details.confusion.get(step or ""), details.classes
    if small is not None:
        return small.labels, _of_matrix(small.labels, small.counts).confused()
    if many is not None and step in many.confused:
        return many.names, many.confused[step]
    return None


def details_of(breakdowns: Mapping[str, Mapping[str, Any]], close: Sequence[str | None]) -> dict[str, Any]:
    """The fields `confusion`, `per_class` and `classes` of `Details`, from each step's breakdown.

    A breakdown has `per_class: [{name, …}]` and `confusion`, counts[target][answer], or in its place `cells`: the
    columns `targets`, `answers` and `counts` of what is not zero. close: of many classes only these steps' are named.
    """
    counted = {step: found for step, given in breakdowns.items() if (found := _counted(given))}
    told = {step: listed for step, given in breakdowns.items() if step not in counted and (listed := _told(given))}
    return _fields(counted, told, close)


def bounded(details: Details, close: Sequence[str | None]) -> Details:
    """The details with many classes in columns, where they still hold them as matrices."""
    if all(len(table.labels) <= LARGEST_MATRIX for table in details.confusion.values()):
        return details
    counted = {step: _of_matrix(table.labels, table.counts) for step, table in details.confusion.items()}
    told = {step: given for step, given in details.per_class.items() if step not in counted}
    return details.model_copy(update=_fields(counted, told, close))


def _fields(
    counted: Mapping[str, Counted], told: Mapping[str, tuple[ClassQuality, ...]], close: Sequence[str | None]
) -> dict[str, Any]:
    most = max((len(one.names) for one in counted.values()), default=0)
    if most <= LARGEST_MATRIX:
        matrices = {step: one.matrix() for step, one in counted.items()}
        found: dict[str, Any] = {"confusion": matrices, "classes": None}
    else:
        names, samples = next((one.names, one.samples()) for one in counted.values() if len(one.names) == most)
        alike = {step: one for step, one in counted.items() if one.names == names}
        columns = ManyClasses(
            names=names,
            samples=tuple(samples.tolist()),
            right={step: tuple(one.right().tolist()) for step, one in alike.items()},
            confused={step: one.confused() for step, one in alike.items()},
        )
        found = {"confusion": {}, "classes": columns}
    named = {
        step: one.rows()
        for step, one in counted.items()
        if len(one.names) <= LARGEST_MATRIX or (step in close and len(one.names) <= MOST_NAMED)
    }
    named |= {step: one for step, one in told.items() if len(one) <= LARGEST_MATRIX or step in close}
    return {**found, "per_class": named}


def _class(name: str, right: int, n: int) -> ClassQuality:
    if n == 0:
        return ClassQuality(name=name, n=0, value=None)
    interval = statistics.wilson(right, n)
    return ClassQuality(name=name, n=n, value=interval.value, low=interval.low, high=interval.high)


def _entry(given: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((given[key] for key in keys if given.get(key) is not None), None)


def _names(breakdown: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the classes, their numbers where the task gave none."""
    given = breakdown.get("labels") or [_entry(one, _NAMES) for one in breakdown.get("per_class") or ()]
    if len(given) != count or any(name is None for name in given):
        return tuple(str(number) for number in range(count))
    return tuple(str(name) for name in given)


def _counted(breakdown: Mapping[str, Any]) -> Counted | None:
    if cells := breakdown.get("cells"):
        columns = [np.asarray(cells[name], dtype=np.int64) for name in ("targets", "answers", "counts")]
        return Counted(_names(breakdown, len(breakdown.get("labels") or breakdown.get("per_class") or ())), *columns)
    counts = breakdown.get("confusion")
    return _of_matrix(_names(breakdown, len(counts)), counts) if counts else None


def _of_matrix(names: tuple[str, ...], counts: Sequence[Sequence[int]]) -> Counted:
    table = np.asarray(counts, dtype=np.int64)
    targets, answers = np.nonzero(table)
    return Counted(names, targets, answers, table[targets, answers])


def _told(breakdown: Mapping[str, Any]) -> tuple[ClassQuality, ...]:
    """Each class as a task without a confusion matrix gives it."""
    given = breakdown.get("per_class") or ()
    return tuple(
        ClassQuality(name=name, n=int(_entry(one, _COUNTS) or 0), value=_entry(one, _VALUES))
        for name, one in zip(_names(breakdown, len(given)), given, strict=True)
    )
