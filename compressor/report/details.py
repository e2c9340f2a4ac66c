"""The report's `details`: what the pages draw and a script rarely needs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compressor.report.part import Part
from compressor.report.rows import LatencyRow


class Confusion(Part):
    """counts[target][answer], over the whole test set."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class ClassQuality(Part):
    """One class of one model: the share of its `n` test samples answered rightly."""

    name: str
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None


class Worst(Part):
    """A test sample that the baseline answers rightly and the shipped model wrongly. picture: a data URI."""

    sample: int
    picture: str | None = None
    target: str
    baseline_answer: str
    answer: str
    confidence: float | None = None


class Rounds(Part):
    """Median milliseconds of each round, in round order: one round index is one round for all models."""

    threads: int
    batch: int
    medians_ms: tuple[float, ...]


class Histogram(Part):
    """Counts between edges; one edge more than counts."""

    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Device(Part):
    """Rows measured on another machine with the bundle's own runner, and added to this report."""

    machine: dict[str, Any]
    model_sha256: str
    rows: tuple[LatencyRow, ...]


class Details(Part):
    """What the pages draw and a script rarely needs; each by step where it belongs to a model.

    busy_rounds, round_processes: by round, whether the machine was busy and in which process of the experiment it ran.
    notes: what each step told of how it was made (its loss, its precision, on which CPUs its answers hold).
    """

    confusion: dict[str, Confusion] = Field(default_factory=dict)
    per_class: dict[str, tuple[ClassQuality, ...]] = Field(default_factory=dict)
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
