"""What every piece of a report is, and how a file of it is written."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from compressor import unfinished
from compressor.errors import ResourceError


class Part(BaseModel):
    """A piece of the report: complete when made, and unchanged from then on."""

    # A newer version's report has fields that this one does not know.
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


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader never meets half of it.

    Raises:
        ResourceError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_whole(path, text, durable=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else f"cannot be written ({error.strerror})"
        raise ResourceError(str(path), what, "free space or choose another --out") from None
