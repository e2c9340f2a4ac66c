"""The budget: limits on what ships, as a file writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from pydantic import Field

from compressor.errors import meant
from compressor.pipeline.file.document import Document, Mistake
from compressor.pipeline.file.explain import check
from compressor.pipeline.file.words import quote
from compressor.problem.metric import Metric, out_of_range
from compressor.report.judgement.evidence import BOUNDS, Bound, Decide
from compressor.report.judgement.measures import MEASURES
from compressor.stages.base import StageSpec
from compressor.strict import Frozen, Place


@dataclass(frozen=True)
class Limit:
    """One limit on what ships, in the measure's own unit."""

    measure: str
    kind: Bound
    value: float


class Bounds(Frozen):
    """Limits of a measure."""

    min: float | None = Field(None, ge=0, description="Smallest value that passes.")
    max: float | None = Field(None, ge=0, description="Largest value that passes.")


class MetricBounds(Bounds):
    """Limits of a metric of the task."""

    min: float | None = Field(None, description="Smallest value that passes.")
    max: float | None = Field(None, description="Largest value that passes.")
    max_drop: float | None = Field(
        None,
        description="Largest loss against the baseline that passes, in the metric's unit: 0.01 is one point.",
    )


@dataclass(frozen=True)
class Budget:
    """Limits in the order of the file, and whether the whole interval or the value alone decides."""

    limits: tuple[Limit, ...] = ()
    decide: Decide = "interval"


def parse(raw: Any, metrics: Mapping[str, Metric] | None, document: Document) -> tuple[Budget, list[Mistake]]:
    """The budget as written, and every mistake in it. metrics: of the task; None where the task itself is wrong."""
    place: Place = ("budget",)
    if raw is None:
        return Budget(), []
    if not isinstance(raw, Mapping):
        todo = "write a line for each measure, like `size_mb: {max: 0.2}`"
        return Budget(), [document.mistake(place, f"{quote(raw)} is not a mapping", todo)]
    limits: list[Limit] = []
    mistakes: list[Mistake] = []
    for name, bounds in raw.items():
        if name != "decide":
            found, wrong = _limits(name, bounds, metrics, document)
            limits += found
            mistakes += wrong
    decide = raw.get("decide", "interval")
    if decide not in ("interval", "point"):
        what = f"{quote(decide)} is not a way to decide"
        mistakes.append(document.mistake((*place, "decide"), what, 'write "interval" or "point"'))
        decide = "interval"
    elif "decide" in raw and len(raw) == 1:
        todo = "add one, like `size_mb: {max: 0.2}`, or leave the budget out"
        mistakes.append(document.mistake((*place, "decide"), "has no effect without a limit", todo))
    return Budget(tuple(limits), decide), mistakes


def _limits(
    name: str, bounds: Any, metrics: Mapping[str, Metric] | None, document: Document
) -> tuple[list[Limit], list[Mistake]]:
    place: Place = ("budget", name)
    if metrics is None and name not in MEASURES:
        return [], []
    if wrong := _form(name, bounds, metrics or {}):
        return [], [document.mistake(place, *wrong)]
    if "max_drop" in bounds and name in MEASURES:
        todo = "write min or max, or limit speedup or size_ratio"
        return [], [document.mistake((*place, "max_drop"), "only a metric of the task can drop", todo)]
    spec, mistakes = check(Bounds if name in MEASURES else MetricBounds, bounds, document, place, quote(name))
    if spec is None:
        return [], mistakes
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        what = f"nothing is at least {spec.min:g} and at most {spec.max:g}"
        return [], [document.mistake(place, what, "make min the smaller one")]
    limits = [Limit(name, kind, getattr(spec, kind)) for kind in _in_order(bounds) if getattr(spec, kind) is not None]
    return limits, [*_outside(limits, metrics or {}, document)]


def _form(name: str, bounds: Any, metrics: Mapping[str, Metric]) -> tuple[str, str] | None:
    """What is wrong with a limit before its numbers are looked at, and what to do."""
    known = [*metrics, *MEASURES]
    if name not in known:
        return "no such measure", meant(name, [*known, "decide"], f"measures are {', '.join(known)}")
    if not isinstance(bounds, Mapping):
        kind = "min" if (metrics.get(name) or MEASURES[name]).better == "higher" else "max"
        amount = quote(bounds) if isinstance(bounds, int | float) else "…"
        return f"{quote(bounds)} is not a limit", f"write `{name}: {{{kind}: {amount}}}`"
    if all(value is None for value in bounds.values()):
        return "has no limit", "give min or max" if name in MEASURES else "give min, max or max_drop"
    return None


def _in_order(bounds: Mapping[str, Any]) -> list[Bound]:
    return [kind for written in bounds for kind in BOUNDS if kind == written]


def _outside(limits: Sequence[Limit], metrics: Mapping[str, Metric], document: Document) -> Iterator[Mistake]:
    """Limits that a metric always keeps or never can, such as 92 for a share."""
    for limit in limits:
        low, high = metrics[limit.measure].range if limit.measure in metrics else (-inf, inf)
        lowest = low - high if limit.kind == "max_drop" else low
        if not lowest <= limit.value <= high - (low if limit.kind == "max_drop" else 0):
            place = ("budget", limit.measure, limit.kind)
            yield document.mistake(place, *out_of_range(limit.measure, limit.value, low, high))


@dataclass(frozen=True)
class Needs:
    """What the limits of a budget need of the steps: stages that time and ship by name, and whether steps do.

    batches: the specs of both, where the one times another batch size than the other takes.
    """

    timing: str
    timed: bool
    shipping: str
    ships: bool
    batches: tuple[StageSpec, StageSpec] | None = None


def unmeasured(budget: Budget, needs: Needs, document: Document) -> list[Mistake]:
    """Limits that nothing in the pipeline would measure."""
    mistakes = []
    if budget.limits and not needs.ships:
        todo = f"add a step like `edge: {{stage: {needs.shipping}, from: …}}`"
        mistakes.append(document.mistake(("budget",), "is about what ships, and no step exports", todo))
    timed = dict.fromkeys(
        limit.measure for limit in budget.limits if limit.measure in MEASURES and MEASURES[limit.measure].timed
    )
    for measure in () if needs.timed else timed:
        todo = f"add one, like `latency: {{stage: {needs.timing}}}`"
        mistakes.append(document.mistake(("budget", measure), f"needs a {needs.timing} step", todo))
    if needs.batches is not None:
        timing, ships = needs.batches
        what = f"is decided at batch {timing.batch}, and what ships takes batches of {ships.batch} only"
        todo = f"{timing.with_batch(ships.batch or 0)}, or {ships.with_batch(timing.batch or 0)}"
        mistakes += [document.mistake(("budget", measure), what, todo) for measure in timed]
    return mistakes
