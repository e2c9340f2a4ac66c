"""A few inputs to try a network with before it is trained or after it was saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compressor.data import class_order
from compressor.models import modes

_BATCH = 64


def few(task: Any, count: int) -> Tensor:
    """float32 [count, …]: training samples as the network takes them, and, in every second place, what noise and
    another brightness make of the sample before it. The same ones always.

    Zeros would hide what a batch does to its samples, and samples of one set have too much in common.
    """
    shape = task.signature.inputs[0].shape
    made = torch.Generator().manual_seed(0)
    half = -(-count // 2)
    batch = next(iter(task.batches("train", half, limit=half)), None) if task.size("train") else None
    real = torch.randn(half, *shape, generator=made) if batch is None or not len(batch.inputs) else batch.inputs.float()
    real = real[torch.arange(half) % len(real)].contiguous()
    spread = float(real.std()) or 1.0
    changed = real.flip(-1) * 0.6 + spread * torch.randn(real.shape, generator=made)
    return torch.stack([real, changed], 1).flatten(0, 1)[:count].contiguous()


def check_order(where: str, model: nn.Module, task: Any) -> None:
    """Refuse a network with weights, on the CPU, that is right on validation samples in another order of the classes.

    Raises:
        InputError: names the order, and the field that settles it.
    """
    outputs, targets = [], []
    for batch in task.batches("validation", _BATCH, limit=class_order.SAMPLES):
        outputs.append(modes.answer(model, batch.inputs).float().numpy())
        targets.append(batch.targets.numpy())
    if outputs:
        class_order.check(where, task.answer(np.concatenate(outputs)), np.concatenate(targets), task.answers)


def of_file(task: Any, count: int, *, pixels: bool, channels_first: bool) -> np.ndarray:
    """[count, …] as a file takes them: real samples, and in every second place a darker mirror image of the sample
    before it. The same ones always; noise where the task has none. pixels: uint8, with the channels last or first.
    """
    half = -(-count // 2)
    split = next((split for split in ("validation", "test", "train") if task.size(split)), None)
    batch = next(iter(task.batches(split, half, limit=half, pixels=pixels)), None) if split else None
    if batch is None or not len(batch.inputs):
        shape = task.signature.inputs[0].shape
        made = np.random.default_rng(0)
        real = made.integers(0, 256, (half, *shape[1:], shape[0])).astype(np.uint8) if pixels else made.normal(
            size=(half, *shape)).astype(np.float32)  # fmt: skip
    else:
        real = batch.inputs.numpy()
    real = real[np.arange(half) % len(real)]
    mirrored = real[:, :, ::-1] if pixels else real[..., ::-1]
    pairs = np.stack([real, (mirrored * 0.6).astype(real.dtype)], 1).reshape(-1, *real.shape[1:])[:count]
    return np.ascontiguousarray(pairs.transpose(0, 3, 1, 2) if pixels and channels_first else pairs)
