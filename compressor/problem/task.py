"""The one interface to the problem: everything that knows what a class is lives behind `Task`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from compressor.problem.batch import Arrays, Batch, Logits, Order, Sum, Tensors
from compressor.problem.metric import Metric
from compressor.problem.signature import Signature

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "validation", "test"]
Form = Literal["network", "pixels_nhwc", "pixels_nchw"]
"""How inputs are given: as the network takes them, or as pixels, uint8, after the geometric preprocessing."""


LABEL_SAMPLES = 512
"""As many as `Task.check_labels` needs to be sure."""


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task beside its samples.

    labels: what an answer may be, in the order of the outputs; empty where answers are no choice. notes: sentences
    about the data that a person should read. sizes: samples of each split, all of them, also where a smoke run sees but
    a few. unseen: bool [test], samples that no choice was made on; None where that is all of them.
    """

    name: str
    labels: Sequence[str]
    preprocess: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    sizes: Mapping[Split, int]
    unseen: np.ndarray | None = None


@dataclass(frozen=True)
class Answer:
    """What a person is told of one sample, and how sure the network is of it, from 0 to 1."""

    text: str
    sure: float


@dataclass(frozen=True)
class Exhibit:
    """A sample as a device and a person meet it.

    encoded: a file's bytes (PNG or JPEG). pixels: uint8 [height, width, channels] after the geometric preprocessing.
    target: the right answer.
    """

    encoded: bytes
    pixels: np.ndarray
    target: str


def answering(task: Task) -> Callable[[np.ndarray], np.ndarray]:
    """What the task makes of the output [samples, …], as texts [samples] that can be compared."""
    import numpy as np

    name = task.signature.outputs[0].name
    return lambda outputs: np.array([answer.text for answer in task.answers({name: outputs})], dtype=object)


class Task(Protocol):
    """What a stage asks; it never looks inside. The first metric decides."""

    @property
    def facts(self) -> TaskFacts:
        """What is known beside the samples."""

    @property
    def signature(self) -> Signature:
        """What goes into the network and what comes out."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """By name."""

    def size(self, split: Split) -> int:
        """Number of samples in a split."""

    def batches(
        self, split: Split, size: int, order: Order | None = None, *, form: Form = "network",
        limit: int | None = None, drop_last: bool = False,
    ) -> Iterator[Batch]:  # fmt: skip
        """Batches as they lie, or in an order. limit: samples at most. drop_last: none that is not full."""

    def loss(self, outputs: Tensors, batch: Batch, *, label_smoothing: float = 0.0) -> Sum:
        """The loss of a batch against its labels."""

    def logits(self, outputs: Tensors, batch: Batch) -> Logits | None:
        """The scores over alternatives; None where the outputs are no such scores."""

    def answers(self, outputs: Arrays, activation: str | None = None) -> Sequence[Answer]:
        """What a person is told of each sample. activation: what the outputs come out of, None for raw scores."""

    def check_labels(self, where: str, outputs: Arrays, targets: Arrays) -> None:
        """Refuse (InputError) outputs of a trained network that are right with the labels in another order."""

    def show(self, split: Split, index: int) -> Exhibit:
        """One sample."""

    def breakdown(self, outputs: Arrays, targets: Arrays) -> dict[str, Any]:
        """What the report shows of one model: `{"per_class": […], "confusion": [[…]]}`, as JSON, of many
        classes `cells` in place of `confusion`."""
