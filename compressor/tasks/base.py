"""What a kind of problem is to the plan: its settings, its identity, and how the task is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from compressor.data.contents import FileDigests
from compressor.problem.metric import Metric
from compressor.problem.task import Task

if TYPE_CHECKING:
    pass


class TaskSpec(BaseModel):
    """The torch-free half of a task: its settings and what the plan needs to know of the problem."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    metrics: ClassVar[Mapping[str, Metric]] = {}
    """By name; the first one decides."""

    type: str

    @property
    def data_name(self) -> str:
        """What the report calls the data."""
        raise NotImplementedError

    def fingerprint(
        self, base: Path, digests: FileDigests, declared: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The identity of each part of the problem that a stage may use, as JSON: contents, never paths.

        declared: who declares the preprocessing (the weights' name, the library's version) where the file is silent.

        Raises:
            InputError: the data is not there or not laid out as it must be.
        """
        raise NotImplementedError

    def variables(self) -> tuple[str, ...]:
        """Variables of the environment that tell where the data is."""
        return ()

    def libraries(self) -> Mapping[str, tuple[str, ...]]:
        """Part of the fingerprint -> distributions whose versions decide what is made of it."""
        return {}

    def needs_download(self, base: Path) -> bool:
        """Whether `fetch` must bring the data first: the file asks for a download and the data is not there."""
        return False


@dataclass(frozen=True)
class TaskKind:
    """A kind of problem as the registry knows it. make(spec, …) gives the Task; fetch(spec, base) downloads."""

    name: str
    spec: type[TaskSpec]
    make: Callable[..., Task]
    fetch: Callable[[Any, Path], None] | None = None
