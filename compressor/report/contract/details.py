"""The report's `details`: what the pages draw and a script rarely needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from compressor.evaluation.record import Record
from compressor.report.contract.rows import LatencyRow

LARGEST_MATRIX = 128
"""Classes at most of which `confusion` is a matrix and `per_class` names every model's: of a thousand nearly all cells
of a matrix are zero."""
MOST_NAMED = 2_000
"""Classes at most that `per_class` names."""
MANY_FORM = (
    f"more than {LARGEST_MATRIX} classes: `confusion` is empty, `per_class` holds what ships and the baseline (nothing "
    f"beyond {MOST_NAMED:,} classes), and these columns hold every class of every step"
)


Count = Annotated[int, Field(ge=0, le=2**40)]
"""Samples, or places in a list: few enough to be added up in 64 bits."""


class Confusion(Record):
    """counts[target][answer], over the whole test set."""

    labels: tuple[str, ...]
    counts: tuple[tuple[Count, ...], ...]

    @model_validator(mode="after")
    def _square(self) -> Confusion:
        if {len(self.counts), *map(len, self.counts)} != {len(self.labels)}:
            raise ValueError("a confusion matrix has a row and a column for each label")
        return self


class ClassQuality(Record):
    """One class of one model: the share of its `n` test samples answered rightly."""

    name: str
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None


class Cells(Record):
    """Wrong answers of one model, the most frequent first: `counts[i]` samples of class `targets[i]` were answered with
    class `answers[i]`, both as places in the names. left_out: of the wrong answers that are not listed, how many pairs
    of classes they are and how many samples."""

    targets: tuple[Count, ...]
    answers: tuple[Count, ...]
    counts: tuple[Count, ...]
    left_out_pairs: Count = 0
    left_out_samples: Count = 0

    @model_validator(mode="after")
    def _equally_long(self) -> Cells:
        if not len(self.targets) == len(self.answers) == len(self.counts):
            raise ValueError("targets, answers and counts have equal lengths")
        return self


class ManyClasses(Record):
    """A task of more classes than a matrix can show, in columns of equal length: the names, how many test samples each
    class has, and by step how many of them are answered rightly. confused: by step, the most frequent wrong answer of
    every class and then the most frequent pairs of all, 2,000 at most."""

    form: str = MANY_FORM
    names: tuple[str, ...]
    samples: tuple[Count, ...]
    right: dict[str, tuple[Count, ...]]
    confused: dict[str, Cells]

    @model_validator(mode="after")
    def _in_columns(self) -> ManyClasses:
        if {len(column) for column in (self.samples, *self.right.values())} != {len(self.names)}:
            raise ValueError("samples and right have a number for each name")
        pairs = (pair for column in self.right.values() for pair in zip(column, self.samples, strict=True))
        if any(right > n for right, n in pairs):
            raise ValueError("of a class's samples none to all are right")
        places = [place for cells in self.confused.values() for place in (*cells.targets, *cells.answers)]
        if max(places, default=-1) >= len(self.names):
            raise ValueError("targets and answers are places in the names")
        return self


class Worst(Record):
    """A test sample that the baseline answers rightly and the shipped model wrongly. picture: a data URI."""

    sample: int
    picture: str | None = None
    target: str
    baseline_answer: str
    answer: str
    confidence: float | None = None


class Rounds(Record):
    """Median milliseconds of each round, in round order: one round index is one round for all models."""

    threads: int
    batch: int
    medians_ms: tuple[float, ...]


class Histogram(Record):
    """Counts between edges; one edge more than counts."""

    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Device(Record):
    """Rows measured on another machine with the bundle's own runner, and added to this report."""

    machine: dict[str, Any]
    model_sha256: str
    rows: tuple[LatencyRow, ...]


class Details(Record):
    """What the pages draw and a script rarely needs; each by step where it belongs to a model.

    classes: in place of `confusion`, and of most of `per_class`, where there are more than 128 classes; else null.
    busy_rounds, round_processes: by round, whether the machine was busy and in which process of the experiment it ran.
    notes: what each step told of how it was made (its loss, its precision, on which CPUs its answers hold).
    """

    confusion: dict[str, Confusion] = Field(default_factory=dict)
    per_class: dict[str, tuple[ClassQuality, ...]] = Field(default_factory=dict)
    classes: ManyClasses | None = None
    latency_rounds: dict[str, tuple[Rounds, ...]] = Field(default_factory=dict)
    busy_rounds: tuple[bool, ...] = ()
    round_processes: tuple[int, ...] = ()
    histograms: dict[str, tuple[Histogram, ...]] = Field(default_factory=dict)
    worst: tuple[Worst, ...] = ()
    lost: int | None = None
    won: int | None = None
    notes: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)
    decide: Literal["interval", "point"] = "interval"
    devices: tuple[Device, ...] = ()
