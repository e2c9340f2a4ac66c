"""The stages there are: each file here but `base` is one, as `STAGE`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from compressor import discovery

if TYPE_CHECKING:
    from compressor.stages.base import AnyStage

_FIRST = ("load", "finetune", "distill", "prune", "quantize", "export", "benchmark")
"""Stages in the order in which a pipeline has them; others are told after them."""
HIDDEN = ("evaluate", "compare")
"""Stages that the plan puts in by itself; no file names them."""


def _writable() -> tuple[str, ...]:
    others = set(discovery.files(sys.modules[__name__])) - {*_FIRST, *HIDDEN, "base"}
    return (*_FIRST, *sorted(others))


class _Registry(Mapping[str, "AnyStage"]):
    """Stages by name, each read from its file when it is first asked for."""

    def __init__(self, names: Callable[[], tuple[str, ...]]) -> None:
        self._names = names

    def __getitem__(self, name: str) -> AnyStage:
        if name not in self:
            raise KeyError(name)
        stage: AnyStage = import_module(f"{__name__}.{name}").STAGE
        return stage

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()


WRITTEN: Mapping[str, AnyStage] = _Registry(_writable)
"""The stages that a file can name."""

STAGES: Mapping[str, AnyStage] = _Registry(lambda: _writable() + HIDDEN)
"""Every stage."""
