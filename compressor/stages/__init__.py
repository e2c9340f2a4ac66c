"""The stages there are. A new one is a file beside this one with a `STAGE` in it, and its name below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compressor.stages.base import AnyStage

WRITABLE = (
    "load",
    "finetune",
    "distill",
    "prune",
    "quantize",
    "export",
    "benchmark",
)
HIDDEN = ("evaluate", "compare")
"""Stages that the plan puts in by itself; no file names them."""


class _Registry(Mapping[str, "AnyStage"]):
    """Stages by name, each read from its file when it is first asked for."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __getitem__(self, name: str) -> AnyStage:
        if name not in self._names:
            raise KeyError(name)
        stage: AnyStage = import_module(f"{__name__}.{name}").STAGE
        return stage

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


STAGES: Mapping[str, AnyStage] = _Registry(WRITABLE + HIDDEN)
"""Every stage."""

WRITTEN: Mapping[str, AnyStage] = _Registry(WRITABLE)
"""The stages that a file can name."""
