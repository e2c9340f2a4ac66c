"""The fields of a pipeline file as rows: name, type, default and meaning, from the code and from nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from compressor.pipeline.file.explain import json_schema
from compressor.pipeline.file.roles import written
from compressor.pipeline.file.words import Schema, accepted, choices, quote
from compressor.stages.base import AnyStage
from compressor.training.settings import TrainingFields

REQUIRED = "required"


@dataclass(frozen=True)
class FieldRow:
    """One field. `name` is dotted where it lies in another; `default` is `required` where it must be given."""

    name: str
    type: str
    default: str
    meaning: str


def rows(kind: type[BaseModel], *, training: bool = True, roles: Collection[str] = ()) -> list[FieldRow]:
    """The fields of a specification: the steps it names, then its own, those of training, and the seed.

    training: whether to give the fields that every training stage has, too. roles: fields that name a step.
    """
    root = json_schema(kind)
    last = [*TrainingFields.model_fields, "seed"] if issubclass(kind, TrainingFields) else ["seed"]
    order = {name: place for place, name in enumerate(last, 1)} | dict.fromkeys(roles, -1)
    given = TrainingFields.model_json_schema()["properties"]
    names = [name for name in root["properties"] if name not in ("stage", "type")]
    if not training:
        names = [name for name in names if root["properties"][name] != given.get(name)]
    names.sort(key=lambda name: order.get(name, 0))
    found = [row for name in names for row in _rows(name, root["properties"][name], root, root, _default(kind, name))]
    return [replace(row, type="an earlier step") if row.name in roles else row for row in found]


def of_stage(stage: AnyStage, *, training: bool = True) -> list[FieldRow]:
    """The fields of all forms of a stage, those that they share first and the seed last."""
    named = [role for role in stage.takes if any(role in written(form) for form in stage.specs)]
    found: dict[str, FieldRow] = {}
    for form in dict.fromkeys((stage.spec, *stage.specs)):
        for row in rows(form, training=training, roles=named):
            found.setdefault(row.name, row)
    return sorted(found.values(), key=lambda row: row.name == "seed")


def _rows(name: str, node: Schema, owner: Schema, root: Schema, default: str | None = None) -> Iterator[FieldRow]:
    needed = (*owner.get("required", ()), *owner.get("then", {}).get("required", ()))
    if name.split(".")[-1].removesuffix("[]") in needed:
        default = REQUIRED
    elif default is None:
        default = shown(node.get("default"))
    meaning = str(node.get("description", ""))
    options = choices(node, root)
    nullable = default not in ("", REQUIRED) and {"type": "null"} in node.get("anyOf", ())
    yield FieldRow(
        name,
        accepted(node, root) + (", or null" if nullable else ""),
        default,
        meaning or str(options[0].get("description", "")).split("\n")[0],
    )
    for option in options:
        inside = name
        while option.get("type") == "array" and isinstance(option.get("items"), Mapping):
            inside, option = f"{inside}[]", choices(option["items"], root)[0]
        values = option.get("additionalProperties")
        if isinstance(values, Mapping) and "$ref" in values:
            inside, option = f"{inside}.NAME", choices(values, root)[0]
        for part, below in option.get("properties", {}).items():
            yield from _rows(f"{inside}.{part}", below, option, root)


def _default(kind: type[BaseModel], name: str) -> str | None:
    """What a field is where a file leaves it out; None where the schema says it."""
    info = next((info for field, info in kind.model_fields.items() if name in (field, info.alias)), None)
    if info is None or info.default_factory is None:
        return None
    value = info.get_default(call_default_factory=True)
    return shown(
        value.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(value, BaseModel) else value
    )


def shown(value: Any) -> str:
    """A default as a file would write it; nothing where leaving the field out means none."""
    if value is None or value in ({}, [], ()):
        return ""
    return quote(value).strip('"') if isinstance(value, str) else quote(value)
