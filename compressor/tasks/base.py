"""The one interface to the problem: everything that knows what a class is lives behind `Task`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from compressor.data.contents import FileDigests, Split

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a network: `shape` without the batch, `meaning` in words a device's author reads."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Signature:
    """Names, dtypes and shapes of what goes in and what comes out."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Batch:
    """Samples ready for a network.

    inputs: float32 [batch, …]. targets: int64 [batch], or soft, float32 [batch, classes].
    indices: int64 [batch], places in the split.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor


@dataclass(frozen=True)
class RawSample:
    """A sample as a device meets it, for golden samples and pictures in the report.

    encoded: a file's bytes (PNG or JPEG). pixels: uint8 [height, width, channels] after the geometric preprocessing.
    """

    encoded: bytes
    pixels: np.ndarray
    target: int


class Task(Protocol):
    """What a stage asks; it never looks inside.

    notes: sentences about the data that a person should read. whole: samples of each split, all of them, also where a
    smoke run sees but a few.
    """

    name: str
    metric: str
    fingerprint: str
    signature: Signature
    answers: Sequence[str]
    preprocess: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    whole: Mapping[Split, int]

    def size(self, split: Split) -> int:
        """Number of samples in a split."""

    def batches(
        self,
        split: Split,
        batch_size: int,
        *,
        seed: int | None = None,
        epoch: int = 0,
        start: int = 0,
        limit: int | None = None,
        pixels: bool = False,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Batches in a fixed order, or, with a seed, shuffled and augmented as (seed, epoch) says.

        start: first batch to give (a resumed epoch skips without decoding). limit: samples at most.
        pixels: uint8 [batch, height, width, channels] after the geometric preprocessing instead of network inputs.
        drop_last: leave out a last batch that is not full.
        """

    def unseen(self) -> np.ndarray | None:
        """bool [test]: samples that no choice was made on; None where that is all of them."""

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of a batch against its labels."""

    def mix(self, batch: Batch, alpha: float, *, seed: int, epoch: int, index: int) -> Batch:
        """The batch with pairs of samples mixed (mixup); alpha is that of the Beta distribution."""

    def distance(self, outputs: Tensor, teacher_outputs: Tensor, *, temperature: float) -> Tensor:
        """How far from the teacher: mean over the batch, scaled so that gradients keep their size."""

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Per-sample value of each metric, float64 [samples]; their mean is the metric."""

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """What the user of the model is told, int64 [samples]: indices into `answers`."""

    def breakdown(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """What the report shows of one model: `{"per_class": […], "confusion": [[…]]}`, as JSON, of many
        classes `cells` in place of `confusion`."""

    def raw(self, split: Split, index: int) -> RawSample:
        """One sample as a device meets it."""


class TaskSpec(BaseModel):
    """The torch-free half of a task: its settings and what the plan needs to know of the problem."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    metrics: ClassVar[tuple[str, ...]] = ()
    metric: ClassVar[str] = ""
    metric_ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

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

    def class_names(self, base: Path) -> tuple[str, ...] | None:
        """The classes in the order of the outputs, where that is known without loading the data."""
        raise NotImplementedError

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
