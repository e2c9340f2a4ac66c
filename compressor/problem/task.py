"""The one interface to the problem: everything that knows what a class is lives behind `Task`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from compressor.problem.signature import Signature

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Split = Literal["train", "validation", "test"]


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
