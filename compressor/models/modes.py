"""How a network is asked: in eval mode, for a while or from now on, and without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from compressor.problem.batch import Tensors
from compressor.problem.signature import TensorSpec


def in_eval(model: nn.Module) -> nn.Module:
    """The model itself, in eval mode. `model.eval()` gives nothing where its own `train` returns nothing."""
    model.eval()
    return model


def answered(model: nn.Module, inputs: Tensors, *, training: bool = False) -> Any:
    """What the model gives back in this mode, in which it stays, without gradients."""
    model.train(training)
    with torch.no_grad():
        return model(*inputs.values())


def answer(model: nn.Module, inputs: Tensors, *, training: bool = False) -> Tensor:
    """The same as one tensor [samples, …]: of several, all numbers of a sample behind each other."""
    found: Any = answered(model, inputs, training=training)
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, tuple | list) and found and all(isinstance(part, Tensor) for part in found):
        found = torch.cat([part.flatten(1).float() for part in found], 1)
    given: Tensor = found
    return given


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode, no gradients inside and torch's random numbers as they were afterwards; each module
    is in its own mode again then."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:  # not `model.eval()`, which exported modules refuse
            module.training = False
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes:
            module.training = training


def zeros(model: nn.Module, inputs: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """One sample of zeros on the device of the model's weights; floats are of their type."""
    example = next((one for one in model.parameters() if one.is_floating_point()), torch.zeros(()))
    types = {one.name: example.dtype if one.dtype == "float32" else getattr(torch, one.dtype) for one in inputs}
    return {one.name: torch.zeros(1, *one.shape, device=example.device, dtype=types[one.name]) for one in inputs}
