"""What a graph needs to know of a task's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Port(Protocol):
    """One input or output: `shape` without the batch."""

    @property
    def name(self) -> str:
        """Its name in the graph."""

    @property
    def dtype(self) -> str:
        """As numpy names it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""


class Signature(Protocol):
    """Names, dtypes and shapes of what goes in and what comes out."""

    @property
    def inputs(self) -> Sequence[Port]:
        """In order."""

    @property
    def outputs(self) -> Sequence[Port]:
        """In order."""
