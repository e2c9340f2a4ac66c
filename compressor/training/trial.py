"""One step of training on a few samples, to find before the first epoch what would fail in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compressor import seeds
from compressor.models import modes
from compressor.problem.batch import Tensors, named, rows
from compressor.problem.task import Task
from compressor.training.placing import formed, layout, place

RATE = 1e-3


def step(
    model: nn.Module, task: Task, inputs: Tensors, freeze: Callable[[nn.Module], Iterable[nn.Module]]
) -> nn.Module:
    """A copy of the model after one step forward and back, and an answer in eval mode; the model stays as it is.

    All of it on the CPU. inputs: [n, …]. freeze: called with the copy, gives the parts that stay in eval mode.
    Raises what the network raises, and FloatingPointError where the loss is not a number.
    """
    with seeds.kept([]):
        seeds.begin(0)
        form = layout(model, task.signature.inputs[0].shape, "cpu")
        copied = place(duplicate(model, inputs), "cpu", form)
        given = {name: formed(values, form) for name, values in inputs.items()}
        copied.train()
        for resting in freeze(copied):
            resting.eval()
        names = [output.name for output in task.signature.outputs]
        answered: Any = copied(*given.values())
        if len(names) == 1 and not isinstance(answered, Tensor | Mapping):
            one = type(answered).__name__
            raise TypeError(f"in training mode it answers with a {one}, where one tensor is needed")
        loss = torch.stack([_loss(rows.float()) for rows in named(answered, names).values()]).sum()
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


def _loss(outputs: Tensor) -> Tensor:
    """A loss that pulls every number: cross entropy with one class after the other, of single numbers the square."""
    scores = outputs.flatten(0, -2)
    if scores.shape[1] == 1:
        return (scores - 1).square().mean()
    return nn.functional.cross_entropy(scores, torch.arange(len(scores)) % scores.shape[1])


def duplicate(model: nn.Module, inputs: Tensors) -> nn.Module:
    """A copy of a network, also of one that keeps tensors of its last pass: without gradients they can be copied."""
    modes.answer(model, rows(inputs, slice(2)))
    return copy.deepcopy(model)
