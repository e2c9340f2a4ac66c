"""A pipeline written out in full: every default filled in, nothing that has no effect."""

from __future__ import annotations

from typing import Any

import yaml

from compressor.pipeline.file.spec import Pipeline
from compressor.printable import printable
from compressor.stages.base import StageSpec


def resolved(pipeline: Pipeline) -> dict[str, Any]:
    """The pipeline as plain data with every default filled in, in the order of the file.

    Fields that do nothing beside the others are left out, so that the result can be read again.
    """
    steps: dict[str, Any] = {}
    for name, spec in pipeline.steps.items():
        idle = {field for field, _ in spec.ineffective(pipeline.task)}
        fields = _given(spec)
        steps[name] = {"stage": spec.stage, **{field: value for field, value in fields.items() if field not in idle}}
    found: dict[str, Any] = {"version": pipeline.version, "name": pipeline.name, "seed": pipeline.seed}
    found["task"] = pipeline.task.model_dump(mode="json", by_alias=True, exclude_none=True)
    found |= {"steps": steps, "onnx": pipeline.onnx.model_dump(mode="json")}
    found |= {field: name for field in ("baseline", "ship") if (name := getattr(pipeline, field)) is not None}
    budget: dict[str, Any] = {}
    for limit in pipeline.budget:
        budget.setdefault(limit.measure, {})[limit.kind] = limit.value
    return found | ({"budget": budget | {"decide": pipeline.decide}} if budget else {})


def resolved_yaml(pipeline: Pipeline) -> str:
    """The pipeline as a file that says everything; running it gives the same result as the one it came from."""
    name = printable(pipeline.path.name)
    head = f"# {name} with every default filled in. Relative paths start where that file lies.\n"
    text = _dumped(pipeline, allow_unicode=True)
    # YAML writes what turns the direction, or has no width, as it is; as an escape it stays what it was.
    return head + (text if printable(text, lines=True) == text else _dumped(pipeline, allow_unicode=False))


def _dumped(pipeline: Pipeline, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(resolved(pipeline), sort_keys=False, allow_unicode=allow_unicode, width=100)


def _given(spec: StageSpec) -> dict[str, Any]:
    """A step's fields as a file names them; null only where leaving the field out would mean something else."""
    fields = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, info in type(spec).model_fields.items():
        if getattr(spec, name) is None and info.get_default(call_default_factory=True) is not None:
            fields[info.alias or name] = None
    return fields
