"""What a kind of problem is to the plan: its settings, its identity, and how the task is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def fetch(self, base: Path) -> None:
        """Download the data, where `needs_download` says that it is not there."""
        raise NotImplementedError

    def make(
        self, base: Path, *, smoke: bool = False, declared: Sequence[Mapping[str, Any]] | None = None,
        digests: FileDigests | None = None, cache: Path | None = None,
    ) -> Task:  # fmt: skip
        """The problem with its data, checked.

        base: folder of the pipeline file. smoke: at most 512 training, 64 validation and 64 test samples.
        declared: the preprocessing that the weights declare, for a file that is silent. digests: remembers those of
        large files. cache: a folder in which to remember which pictures were decoded and found whole.

        Raises:
            InputError: data that is missing, broken, too few, or not what the preprocessing takes.
        """
        raise NotImplementedError
