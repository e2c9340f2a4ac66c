"""A small real task and what a stage needs around it: seconds become milliseconds, and nothing is patched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.data import class_order
from compressor.problem.batch import Arrays, Batch, Logits, Order, Sum, Tensors, only
from compressor.problem.context import Context
from compressor.problem.signature import Signature, TensorSpec
from compressor.problem.task import Answer, Exhibit, Form, Split, TaskFacts
from compressor.store.artifact import Artifact
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY

SIZES = {"train": 48, "validation": 15, "test": 12}
TOY_MODEL = {"name": "mlperf_resnet8", "widths": [4, 4, 8]}


class ToyTask:
    """Noise with a bright quadrant that is the class: [1, 8, 8] pictures, three classes."""

    def __init__(self, input_shape: tuple[int, int, int] = (1, 8, 8), classes: int = 3, **sizes: int) -> None:
        whole: dict[Split, int] = {**SIZES, **sizes}  # type: ignore[dict-item]
        self.facts = TaskFacts("toy", tuple("abcdefghijklmnop"[:classes]), (), (), whole)
        self.metrics = {"accuracy": ACCURACY}
        self.signature = Signature(
            (TensorSpec("input", "float32", input_shape),), (TensorSpec("output", "float32", (classes,)),)
        )
        made = np.random.default_rng(7)
        self.data: dict[str, tuple[Tensor, Tensor]] = {}
        for split, size in whole.items():
            targets = made.integers(0, classes, size)
            inputs = made.normal(0, 0.3, (size, *input_shape)).astype(np.float32)
            for at, target in enumerate(targets):
                inputs[at, :, target % input_shape[1], :] += 2
            self.data[split] = (torch.from_numpy(inputs), torch.from_numpy(targets))

    def size(self, split: Split) -> int:
        return self.facts.sizes[split]

    def batches(
        self, split: Split, size: int, order: Order | None = None, *, form: Form = "network",
        limit: int | None = None, drop_last: bool = False,
    ) -> Iterator[Batch]:  # fmt: skip
        inputs, targets = self.data[split]
        places = np.arange(len(targets))
        if order is not None:
            places = np.random.default_rng([order.seed, order.epoch]).permutation(len(targets))
        places = places[:limit]
        last = len(places) - size + 1 if drop_last else len(places)
        for first in range(order.start * size if order is not None else 0, last, size):
            chosen = torch.from_numpy(places[first : first + size])
            batch = Batch({"input": inputs[chosen]}, {"class": targets[chosen]}, chosen)
            yield batch if order is None or not order.mixup else self.mixed(batch, order, first // size)

    def mixed(self, batch: Batch, order: Order, number: int) -> Batch:
        share = float(np.random.default_rng([order.seed, order.epoch, number]).beta(order.mixup, order.mixup))
        soft = F.one_hot(batch.targets["class"], len(self.facts.labels)).float()
        shares = Batch(batch.inputs, {"class": soft}, batch.indices)
        return shares.moved(lambda values: share * values + (1 - share) * values.flip(0))

    def loss(self, outputs: Tensors, batch: Batch, *, label_smoothing: float = 0.0) -> Sum:
        rows = outputs["output"]
        total = F.cross_entropy(rows, batch.targets["class"], label_smoothing=label_smoothing, reduction="sum")
        return Sum(total, len(rows))

    def logits(self, outputs: Tensors, batch: Batch) -> Logits | None:
        rows = outputs["output"]
        return Logits(rows, batch.targets["class"], torch.arange(len(rows)))

    def answers(self, outputs: Arrays, activation: str | None = None) -> list[Answer]:
        return [Answer(self.facts.labels[place], 1.0) for place in only(outputs).argmax(1)]

    def check_labels(self, where: str, outputs: Arrays, targets: Arrays) -> None:
        class_order.check(where, only(outputs).argmax(1), only(targets), self.facts.labels)

    def breakdown(self, outputs: Arrays, targets: Arrays) -> dict[str, Any]:
        return {}

    def show(self, split: Split, index: int) -> Exhibit:
        raise NotImplementedError


class Falling:
    """An objective of one's own: (model, batch) -> a scalar."""

    extra: nn.Module | None = None
    words = "a scalar"

    def __init__(self, scalar: Callable[[Any, Batch], Tensor]) -> None:
        self.scalar = scalar

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Sum]:
        return {"loss": Sum(self.scalar(model, batch), 1)}


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
