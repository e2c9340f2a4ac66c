"""JSON Schema of the pipeline file, made from the code: editors complete and check every step by its stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from compressor.pipeline.file.budget import Bounds, MetricBounds
from compressor.pipeline.file.spec import PipelineFile
from compressor.pipeline.file.steps import STEP_NAME
from compressor.report.judgement.measures import MEASURES
from compressor.stages import WRITTEN
from compressor.tasks import TASKS

if TYPE_CHECKING:
    from compressor.stages.base import AnyStage
    from compressor.tasks.base import TaskSpec


def pipeline_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) that `pipelines/pipeline.schema.json` holds."""
    return schema_of(WRITTEN, TASKS)


def schema_of(stages: Mapping[str, AnyStage], tasks: Mapping[str, type[TaskSpec]]) -> dict[str, Any]:
    """The schema of pipeline files that use these stages and tasks."""
    kinds: list[type[BaseModel]] = [PipelineFile, Bounds, MetricBounds]
    kinds += [form for stage in stages.values() for form in stage.specs] + list(tasks.values())
    references, made = models_json_schema([(kind, "validation") for kind in kinds], by_alias=True)
    definitions: dict[str, Any] = _without_titles(made["$defs"])

    def refer(kind: type[BaseModel]) -> dict[str, Any]:
        return dict(references[kind, "validation"])

    file = definitions.pop(refer(PipelineFile)["$ref"].rsplit("/", 1)[-1])
    parts = file["properties"]
    parts["task"] |= _by_name("type", {name: (refer(task), _first_line(task)) for name, task in tasks.items()})
    step = _by_name("stage", {name: (_forms(stage, refer), _first_line(stage.spec)) for name, stage in stages.items()})
    definitions["Step"] = step
    parts["steps"] |= {"additionalProperties": {"$ref": "#/$defs/Step"}, "propertyNames": {"pattern": STEP_NAME}}
    limits = {metric: refer(MetricBounds) | {"description": "A metric of the task."} for metric in _metrics(tasks)}
    limits |= {name: refer(Bounds) | {"description": measure.meaning} for name, measure in MEASURES.items()}
    parts["budget"] |= {"properties": limits | {"decide": DECIDE}, "additionalProperties": False}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A pipeline of compress"}
    return {**head, **file, "$defs": dict(sorted(definitions.items()))}


DECIDE: Mapping[str, Any] = {
    "enum": ["interval", "point"],
    "default": "interval",
    "description": "Whether the whole 95 % interval must keep a limit, or the measured value alone decides.",
}


def _forms(stage: AnyStage, refer: Callable[[type[BaseModel]], dict[str, Any]]) -> dict[str, Any]:
    """The stage's spec, or the one of its forms that a field decides on; the first where it is left out."""
    if not stage.forms:
        return refer(stage.spec)
    (_, usual), *others = stage.forms.items()
    chosen = refer(usual)
    for value, form in others:
        asked = {"properties": {stage.by: {"const": value}}, "required": [stage.by]}
        chosen = {"if": asked, "then": refer(form), "else": chosen}
    return chosen


def _by_name(key: str, kinds: Mapping[str, tuple[dict[str, Any], str]]) -> dict[str, Any]:
    """An object whose fields depend on the name in one of them."""
    names = {"enum": list(kinds), "enumDescriptions": [meaning for _, meaning in kinds.values()]}
    return {
        "type": "object",
        "required": [key],
        "properties": {key: names | {"description": f"One of: {', '.join(kinds)}."}},
        "allOf": [
            {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": reference}
            for name, (reference, _) in kinds.items()
        ],
    }


def _metrics(tasks: Mapping[str, type[TaskSpec]]) -> list[str]:
    return list(dict.fromkeys(metric for task in tasks.values() for metric in task.metrics))


def _first_line(kind: type[BaseModel]) -> str:
    return (kind.__doc__ or "").strip().split("\n")[0]


def _without_titles(part: Any) -> Any:
    """The same schema without the titles that pydantic makes up from names."""
    if isinstance(part, dict):
        return {
            name: _without_titles(value)
            for name, value in part.items()
            if not (name == "title" and isinstance(value, str))
        }
    return [_without_titles(each) for each in part] if isinstance(part, list) else part
