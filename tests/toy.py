"""A small real task and what a stage needs around it: seconds become milliseconds, and nothing is patched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.distillation import hinton
from compressor.problem.context import Context
from compressor.problem.signature import Signature, TensorSpec
from compressor.problem.task import Batch
from compressor.store.artifact import Artifact

SIZES = {"train": 48, "validation": 15, "test": 12}
TOY_MODEL = {"name": "mlperf_resnet8", "widths": [4, 4, 8]}


class ToyTask:
    """Noise with a bright quadrant that is the class: [1, 8, 8] pictures, three classes."""

    name, metric, fingerprint = "toy", "accuracy", "toy"
    answers = ("a", "b", "c")
    preprocess: tuple[dict[str, Any], ...] = ()

    def __init__(self, input_shape: tuple[int, int, int] = (1, 8, 8), classes: int = 3, **sizes: int) -> None:
        self.sizes = {**SIZES, **sizes}
        self.signature = Signature(
            (TensorSpec("input", "float32", input_shape),), (TensorSpec("output", "float32", (classes,)),)
        )
        self.answers = tuple("abcdefghijklmnop"[:classes])
        made = np.random.default_rng(7)
        self.data: dict[str, tuple[Tensor, Tensor]] = {}
        for split, size in self.sizes.items():
            targets = made.integers(0, classes, size)
            inputs = made.normal(0, 0.3, (size, *input_shape)).astype(np.float32)
            for at, target in enumerate(targets):
                inputs[at, :, target % input_shape[1], :] += 2
            self.data[split] = (torch.from_numpy(inputs), torch.from_numpy(targets))

    def size(self, split: str) -> int:
        return self.sizes[split]

    def batches(
        self, split: str, batch_size: int, *, seed: int | None = None, epoch: int = 0, start: int = 0,
        limit: int | None = None, pixels: bool = False, drop_last: bool = False,
    ) -> Iterator[Batch]:  # fmt: skip
        inputs, targets = self.data[split]
        order = (
            np.arange(len(targets)) if seed is None else np.random.default_rng([seed, epoch]).permutation(len(targets))
        )
        order = order[:limit]
        last = len(order) - batch_size + 1 if drop_last else len(order)
        for first in range(start * batch_size, last, batch_size):
            chosen = torch.from_numpy(order[first : first + batch_size])
            yield Batch(inputs[chosen], targets[chosen], chosen)

    def unseen(self) -> None:
        return None

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(outputs, batch.targets, label_smoothing=label_smoothing)

    def mix(self, batch: Batch, alpha: float, *, seed: int, epoch: int, index: int) -> Batch:
        share = float(np.random.default_rng([seed, epoch, index]).beta(alpha, alpha))
        soft = F.one_hot(batch.targets, len(self.answers)).float()
        other = lambda values: share * values + (1 - share) * values.flip(0)  # noqa: E731
        return replace(batch, inputs=other(batch.inputs), targets=other(soft))

    def distance(self, outputs: Tensor, teacher_outputs: Tensor, *, temperature: float) -> Tensor:
        return hinton.softened_kl(outputs, teacher_outputs, temperature)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        return {"accuracy": (outputs.argmax(1) == targets).astype(np.float64)}

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        return np.asarray(outputs.argmax(1), dtype=np.int64)

    def breakdown(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        return {}

    def raw(self, split: str, index: int) -> Any:
        raise NotImplementedError


class Listener:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[int, int, str, dict[str, float]]] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def advance(self, done: int, total: int, unit: str, **numbers: float) -> None:
        self.steps.append((done, total, unit, numbers))


def toy_context(folder: Path, task: Any = None, **changes: Any) -> Context:
    """A context whose folders lie in `folder`, on the CPU with seed 0."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = {
        "task": task or ToyTask(), "seed": 0, "device": "cpu", "folder": folder / "out", "work": folder / "work",
        "progress": Listener(), "step": "toy", "base": folder,
    }  # fmt: skip
    return Context(**{**known, **changes})


def toy_model(seed: int = 0, ref: Any = None, task: ToyTask | None = None) -> nn.Module:
    """A network of some hundred weights that fits the task."""
    from compressor.models import catalogue

    (given,), (made,) = (task or ToyTask()).signature.inputs, (task or ToyTask()).signature.outputs
    return catalogue.build(ref or TOY_MODEL, outputs=made.shape[-1], input_shape=given.shape, seed=seed)


def toy_artifact(folder: Path, ref: Any = None, task: ToyTask | None = None, seed: int = 0) -> Artifact:
    """A `model` artifact of an untrained toy network."""
    from compressor.models import network

    folder.mkdir(parents=True, exist_ok=True)
    task = task or ToyTask()
    (given,), (made,) = task.signature.inputs, task.signature.outputs
    network.save(folder, toy_model(seed, ref, task), ref or TOY_MODEL, made.shape[-1], given.shape)
    return Artifact("key", "model", "load", folder)
