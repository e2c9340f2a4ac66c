"""The distillation methods there are: each file here is one, with its class as `METHOD`. Nothing else names them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from compressor.distillation.method import Method

USUAL = "hinton"


def _found() -> dict[str, type[Method]]:
    classes = (import_module(f"{__name__}.{one.name}").METHOD for one in iter_modules(__path__))
    return {made.model_fields["name"].default: made for made in classes}


METHODS: Mapping[str, type[Method]] = _found()
"""By name."""


def _long(value: Any) -> Any:
    """A bare name stands for the method with its defaults."""
    return {"name": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    AnyMethod = Method
else:
    _kinds = reduce(or_, METHODS.values())
    _chosen = Annotated[_kinds, Field(discriminator="name")] if len(METHODS) > 1 else _kinds
    AnyMethod = Annotated[_chosen, BeforeValidator(_long, json_schema_input_type=_chosen | Literal[tuple(METHODS)])]
