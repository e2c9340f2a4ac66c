"""A few inputs to try a network with before it is trained or after it was saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compressor.data import class_order
from compressor.models import modes

_BATCH = 64
_DARKER = 0.6


def few(task: Any, count: int) -> Tensor:
    """float32 [count, …]: training samples as the network takes them, and, in every second place, a darker mirror image
    of the sample before it. The same ones always; noise where the task has none.

    Zeros would hide what a batch does to its samples, and samples of one set have too much in common.
    """
    real = _real(task, count, ("train", "validation", "test"))
    if real is None:
        real = np.random.default_rng(0).normal(size=(count, *task.signature.inputs[0].shape))
    return torch.from_numpy(_pairs(real.astype(np.float32), count, channels=1))


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
    real = _real(task, count, ("validation", "test", "train"), pixels=pixels)
    if real is None:
        shape, made = task.signature.inputs[0].shape, np.random.default_rng(0)
        real = made.integers(0, 256, (count, *shape[1:], shape[0])).astype(np.uint8) if pixels else made.normal(
            size=(count, *shape)).astype(np.float32)  # fmt: skip
    pairs = _pairs(real, count, channels=3 if pixels else 1)
    return np.ascontiguousarray(pairs.transpose(0, 3, 1, 2) if pixels and channels_first else pairs)


def _real(task: Any, count: int, splits: Sequence[Any], *, pixels: bool = False) -> np.ndarray | None:
    """The first samples of the first of the splits that has any, half as many as `count`; None where none has."""
    half = -(-count // 2)
    split = next((split for split in splits if task.size(split)), None)
    batch = next(iter(task.batches(split, half, limit=half, pixels=pixels)), None) if split else None
    return None if batch is None or not len(batch.inputs) else batch.inputs.numpy()


def _pairs(real: np.ndarray, count: int, channels: int) -> np.ndarray:
    """[count, …]: samples, and behind each its mirror image, nearer to the least that its channel holds.

    Nothing in it is beyond what the samples hold, and whole numbers stay whole: a network may check its input, or look
    numbers up in a table. channels: their axis.
    """
    real = real[np.arange(-(-count // 2)) % len(real)]
    least = real.min(tuple(axis for axis in range(real.ndim) if axis != channels), keepdims=True)
    mirrored = np.flip(real, 2 if channels > 2 else -1)
    darker = least + _DARKER * (mirrored - least)
    if (real == np.rint(real)).all():
        darker = np.rint(darker)
    return np.ascontiguousarray(np.stack([real, darker.astype(real.dtype)], 1).reshape(-1, *real.shape[1:])[:count])
