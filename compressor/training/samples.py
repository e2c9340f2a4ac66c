"""A few inputs to try a network with before it is trained or after it was saved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from compressor.models import modes
from compressor.problem.batch import Arrays, Tensors, joined, named
from compressor.problem.signature import TensorSpec
from compressor.problem.task import LABEL_SAMPLES, Form, Split, Task

_BATCH = 64
_DARKER = 0.6


def few(task: Task, count: int) -> dict[str, Tensor]:
    """Inputs [count, …] as the network takes them: training samples, and, in every second place, a darker mirror image
    of the sample before it. The same ones always; noise where the task has none.

    Zeros would hide what a batch does to its samples, and samples of one set have too much in common.
    """
    found = _few(task, count, ("train", "validation", "test"), "network")
    return {name: torch.from_numpy(values) for name, values in found.items()}


def of_file(task: Task, count: int, form: Form = "network") -> dict[str, np.ndarray]:
    """The same as a file takes them: samples of the splits that nothing is trained on before those of train."""
    return _few(task, count, ("validation", "test", "train"), form)


def check_order(where: str, model: nn.Module, task: Task) -> None:
    """Refuse a network with weights, on the CPU, that is right on validation samples in another order of the classes.

    Raises:
        InputError: names the order, and the field that settles it.
    """
    outputs: list[Tensors] = []
    targets: list[Tensors] = []
    for batch in task.batches("validation", _BATCH, limit=LABEL_SAMPLES):
        names = [output.name for output in task.signature.outputs]
        outputs.append(named(modes.answered(model, batch.inputs), names))
        targets.append(batch.targets)
    if outputs:
        task.check_labels(where, joined(outputs), joined(targets))


def _few(task: Task, count: int, splits: Sequence[Split], form: Form) -> dict[str, np.ndarray]:
    real = _real(task, count, splits, form)
    return real or {one.name: _noise(one, count, form) for one in task.signature.inputs}


def _real(task: Task, count: int, splits: Sequence[Split], form: Form) -> dict[str, np.ndarray]:
    """The first samples of the first of the splits that has any; none where none has."""
    split = next((split for split in splits if task.size(split)), None)
    if split is None:
        return {}
    whole = any(one.dtype != "float32" for one in task.signature.inputs)
    some = count if whole else -(-count // 2)
    batch = next(iter(task.batches(split, some, limit=some, form=form)), None)
    if batch is None or not len(batch):
        return {}
    given: Arrays = {name: values.numpy() for name, values in batch.inputs.items()}
    if whole:
        return {name: np.ascontiguousarray(_again(values, count)) for name, values in given.items()}
    return {name: _pairs(values, count, channels=3 if form == "pixels_nhwc" else 1) for name, values in given.items()}


def _noise(one: TensorSpec, count: int, form: Form) -> np.ndarray:
    made = np.random.default_rng(0)
    if form == "network" and one.dtype != "float32":
        return np.ones((count, *one.shape), one.dtype)
    if form == "network":
        return _pairs(made.normal(size=(count, *one.shape)).astype(np.float32), count, channels=1)
    channels, *size = one.shape
    shape = (*size, channels) if form == "pixels_nhwc" else (channels, *size)
    return made.integers(0, 256, (count, *shape)).astype(np.uint8)


def _again(real: np.ndarray, count: int) -> np.ndarray:
    return np.asarray(real[np.arange(count) % len(real)])


def _pairs(real: np.ndarray, count: int, channels: int) -> np.ndarray:
    """[count, …]: samples, and behind each its mirror image, nearer to the least that its channel holds.

    Nothing in it is beyond what the samples hold, and whole numbers stay whole: a network may check its input, or look
    numbers up in a table. channels: their axis.
    """
    real = _again(real, -(-count // 2))
    least = real.min(tuple(axis for axis in range(real.ndim) if axis != channels), keepdims=True)
    mirrored = np.flip(real, 2 if channels > 2 else -1)
    darker = least + _DARKER * (mirrored - least)
    if (real == np.rint(real)).all():
        darker = np.rint(darker)
    return np.ascontiguousarray(np.stack([real, darker.astype(real.dtype)], 1).reshape(-1, *real.shape[1:])[:count])
