"""The registry of tasks: every kind of problem that a pipeline can name, and how each is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.data.contents import FileDigests
from compressor.tasks import classification
from compressor.tasks.base import TaskKind, TaskSpec
from compressor.tasks.image_classification import ImageClassificationSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compressor.problem.task import Task

TASKS: dict[str, TaskKind] = {
    kind.name: kind
    for kind in (TaskKind("image-classification", ImageClassificationSpec, classification.make, classification.fetch),)
}


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
