"""Reads the steps of a pipeline: each against its stage, then all together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from compressor.errors import meant
from compressor.pipeline.file import explain, roles
from compressor.pipeline.file.document import Document, Mistake
from compressor.pipeline.file.roles import Step
from compressor.pipeline.file.words import quote
from compressor.stages import HIDDEN, STAGES
from compressor.stages.base import AnyStage, StageSpec
from compressor.strict import Place
from compressor.tasks.base import TaskSpec

STEP_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


def read(
    raw: Any, document: Document, stages: Mapping[str, AnyStage], task: TaskSpec | None
) -> tuple[list[Step], list[Mistake]]:
    """The steps as written, and every mistake in them. task: None where the task itself is wrong."""
    if not isinstance(raw, Mapping):
        return [], []
    steps: list[Step] = []
    mistakes: list[Mistake] = []
    for name, fields in raw.items():
        step, wrong = _step(name, fields, document, stages)
        steps.append(step)
        mistakes += wrong
    told = {mistake.error.where for mistake in mistakes}
    mistakes += [mistake for mistake in roles.check(steps, document, task) if mistake.error.where not in told]
    timing = [(step.name, step.stage.name) for step in steps if step.stage is not None and step.stage.times]
    for extra, stage in timing[1:]:
        what = f"is a second {stage} beside {quote(timing[0][0])}, and one measures every model"
        mistakes.append(document.mistake(("steps", extra), what, "put both settings into one step"))
    return steps, mistakes


def _of_whole_pipelines() -> frozenset[str]:
    """Names that the plan gives to steps of its own."""
    return frozenset(STAGES[name].part for name in HIDDEN if "from" not in STAGES[name].takes)


def _step(name: str, fields: Any, document: Document, stages: Mapping[str, AnyStage]) -> tuple[Step, list[Mistake]]:
    place = ("steps", name)
    mistakes = []
    if not re.fullmatch(STEP_NAME, name):
        mistakes.append(document.mistake(place, f"{quote(name)} is no name for a step", "use letters, digits, - and _"))
    elif name in _of_whole_pipelines():
        mistakes.append(
            document.mistake(place, f"{quote(name)} is the name of a step that the plan puts in", "choose another name")
        )
    if not isinstance(fields, Mapping):
        what = "the step is empty" if fields is None else f"{quote(fields)} is not a step"
        mistakes.append(document.mistake(place, what, "write it as `{stage: …, …}`"))
        return Step(name, {}), mistakes
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
        return Step(name, fields), mistakes
    form = stages[kind].form(fields)
    fitting, elsewhere = _of_form(stages[kind], form, fields, document, place)
    spec, wrong = explain.check(form, fitting, document, place, quote(kind))
    return Step(name, fields, stages[kind], None if elsewhere else spec), mistakes + elsewhere + wrong


def _of_form(
    stage: AnyStage, form: type[StageSpec], fields: Mapping[str, Any], document: Document, place: Place
) -> tuple[dict[str, Any], list[Mistake]]:
    """The fields without those that only another form of the stage has; one that says something is a mistake."""
    others = {name for other in stage.specs for name in roles.written(other)} - set(roles.written(form))
    mistakes = [
        roles.without_effect((*place, name), form.lacks, document)
        for name, value in fields.items()
        if name in others and value is not None and form.lacks
    ]
    return {name: value for name, value in fields.items() if name not in others}, mistakes
