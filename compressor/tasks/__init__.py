"""The kinds of problem that a pipeline can name: files beside this one that define a `KIND`. Nothing lists them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor import discovery
from compressor.data.contents import FileDigests
from compressor.tasks.base import TaskKind, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compressor.problem.task import Task

TASKS: dict[str, TaskKind] = {kind.name: kind for kind in discovery.each(sys.modules[__name__], "KIND")}


def make(
    spec: TaskSpec,
    *,
    base: Path,
    seed: int,
    smoke: bool = False,
    declared: Sequence[Mapping[str, Any]] | None = None,
    digests: FileDigests | None = None,
    cache: Path | None = None,
) -> Task:
    """The problem with its data, checked.

    base: folder of the pipeline file. smoke: at most 512 training, 64 validation and 64 test samples.
    declared: the preprocessing that the weights declare, for a file that is silent. digests: remembers those of large
    files. cache: a folder in which to remember which pictures were decoded and found whole.

    Raises:
        InputError: data that is missing, broken, too few, or not what the preprocessing takes.
    """
    kind = TASKS[spec.type]
    return kind.make(spec, base=base, seed=seed, smoke=smoke, declared=declared, digests=digests, cache=cache)


def fetch(spec: TaskSpec, base: Path) -> None:
    """Download what the file asked for, where `spec.needs_download(base)` says that it is not there."""
    kind = TASKS[spec.type]
    if kind.fetch is not None and spec.needs_download(base):
        kind.fetch(spec, base)
