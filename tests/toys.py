"""Toy problems of other shapes than one picture and one class: tokens with a mask, and a regression of two outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor.problem.batch import Arrays, Batch, Logits, Order, Sum, Tensors, only, rows
from compressor.problem.metric import Metric, mean
from compressor.problem.signature import Signature, TensorSpec
from compressor.problem.task import Answer, Exhibit, Form, Split, TaskFacts
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY

SIZES: dict[Split, int] = {"train": 48, "validation": 15, "test": 12}
LENGTH, WORDS = 6, 20


class _Toy:
    """Samples that lie in memory, in any shape."""

    def __init__(self, inputs: dict[Split, Tensors], targets: dict[Split, Tensors]) -> None:
        self.inputs, self.targets = inputs, targets

    def size(self, split: Split) -> int:
        return SIZES[split]

    def batches(
        self, split: Split, size: int, order: Order | None = None, *, form: Form = "network",
        limit: int | None = None, drop_last: bool = False,
    ) -> Iterator[Batch]:  # fmt: skip
        places = np.arange(SIZES[split])
        if order is not None:
            places = np.random.default_rng([order.seed, order.epoch]).permutation(places)
        places = places[:limit]
        last = len(places) - size + 1 if drop_last else len(places)
        for first in range(order.start * size if order is not None else 0, last, size):
            chosen = torch.from_numpy(places[first : first + size])
            given, wanted = (rows(held[split], chosen) for held in (self.inputs, self.targets))
            yield Batch(given, wanted, chosen)

    def check_labels(self, where: str, outputs: Arrays, targets: Arrays) -> None:
        pass

    def breakdown(self, outputs: Arrays, targets: Arrays) -> dict[str, Any]:
        return {}

    def show(self, split: Split, index: int) -> Exhibit:
        raise NotImplementedError


class TokenTask(_Toy):
    """Whether the first of six words is from the upper half of the dictionary; words behind a sample's end are masked."""

    def __init__(self) -> None:
        self.facts = TaskFacts("toy-tokens", ("low", "high"), (), (), SIZES)
        self.metrics = {"accuracy": ACCURACY}
        words = TensorSpec("ids", "int64", (LENGTH,)), TensorSpec("mask", "int64", (LENGTH,))
        self.signature = Signature(words, (TensorSpec("scores", "float32", (2,)),))
        made = np.random.default_rng(3)
        inputs: dict[Split, Tensors] = {}
        targets: dict[Split, Tensors] = {}
        for split, size in SIZES.items():
            ids = torch.from_numpy(made.integers(0, WORDS, (size, LENGTH)))
            mask = (torch.arange(LENGTH) < torch.from_numpy(made.integers(1, LENGTH + 1, size))[:, None]).long()
            inputs[split], targets[split] = {"ids": ids, "mask": mask}, {"half": (ids[:, 0] >= WORDS // 2).long()}
        super().__init__(inputs, targets)

    def loss(self, outputs: Tensors, batch: Batch, *, label_smoothing: float = 0.0) -> Sum:
        rows = outputs["scores"]
        total = F.cross_entropy(rows, batch.targets["half"], label_smoothing=label_smoothing, reduction="sum")
        return Sum(total, len(rows))

    def logits(self, outputs: Tensors, batch: Batch) -> Logits | None:
        return Logits(outputs["scores"], batch.targets["half"], torch.arange(len(batch)))

    def answers(self, outputs: Arrays, activation: str | None = None) -> Sequence[Answer]:
        return [Answer(self.facts.labels[place], 1.0) for place in only(outputs).argmax(1)]


class RegressionTask(_Toy):
    """Mean and spread of eight numbers; the error is better where it is lower, and nothing is scores over alternatives."""

    def __init__(self) -> None:
        self.facts = TaskFacts("toy-regression", (), (), (), SIZES)
        self.metrics: dict[str, Metric] = {
            "error": mean("error", self._errors, better="lower", range=(0.0, float("inf")))
        }
        outputs = TensorSpec("mean", "float32", (1,)), TensorSpec("spread", "float32", (1,))
        self.signature = Signature((TensorSpec("numbers", "float32", (8,)),), outputs)
        made = torch.Generator().manual_seed(5)
        inputs: dict[Split, Tensors] = {
            split: {"numbers": torch.randn(size, 8, generator=made)} for split, size in SIZES.items()
        }
        super().__init__(inputs, {
            split: {"mean": given["numbers"].mean(1, keepdim=True), "spread": given["numbers"].std(1, keepdim=True)}
            for split, given in inputs.items()
        })  # fmt: skip

    @staticmethod
    def _errors(outputs: Arrays, targets: Arrays) -> np.ndarray:
        return np.asarray(sum(np.abs(outputs[name] - targets[name])[:, 0] for name in targets), np.float64)

    def loss(self, outputs: Tensors, batch: Batch, *, label_smoothing: float = 0.0) -> Sum:
        total = torch.stack([(outputs[name] - wanted).square().sum() for name, wanted in batch.targets.items()]).sum()
        return Sum(total, len(batch))

    def logits(self, outputs: Tensors, batch: Batch) -> Logits | None:
        return None

    def answers(self, outputs: Arrays, activation: str | None = None) -> Sequence[Answer]:
        return [Answer(f"{one:.3g}", 1.0) for one in outputs["mean"][:, 0]]


class Words(nn.Module):
    """Two inputs, one output."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm, self.head = nn.Embedding(WORDS, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        shown = self.embedding(ids) * mask[:, :, None]
        scores: Tensor = self.head(self.norm(shown.sum(1) / mask.sum(1, keepdim=True)))
        return scores


class Numbers(nn.Module):
    """One input, two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.mean, self.spread = nn.Linear(8, 16), nn.Linear(16, 1), nn.Linear(16, 1)

    def forward(self, numbers: Tensor) -> dict[str, Tensor]:
        made = self.body(numbers).relu()
        return {"spread": self.spread(made), "mean": self.mean(made)}
