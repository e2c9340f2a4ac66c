"""The distillation methods there are: each file here is one, with its class as `METHOD`. Nothing else names them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from compressor import discovery
from compressor.distillation.method import Method

USUAL = "hinton"


def _found() -> dict[str, type[Method]]:
    classes = discovery.each(sys.modules[__name__], "METHOD")
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
