"""Image classification, the half that works: pictures to batches, outputs to losses, scores and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError
from compressor.problem.batch import Arrays, Batch, Logits, Order, Sum, Tensors, only
from compressor.problem.metric import Metric
from compressor.problem.signature import Signature, TensorSpec
from compressor.problem.task import Answer, Exhibit, Form, Split, TaskFacts
from compressor.tasks.base import TaskSpec

if TYPE_CHECKING:
    import numpy as np

    from compressor.data.image_data import ImageData

TARGET = "class"
"""What the one target of a sample is called: int64 [samples], the place of its class."""


class ImageClassification:
    """One class a picture. Implements `compressor.problem.task.Task`."""

    def __init__(self, spec: TaskSpec, data: ImageData) -> None:
        self.facts = TaskFacts(spec.type, data.classes, data.steps, data.notes, data.whole, data.unseen)
        self.metrics: Mapping[str, Metric] = spec.metrics
        height, width, channels = data.shape
        meaning = f"one {'RGB' if channels == 3 else 'grey'} picture, preprocessed as `preprocess` says"
        self.signature = Signature(
            (TensorSpec("input", "float32", (channels, height, width), "NCHW", meaning),),
            (TensorSpec("logits", "float32", (len(data.classes),), "", "one score a class, higher is likelier"),),
        )
        self._data = data

    def size(self, split: Split) -> int:
        """Number of samples in a split."""
        return len(self._data.splits[split])

    def batches(
        self, split: Split, size: int, order: Order | None = None, *, form: Form = "network",
        limit: int | None = None, drop_last: bool = False,
    ) -> Iterator[Batch]:  # fmt: skip
        """Batches; in an order shuffled and, on train, augmented. Without one, `limit` takes of every class its share.

        Raises:
            InputError: drop_last leaves no batch at all.
        """
        from compressor.data.augment import Augmentation
        from compressor.data.splits import few, generator

        data = self._data.splits[split]
        if order is not None:
            places = generator(order.seed, f"order/{split}", order.epoch).permutation(len(data))[:limit]
        else:
            places = few(data.targets, len(data) if limit is None else limit)
        if drop_last and len(places) < size:
            what = f"{size} samples a batch, and the {split} split has {len(places)}"
            raise InputError("batch_size", what, f"use a batch_size of at most {len(places)}")
        augmentation = None
        if order is not None and split == "train" and self._data.augment:
            shape = self._data.shape[:2]
            augmentation = Augmentation(self._data.augment, len(data), shape, seed=order.seed, epoch=order.epoch)
        count = len(places) // size if drop_last else -(-len(places) // size)

        def generate() -> Iterator[Batch]:
            for number in range(order.start if order is not None else 0, count):
                indices = places[number * size : (number + 1) * size]
                made = data.pixels(indices) if augmentation is None else data.augmented(indices, augmentation)
                batch = self._batch(made, data.targets[indices], indices, form)
                yield batch if order is None or order.mixup <= 0 else self._mixed(batch, order, number)

        return generate()

    def _batch(self, made: np.ndarray, targets: np.ndarray, indices: np.ndarray, form: Form) -> Batch:
        import numpy as np
        import torch

        from compressor.device.preprocess import numeric

        if form == "network":
            inputs = numeric(made, self.facts.preprocess)
        else:
            inputs = np.ascontiguousarray(made if form == "pixels_nhwc" else made.transpose(0, 3, 1, 2))
        given, wanted = torch.from_numpy(inputs), torch.from_numpy(targets)
        return Batch({self.signature.inputs[0].name: given}, {TARGET: wanted}, torch.from_numpy(indices))

    def _mixed(self, batch: Batch, order: Order, number: int) -> Batch:
        """Mixup: one share from Beta(alpha, alpha) for the batch, each sample with another; targets become shares."""
        import torch
        from torch.nn.functional import one_hot

        from compressor.data.splits import generator

        random = generator(order.seed, "mixup", order.epoch, number)
        share = float(random.beta(order.mixup, order.mixup))
        other = torch.from_numpy(random.permutation(len(batch)))
        shares = one_hot(batch.targets[TARGET], len(self.facts.labels)).to(torch.float32)
        return Batch(batch.inputs, {TARGET: shares}, batch.indices).moved(
            lambda values: torch.lerp(values[other], values, share)
        )

    def loss(self, outputs: Tensors, batch: Batch, *, label_smoothing: float = 0.0) -> Sum:
        """Cross entropy in float32 against classes, int64 [batch], or shares, float32 [batch, classes]."""
        from torch.nn.functional import cross_entropy

        rows = outputs["logits"].float()
        total = cross_entropy(rows, batch.targets[TARGET], label_smoothing=label_smoothing, reduction="sum")
        return Sum(total, len(rows))

    def logits(self, outputs: Tensors, batch: Batch) -> Logits:
        """A row a sample."""
        import torch

        rows = outputs["logits"]
        return Logits(rows, batch.targets[TARGET], torch.arange(len(rows), device=rows.device))

    def answers(self, outputs: Arrays, activation: str | None = None) -> Sequence[Answer]:
        """The class with the highest score, the first of equals; sure of it by its probability."""
        from compressor.device.answers import probabilities

        scores = only(outputs)
        sure = probabilities(scores, (activation,)).max(1, initial=0)
        labels = self.facts.labels
        return [Answer(labels[place], float(one)) for place, one in zip(scores.argmax(1), sure, strict=True)]

    def check_labels(self, where: str, outputs: Arrays, targets: Arrays) -> None:
        """Refuse (InputError) outputs that are right on the samples with the classes in another of the usual orders."""
        from compressor.data import class_order

        class_order.check(where, only(outputs).argmax(1), only(targets), self.facts.labels)

    def breakdown(self, outputs: Arrays, targets: Arrays) -> dict[str, Any]:
        """`{"per_class": [{name, recall, precision, support}], "confusion": counts[target][answer]}`.

        recall is null for a class without test samples, precision for one that was never answered. More than 128
        classes have `"cells": {targets, answers, counts}` in place of the matrix: its cells that are not zero.
        """
        import numpy as np

        from compressor.report.contract.details import LARGEST_MATRIX

        n, right_class = len(self.facts.labels), only(targets).astype(np.int64)
        answers = only(outputs).argmax(1)
        codes, counts = np.unique(right_class * n + answers, return_counts=True)
        rows, columns = codes // n, codes % n
        support, answered, right = (
            np.bincount(right_class, minlength=n),
            np.bincount(answers, minlength=n),
            np.zeros(n, int),
        )
        right[rows[rows == columns]] = counts[rows == columns]
        per_class = [
            {
                "name": name,
                "recall": float(right[label] / support[label]) if support[label] else None,
                "precision": float(right[label] / answered[label]) if answered[label] else None,
                "support": int(support[label]),
            }
            for label, name in enumerate(self.facts.labels)
        ]
        if n > LARGEST_MATRIX:
            cells = {"targets": rows.tolist(), "answers": columns.tolist(), "counts": counts.tolist()}
            return {"per_class": per_class, "cells": cells}
        matrix = np.zeros((n, n), int)
        matrix[rows, columns] = counts
        return {"per_class": per_class, "confusion": matrix.tolist()}

    def show(self, split: Split, index: int) -> Exhibit:
        """The file's bytes (PNG for sets that come as arrays), its pixels, and its class."""
        import numpy as np

        data = self._data.splits[split]
        if not 0 <= index < len(data):
            raise IndexError(f"{split} has {len(data)} samples, no sample {index}")
        pixels = np.ascontiguousarray(data.pixels(np.array([index]))[0])
        return Exhibit(data.pictures.encoded(index), pixels, self.facts.labels[int(data.targets[index])])
