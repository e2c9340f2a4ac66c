"""Where and for whom a step works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.progress import Progress

if TYPE_CHECKING:
    from compressor.problem.task import Task


@dataclass(frozen=True)
class Context:
    """What a stage gets beside its spec and inputs.

    folder: empty; all files of the artifact go here. work: kept between attempts; checkpoints go here.
    base: the folder of the pipeline file, which relative paths start from. opset: of every graph made here.
    smoke: one batch through everything; limits on quality (`expect`, parity of answers) do not apply.
    """

    task: Task
    seed: int
    device: str
    folder: Path
    work: Path
    progress: Progress
    step: str
    base: Path = Path(".")
    opset: int = 21
    smoke: bool = False
    pipeline: Mapping[str, Any] = field(default_factory=dict)
