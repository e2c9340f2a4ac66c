"""What torch says of a model on one split: for choices made while training, never for the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import nn

from compressor.errors import ResourceError, short_of_memory
from compressor.problem.task import Task
from compressor.training import precision as precisions
from compressor.training.placing import to_device


@torch.no_grad()
def evaluate(
    model: nn.Module, task: Task, split: Literal["train", "validation", "test"], *, batch_size: int,
    device: str = "cpu", precision: str = "float32",
) -> dict[str, float]:  # fmt: skip
    """Mean loss (`loss`) and mean of each metric of the model, which is in eval mode and on the device already."""
    loss, samples = 0.0, 0
    scores: dict[str, list[np.ndarray]] = {}
    for given in task.batches(split, batch_size):
        batch = to_device(given, device)
        with precisions.autocast(precision, device):
            outputs = model(batch.inputs)
        outputs = outputs.float()
        count = len(batch.inputs)
        loss, samples = loss + float(task.loss(outputs, batch)) * count, samples + count
        for name, values in task.score(outputs.cpu().numpy(), batch.targets.cpu().numpy()).items():
            scores.setdefault(name, []).append(np.asarray(values, dtype=np.float64))
    means = {name: float(np.concatenate(values).mean()) for name, values in scores.items()}
    return {"loss": loss / max(samples, 1), **means}


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
