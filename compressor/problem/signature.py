"""What goes into a network and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a network: `shape` without the batch, `meaning` in words a device's author reads."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Signature:
    """Names, dtypes and shapes of what goes in and what comes out."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
