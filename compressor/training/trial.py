"""One step of training on a few samples, to find before the first epoch what would fail in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from compressor import seeds
from compressor.models import modes
from compressor.training.placing import formed, layout, place

RATE = 1e-3


def step(model: nn.Module, task: Any, inputs: Tensor, freeze: Callable[[nn.Module], Iterable[nn.Module]]) -> nn.Module:
    """A copy of the model after one step forward and back, and an answer in eval mode; the model stays as it is.

    All of it on the CPU. inputs: [n, …]. freeze: called with the copy, gives the parts that stay in eval mode.
    Raises what the network raises, and FloatingPointError where the loss is not a number.
    """
    with seeds.kept([]):
        seeds.begin(0)
        form = layout(model, inputs.shape[1:], "cpu")
        copied, given = place(duplicate(model, inputs), "cpu", form), formed(inputs, form)
        copied.train()
        for resting in freeze(copied):
            resting.eval()
        classes = task.signature.outputs[0].shape[-1]
        targets = torch.arange(len(given)) % classes
        outputs = copied(given)
        if not isinstance(outputs, Tensor):
            one = type(outputs).__name__
            raise TypeError(f"in training mode it answers with a {one}, where one tensor is needed")
        loss = nn.functional.cross_entropy(outputs.float(), targets)
        if not torch.isfinite(loss):
            raise FloatingPointError("the loss is not a number")
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in copied.parameters():
                if parameter.requires_grad and parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-RATE)
            modes.answer(copied, given)
        copied.zero_grad(set_to_none=True)
        return copied


def duplicate(model: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy of a network, also of one that keeps tensors of its last pass: without gradients they can be copied."""
    modes.answer(model, inputs[:2])
    return copy.deepcopy(model)
