"""What a network costs: multiply-accumulates of one inference, and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from compressor.models import modes, products
from compressor.problem.signature import TensorSpec


@dataclass(frozen=True)
class Cost:
    """macs: multiply-accumulates for one sample of convolutions, matrix products, recurrent layers and attention,
    whether modules or functions. params: trained numbers. uncounted: operators that may multiply and are not in macs.
    """

    macs: int
    params: int
    uncounted: tuple[str, ...] = ()

    def words(self) -> str:
        """`78,042 parameters, 12.4 million MACs`."""
        macs = f"{self.macs:,}"
        for size, word in ((1e6, "million"), (1e9, "billion")):
            if self.macs >= size:
                macs = f"{self.macs / size:.3g} {word}"
        least = "at least " if self.uncounted else ""
        more = f" (those of {', '.join(self.uncounted)} are not counted)" if self.uncounted else ""
        return f"{self.params:,} parameters, {least}{macs} MACs{more}"


def count(model: nn.Module, input_shape: Sequence[int]) -> Cost:
    """What a network costs whose input is one tensor of float numbers of this shape; see `of`."""
    return of(model, (TensorSpec("input", "float32", tuple(input_shape)),))


def of(model: nn.Module, inputs: Sequence[TensorSpec]) -> Cost:
    """Send one sample of zeros through the model in eval mode and count.

    As in its ONNX graph, what follows from the weights alone counts nothing. The model's mode and device stay as they
    are.
    """
    counter = products.Counter([*model.parameters(), *model.buffers()])
    with modes.evaluating(model), _operator_by_operator(), counter:
        model(*modes.zeros(model, inputs).values())
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(counter.macs, params, tuple(sorted(counter.uncounted)))


@contextmanager
def _operator_by_operator() -> Iterator[None]:
    """Without torch's own operators for whole blocks of attention."""
    before: Any = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
