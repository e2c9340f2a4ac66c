"""Samples on their way through a network, and what a loss says of them. Tensors and arrays go by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
"""By the names of a signature, in its order; each [samples, …]."""
Arrays = Mapping[str, "np.ndarray"]
"""The same, of numpy."""


@dataclass(frozen=True)
class Order:
    """In which order training samples come, and how they are changed on the way: (seed, epoch) decides.

    start: the first batch to give; a resumed epoch skips without decoding. mixup: alpha of the Beta distribution that
    mixes pairs of samples; 0 mixes none.
    """

    seed: int
    epoch: int = 0
    start: int = 0
    mixup: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Samples ready for a network.

    inputs: by the names of the task's signature. targets: by names of the task's own, which nobody else reads.
    indices: int64 [batch], places in the split.
    """

    inputs: Tensors
    targets: Tensors
    indices: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def moved(self, move: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor of inputs and targets moved."""
        inputs = {name: move(value) for name, value in self.inputs.items()}
        return Batch(inputs, {name: move(value) for name, value in self.targets.items()}, self.indices)


@dataclass(frozen=True)
class Logits:
    """Scores over alternatives, for methods that compare them: [rows, k]. A row is a sample, or a real token of one.

    targets: int64 [rows], or shares, float32 [rows, k], or None. sample: int64 [rows], the place of the row's sample.
    """

    rows: Tensor
    targets: Tensor | None
    sample: Tensor


@dataclass(frozen=True)
class Sum:
    """A loss summed over what it counts (samples, or tokens), so that batches of unlike sizes average rightly."""

    total: Tensor
    count: int

    @property
    def mean(self) -> Tensor:
        """A scalar."""
        return self.total / self.count

    def times(self, factor: float) -> Sum:
        """The same with a weight."""
        return self if factor == 1 else Sum(self.total * factor, self.count)


def rows(tensors: Tensors, places: Any) -> dict[str, Tensor]:
    """Some of the samples: a slice, or places."""
    return {name: value[places] for name, value in tensors.items()}


def count(tensors: Mapping[str, Any]) -> int:
    """How many samples there are."""
    return len(next(iter(tensors.values())))


def only(arrays: Mapping[str, Any]) -> Any:
    """The one that there is, where there is one."""
    (one,) = arrays.values()
    return one


def named(answer: Any, names: Sequence[str]) -> dict[str, Tensor]:
    """What a network answered, by the names of its outputs. answer: one tensor, several in order, or some by name."""
    if isinstance(answer, Mapping):
        return {name: answer[name] for name in names}
    return dict(zip(names, answer if isinstance(answer, tuple | list) else (answer,), strict=True))


def joined(parts: Sequence[Tensors]) -> dict[str, np.ndarray]:
    """All parts behind each other, as arrays; empty where there is none. Floats become float32."""
    import numpy as np

    def array(value: Tensor) -> np.ndarray:
        made: np.ndarray = (value.float() if value.is_floating_point() else value).detach().cpu().numpy()
        return made

    return {name: np.concatenate([array(part[name]) for part in parts]) for name in (parts[0] if parts else ())}
