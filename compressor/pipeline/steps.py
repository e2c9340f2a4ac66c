"""Reads the steps of a pipeline: each against its stage, then all together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compressor.pipeline import explain, roles
from compressor.pipeline.budget import out_of_range
from compressor.pipeline.document import Document, Mistake
from compressor.pipeline.roles import Step
from compressor.pipeline.words import meant, quote
from compressor.stages import HIDDEN
from compressor.stages.base import Stage

STEP_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RESERVED = frozenset({"comparison"})
"""Names that the plan gives to steps of its own."""


def read(
    raw: Any,
    document: Document,
    stages: Mapping[str, Stage],
    metrics: Sequence[str] | None,
    ranges: Mapping[str, tuple[float, float]],
) -> tuple[list[Step], list[Mistake]]:
    """The steps as written, and every mistake in them.

    metrics: those of the task; None where the task itself is wrong. ranges: what a metric can be, where that is known.
    """
    if not isinstance(raw, Mapping):
        return [], []
    steps: list[Step] = []
    mistakes: list[Mistake] = []
    for name, fields in raw.items():
        step, wrong = _step(name, fields, document, stages)
        steps.append(step)
        mistakes += wrong
    told = {mistake.error.where for mistake in mistakes}
    mistakes += [mistake for mistake in roles.check(steps, document) if mistake.error.where not in told]
    mistakes += _metrics(steps, metrics, ranges, document)
    benchmarks = [step.name for step in steps if step.stage is not None and step.stage.name == "benchmark"]
    for extra in benchmarks[1:]:
        what = f"is a second benchmark beside {quote(benchmarks[0])}, and one measures every model"
        mistakes.append(document.mistake(("steps", extra), what, "put both settings into one step"))
    return steps, mistakes


def _metrics(
    steps: list[Step],
    metrics: Sequence[str] | None,
    ranges: Mapping[str, tuple[float, float]],
    document: Document,
) -> Iterator[Mistake]:
    """Names in `expect` that are no metrics of the task, and limits that no metric could pass or miss."""
    if metrics is None:
        return
    for step in steps:
        expect = step.raw.get("expect")
        for name in expect if isinstance(expect, Mapping) else ():
            if name not in metrics:
                what, known = "no such metric of the task", f"its metrics are {', '.join(metrics)}"
                yield document.mistake(("steps", step.name, "expect", name), what, meant(name, metrics, known))
            elif name in ranges and step.spec is not None:
                for limit, value in step.raw["expect"][name].items():
                    if value is not None and not ranges[name][0] <= value <= ranges[name][1]:
                        place = ("steps", step.name, "expect", name, limit)
                        yield document.mistake(place, *out_of_range(name, value, *ranges[name]))


def _step(name: str, fields: Any, document: Document, stages: Mapping[str, Stage]) -> tuple[Step, list[Mistake]]:
    place = ("steps", name)
    mistakes = []
    if not re.fullmatch(STEP_NAME, name):
        mistakes.append(document.mistake(place, f"{quote(name)} is no name for a step", "use letters, digits, - and _"))
    elif name in RESERVED:
        mistakes.append(
            document.mistake(place, f"{quote(name)} is the name of a step that the plan puts in", "choose another name")
        )
    if not isinstance(fields, Mapping):
        what = "the step is empty" if fields is None else f"{quote(fields)} is not a step"
        mistakes.append(document.mistake(place, what, "write it as `{stage: …, …}`"))
        return Step(name, {}, None, None), mistakes
    kind = fields.get("stage")
    if not isinstance(kind, str) or kind not in stages:
        known = f"write one of: {', '.join(stages)}"
        if "stage" not in fields:
            mistakes.append(
                document.mistake(place, "the step has no stage", f"add `stage: …`, one of: {', '.join(stages)}")
            )
        elif kind in HIDDEN:
            mistakes.append(
                document.mistake(
                    (*place, "stage"), f"{quote(kind)} is put in by the plan where it is needed", "leave the step out"
                )
            )
        else:
            mistakes.append(
                document.mistake((*place, "stage"), f"there is no stage {quote(kind)}", meant(kind, stages, known))
            )
        return Step(name, fields, None, None), mistakes
    spec, wrong = explain.check(stages[kind].spec, fields, document, place, quote(kind))
    return Step(name, fields, stages[kind], spec), mistakes + wrong
