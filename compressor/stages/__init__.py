"""The stages there are: each file beside this one but `base` is one, with a `STAGE` in it. Nothing lists them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from compressor import discovery

if TYPE_CHECKING:
    from compressor.stages.base import AnyStage

HIDDEN = ("evaluate", "compare")
"""Stages that the plan puts in by itself; no file names them."""
_CHAIN = ("load", "finetune", "distill", "prune", "quantize", "export", "benchmark")


def _writable() -> tuple[str, ...]:
    found = set(discovery.files(sys.modules[__name__])) - {"base", *HIDDEN}
    return (*_CHAIN, *sorted(found.difference(_CHAIN)))


WRITABLE = _writable()
"""Stages that a file can name, in the order in which a pipeline goes through them; others behind."""


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
