"""What every piece of a file is that is read again: an evaluation's, a report's."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Record(BaseModel):
    """A piece of such a file: complete when made, and unchanged from then on."""

    # A newer version's file has fields that this one does not know.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=())

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        if not _is_countable(value):
            raise ValueError("a number is beyond 64 bits")
        return value


def _is_countable(value: Any) -> bool:
    """Whether no whole number in a value is too large to be reckoned with."""
    if isinstance(value, int):
        return abs(value) < 2**63
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return all(map(_is_countable, inner))
