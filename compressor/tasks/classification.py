"""Image classification, the half that works: pictures to batches, outputs to losses, scores and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.data.contents import FileDigests, PlainDigests
from compressor.errors import InputError
from compressor.problem.signature import Signature, TensorSpec
from compressor.problem.task import Batch, RawSample, Split
from compressor.store.keys import digest
from compressor.tasks.image_classification import ImageClassificationSpec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from compressor.data.image_data import ImageData

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def fetch(spec: ImageClassificationSpec, base: Path) -> None:
    """Download the named set that the file asked for."""
    spec.source(base).fetch()


def make(
    spec: ImageClassificationSpec,
    *,
    base: Path,
    seed: int,
    smoke: bool = False,
    declared: Sequence[Mapping[str, Any]] | None = None,
    digests: FileDigests | None = None,
    cache: Path | None = None,
) -> ImageClassification:
    """The task with its data loaded and checked; see `compressor.tasks.make`."""
    from compressor.data.image_data import load

    steps = spec.resolved_steps(declared)
    augment = spec.augment_steps()
    data = load(
        spec.source(base), spec.validation, smoke=smoke, steps=steps, augment=augment, digests=digests, cache=cache
    )
    parts = spec.fingerprint(base, digests or PlainDigests())
    return ImageClassification(spec, data, fingerprint=digest({**parts, "preprocess": data.steps}))


class ImageClassification:
    """One class a picture. Implements `compressor.tasks.base.Task`."""

    def __init__(self, spec: ImageClassificationSpec, data: ImageData, *, fingerprint: str) -> None:
        self.name: str = spec.type
        self.metric: str = spec.metric
        self.answers: Sequence[str] = data.classes
        self.preprocess: Sequence[Mapping[str, Any]] = data.steps
        self.notes: Sequence[str] = data.notes
        self.whole: Mapping[Split, int] = data.whole
        height, width, channels = data.shape
        meaning = f"one {'RGB' if channels == 3 else 'grey'} picture, preprocessed as `preprocess` says"
        self.signature = Signature(
            (TensorSpec("input", "float32", (channels, height, width), "NCHW", meaning),),
            (TensorSpec("logits", "float32", (len(data.classes),), "", "one score a class, higher is likelier"),),
        )
        self._data = data
        self.fingerprint = fingerprint

    def size(self, split: Split) -> int:
        """Number of samples in a split."""
        return len(self._data.splits[split])

    def unseen(self) -> np.ndarray | None:
        """bool [test]: samples that are not in validation; None where validation comes from train."""
        return self._data.unseen

    def batches(
        self, split: Split, batch_size: int, *, seed: int | None = None, epoch: int = 0, start: int = 0,
        limit: int | None = None, pixels: bool = False, drop_last: bool = False,
    ) -> Iterator[Batch]:  # fmt: skip
        """Batches; with a seed shuffled and, on train, augmented. Without one, `limit` takes of every class its share.

        Raises:
            InputError: drop_last leaves no batch at all.
        """
        from compressor.data.augment import Augmentation
        from compressor.data.splits import few, generator

        data = self._data.splits[split]
        if seed is not None:
            order = generator(seed, f"order/{split}", epoch).permutation(len(data))[:limit]
        else:
            order = few(data.targets, len(data) if limit is None else limit)
        if drop_last and len(order) < batch_size:
            what = f"{batch_size} samples a batch, and the {split} split has {len(order)}"
            raise InputError("batch_size", what, f"use a batch_size of at most {len(order)}")
        augmentation = None
        if seed is not None and split == "train" and self._data.augment:
            augmentation = Augmentation(self._data.augment, len(data), self._data.shape[:2], seed=seed, epoch=epoch)
        count = len(order) // batch_size if drop_last else -(-len(order) // batch_size)

        def generate() -> Iterator[Batch]:
            for place in range(start, count):
                indices = order[place * batch_size : (place + 1) * batch_size]
                made = data.pixels(indices) if augmentation is None else data.augmented(indices, augmentation)
                yield self._batch(made, data.targets[indices], indices, pixels=pixels)

        return generate()

    def _batch(self, made: np.ndarray, targets: np.ndarray, indices: np.ndarray, *, pixels: bool) -> Batch:
        import numpy as np
        import torch

        from compressor.device.preprocess import numeric

        inputs = np.ascontiguousarray(made) if pixels else numeric(made, self.preprocess)
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(indices))

    def loss(self, outputs: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross entropy in float32 against classes, int64 [batch], or shares, float32 [batch, classes]."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs.float(), batch.targets, label_smoothing=label_smoothing)

    def mix(self, batch: Batch, alpha: float, *, seed: int, epoch: int, index: int) -> Batch:
        """Mixup: one share from Beta(alpha, alpha) for the batch, each sample with another; targets become shares."""
        import torch
        from torch.nn.functional import one_hot

        from compressor.data.splits import generator

        if alpha <= 0:
            return batch
        random = generator(seed, "mixup", epoch, index)
        share = float(random.beta(alpha, alpha))
        other = torch.from_numpy(random.permutation(len(batch.inputs))).to(batch.inputs.device)
        targets = batch.targets
        if not targets.is_floating_point():
            targets = one_hot(targets, len(self.answers)).to(torch.float32)
        inputs = torch.lerp(batch.inputs[other], batch.inputs, share)
        return Batch(inputs, torch.lerp(targets[other], targets, share), batch.indices)

    def distance(self, outputs: Tensor, teacher_outputs: Tensor, *, temperature: float) -> Tensor:
        """Hinton's: T^2 times the KL divergence of the softened classes from the teacher's."""
        from compressor.distillation.hinton import softened_kl

        return softened_kl(outputs, teacher_outputs, temperature)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        """`accuracy`: 1.0 where the answer is the target, else 0.0, float64 [samples]."""
        import numpy as np

        return {"accuracy": (self.answer(outputs) == targets).astype(np.float64)}

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """The class with the highest score, the first of equals; int64 [samples]."""
        import numpy as np

        return np.asarray(outputs.argmax(axis=1), dtype=np.int64)

    def breakdown(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
        """`{"per_class": [{name, recall, precision, support}], "confusion": counts[target][answer]}`.

        recall is null for a class without test samples, precision for one that was never answered. More than 128
        classes have `"cells": {targets, answers, counts}` in place of the matrix: its cells that are not zero.
        """
        import numpy as np

        from compressor.report.contract.details import LARGEST_MATRIX

        n, answers = len(self.answers), self.answer(outputs)
        codes, counts = np.unique(targets.astype(np.int64) * n + answers, return_counts=True)
        rows, columns = codes // n, codes % n
        support, answered, right = (
            np.bincount(targets, minlength=n),
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
            for label, name in enumerate(self.answers)
        ]
        if n > LARGEST_MATRIX:
            cells = {"targets": rows.tolist(), "answers": columns.tolist(), "counts": counts.tolist()}
            return {"per_class": per_class, "cells": cells}
        matrix = np.zeros((n, n), int)
        matrix[rows, columns] = counts
        return {"per_class": per_class, "confusion": matrix.tolist()}

    def raw(self, split: Split, index: int) -> RawSample:
        """One sample as a device meets it: the file's bytes (PNG for sets that come as arrays), and its pixels."""
        import numpy as np

        data = self._data.splits[split]
        if not 0 <= index < len(data):
            raise IndexError(f"{split} has {len(data)} samples, no sample {index}")
        pixels = np.ascontiguousarray(data.pixels(np.array([index]))[0])
        return RawSample(data.pictures.encoded(index), pixels, int(data.targets[index]))
