"""Settings that cannot exist in a wrong state: frozen, and taken as they are written."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

_SCALARS = frozenset({"bool", "float", "int", "str"})
_NOT_SCHEMAS = frozenset({"default", "expected", "metadata", "serialization"})


def as_written(schema: Any) -> Any:
    """The same core schema with strict scalars; lists still stand for tuples, and text for paths."""
    if isinstance(schema, dict):
        made = {name: part if name in _NOT_SCHEMAS else as_written(part) for name, part in schema.items()}
        kind = made.get("type")
        return {"strict": True, **made} if isinstance(kind, str) and kind in _SCALARS else made
    if isinstance(schema, list | tuple):
        return type(schema)(as_written(part) for part in schema)
    return schema


class Frozen(BaseModel):
    """A specification that cannot exist in a wrong state, nor be changed.

    Values are taken as written: `"3"` and `true` are no numbers, and `yes` is no `true`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's schema of the class, with strict scalars."""
        return cast(CoreSchema, as_written(handler(source)))
