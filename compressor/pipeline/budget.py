"""The budget: limits on what ships, as a file writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from compressor.pipeline.document import Document, Mistake, Place
from compressor.pipeline.explain import check
from compressor.pipeline.words import meant, quote
from compressor.stages.base import Frozen

Bound = Literal["min", "max", "max_drop"]
Decide = Literal["interval", "point"]


@dataclass(frozen=True)
class Limit:
    """One limit on what ships, in the measure's own unit."""

    measure: str
    kind: Bound
    value: float


@dataclass(frozen=True)
class Measure:
    """What a budget can limit, beside the task's metrics."""

    meaning: str
    timed: bool = False


MEASURES: Mapping[str, Measure] = {
    "latency_p50_ms": Measure(
        "Median latency in milliseconds, at the first thread count and batch size of `benchmark`.", True
    ),
    "latency_p99_ms": Measure("99th percentile of the latency in milliseconds, measured as the median is.", True),
    "size_mb": Measure("Size of `model.onnx` in MB of 10^6 bytes."),
    "peak_memory_mb": Measure("Largest memory of a fresh process that runs the model, in MB of 10^6 bytes.", True),
    "params": Measure("Number of parameters."),
    "macs": Measure("Multiply-accumulate operations for one sample."),
    "speedup": Measure("The baseline's median latency over the shipped model's, in the same rounds.", True),
    "size_ratio": Measure("The baseline's size over the shipped model's."),
}


class Bounds(Frozen):
    """Limits of a measure."""

    min: float | None = Field(None, ge=0, description="Smallest value that passes.")
    max: float | None = Field(None, ge=0, description="Largest value that passes.")


class MetricBounds(Bounds):
    """Limits of a metric of the task."""

    max_drop: float | None = Field(
        None,
        description="Largest loss against the baseline that passes, in the metric's unit: 0.01 is one point.",
    )


@dataclass(frozen=True)
class Budget:
    """Limits in the order of the file, and whether the whole interval or the value alone decides."""

    limits: tuple[Limit, ...] = ()
    decide: Decide = "interval"


def parse(raw: Any, metrics: Sequence[str] | None, document: Document) -> tuple[Budget, list[Mistake]]:
    """The budget as written, and every mistake in it. `metrics` is None where the task itself is wrong."""
    if raw is None:
        return Budget(), []
    if not isinstance(raw, Mapping):
        return Budget(), [
            document.mistake(
                ("budget",),
                f"{quote(raw)} is not a mapping",
                "write a line for each measure, like `size_mb: {max: 0.2}`",
            )
        ]
    limits: list[Limit] = []
    mistakes: list[Mistake] = []
    for name, bounds in raw.items():
        if name == "decide":
            continue
        found, wrong = _limits(name, bounds, metrics, document)
        limits += found
        mistakes += wrong
    decide = raw.get("decide", "interval")
    if decide not in ("interval", "point"):
        mistakes.append(
            document.mistake(
                ("budget", "decide"), f"{quote(decide)} is not a way to decide", 'write "interval" or "point"'
            )
        )
        decide = "interval"
    elif "decide" in raw and len(raw) == 1:
        mistakes.append(
            document.mistake(
                ("budget", "decide"),
                "has no effect without a limit",
                "add one, like `size_mb: {max: 0.2}`, or leave the budget out",
            )
        )
    return Budget(tuple(limits), decide), mistakes


def _limits(
    name: str, bounds: Any, metrics: Sequence[str] | None, document: Document
) -> tuple[list[Limit], list[Mistake]]:
    place: Place = ("budget", name)
    if name not in MEASURES:
        if metrics is None:
            return [], []
        if name not in metrics:
            known = [*metrics, *MEASURES]
            return [], [
                document.mistake(
                    place, "no such measure", meant(name, [*known, "decide"], f"measures are {', '.join(known)}")
                )
            ]
    if not isinstance(bounds, Mapping):
        example = "min" if name in (metrics or ()) or name in ("speedup", "size_ratio") else "max"
        return [], [document.mistake(place, f"{quote(bounds)} is not a limit", f"write {{{example}: …}}")]
    if "max_drop" in bounds and name in MEASURES:
        return [], [
            document.mistake(
                (*place, "max_drop"),
                "only a metric of the task can drop",
                "write min or max, or limit speedup or size_ratio",
            )
        ]
    spec, mistakes = check(Bounds if name in MEASURES else MetricBounds, bounds, document, place, quote(name))
    if spec is None:
        return [], mistakes
    given = [(kind, value) for kind in ("min", "max", "max_drop") if (value := getattr(spec, kind, None)) is not None]
    if not given:
        return [], [
            document.mistake(
                place, "has no limit", "give min or max" if name in MEASURES else "give min, max or max_drop"
            )
        ]
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        return [], [
            document.mistake(
                place, f"nothing is at least {spec.min:g} and at most {spec.max:g}", "make min the smaller one"
            )
        ]
    order = list(bounds)
    return [Limit(name, kind, value) for kind, value in sorted(given, key=lambda each: order.index(each[0]))], []  # type: ignore[arg-type]


def unmeasured(budget: Budget, benchmark: bool, exports: bool, document: Document) -> list[Mistake]:
    """Limits that nothing in the pipeline would measure."""
    mistakes = []
    if budget.limits and not exports:
        mistakes.append(
            document.mistake(
                ("budget",),
                "is about what ships, and no step exports",
                "add a step like `edge: {stage: export, from: …}`",
            )
        )
    for limit in budget.limits:
        if not benchmark and limit.measure in MEASURES and MEASURES[limit.measure].timed:
            mistakes.append(
                document.mistake(
                    ("budget", limit.measure), "needs a benchmark step", "add one, like `latency: {stage: benchmark}`"
                )
            )
    return list({mistake.error.sentence(): mistake for mistake in mistakes}.values())
