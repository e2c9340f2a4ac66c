"""What a plan asks of a pipeline and of a store, so that it can be tested over plain data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from compressor.store.artifact import Artifact


class Index(Protocol):
    """What a plan asks the store; it changes nothing there."""

    def find(self, key: str, rebuild: str = "") -> Artifact | None:
        """The artifact of a key, or None."""

    def interrupted(self, key: str) -> str | None:
        """When work on a key was last saved, None where none was."""

    def previous(self, slot: str) -> tuple[str, dict[str, Any]] | None:
        """The key and the identity that a place in a pipeline had last."""


class Memory(Protocol):
    """Where the identity behind a key is kept for the next plan."""

    def remember(self, slot: str, key: str, identity: Mapping[str, Any]) -> None:
        """Keep what a place in a pipeline was made of."""


class Graphs(Protocol):
    """The part of a pipeline about the graphs made in it."""

    @property
    def opset(self) -> int:
        """ONNX opset of every graph."""


class Wish(Protocol):
    """What a plan needs of a pipeline. `roles` gives the steps that a step names, by role (`from`, `teacher`)."""

    @property
    def name(self) -> str:
        """Names the pipeline in the store's memory."""

    @property
    def seed(self) -> int:
        """Seed of the steps that have none of their own."""

    @property
    def steps(self) -> Mapping[str, Any]:
        """Specs by step, in the order of the file."""

    @property
    def baseline(self) -> str | None:
        """The step that drops are measured against."""

    @property
    def ship(self) -> str | None:
        """The export step that ships."""

    @property
    def path(self) -> Path:
        """The pipeline's file, for the commands shown."""

    @property
    def onnx(self) -> Graphs:
        """Settings of the graphs."""

    def roles(self, step: str) -> Mapping[str, str]:
        """The steps that a step names, by role."""
