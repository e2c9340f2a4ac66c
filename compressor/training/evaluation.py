"""What torch says of a model on one split: for choices made while training, never for the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from compressor.device.memory import short_of_memory
from compressor.errors import ResourceError
from compressor.problem.batch import Tensors, joined
from compressor.problem.task import Task
from compressor.training import precision as precisions
from compressor.training.objective import answer
from compressor.training.placing import to_device


@torch.no_grad()
def evaluate(
    model: nn.Module, task: Task, split: Literal["train", "validation", "test"], *, batch_size: int,
    device: str = "cpu", precision: str = "float32",
) -> dict[str, float]:  # fmt: skip
    """Mean loss (`loss`) and each metric of the model, which is in eval mode and on the device already."""
    loss, counted = 0.0, 0
    outputs: list[Tensors] = []
    targets: list[Tensors] = []
    for given in task.batches(split, batch_size):
        batch = to_device(given, device)
        with precisions.autocast(precision, device):
            answered = answer(model, batch, task)
        answered = {name: value.float() for name, value in answered.items()}
        term = task.loss(answered, batch)
        loss, counted = loss + float(term.total), counted + term.count
        outputs.append({name: value.cpu() for name, value in answered.items()})
        targets.append({name: value.cpu() for name, value in batch.targets.items()})
    if not outputs:
        return {"loss": 0.0}
    found, wanted = joined(outputs), joined(targets)
    return {"loss": loss / counted, **{name: one.value(found, wanted, None) for name, one in task.metrics.items()}}


@contextmanager
def memory_errors(step: str, batch_size: int) -> Iterator[None]:
    """Turn a shortage of memory, of the host or of a GPU, into a ResourceError that names a batch size to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        if not short_of_memory(problem):
            raise
        raise ResourceError(
            f"step {step}",
            f"the memory does not suffice for a batch_size of {batch_size}",
            f"try batch_size: {max(2, batch_size // 2)}",
        ) from problem
