"""What the training loop needs from those above it: settings, a problem, and surroundings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from compressor.tasks.base import Signature

Objective = Callable[[nn.Module, Any], Tensor]
"""(model, batch) -> loss, a scalar tensor. Runs inside autocast; the model's outputs come in float32."""

SetMode = Callable[[nn.Module, bool], object]
"""(model, training): puts a network that refuses `.train()` and `.eval()` into either mode."""


class Settings(Protocol):
    """How to train; the fields of every training step, with their meaning there."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def schedule(self) -> str: ...
    @property
    def warmup_epochs(self) -> float: ...
    @property
    def mixup(self) -> float: ...
    @property
    def clip_norm(self) -> float | None: ...
    @property
    def ema(self) -> float | None: ...
    @property
    def early_stopping(self) -> int | None: ...
    @property
    def precision(self) -> str: ...
    @property
    def freeze(self) -> tuple[str, ...]: ...


class Problem(Protocol):
    """The part of a task that training asks."""

    @property
    def metric(self) -> str: ...

    @property
    def signature(self) -> Signature:
        """What goes into the network and what comes out."""

    def size(self, split: Literal["train", "validation", "test"]) -> int:
        """Samples in a split."""

    def batches(
        self, split: Literal["train", "validation", "test"], batch_size: int, *, seed: int | None = None,
        epoch: int = 0, start: int = 0, limit: int | None = None, pixels: bool = False, drop_last: bool = False,
    ) -> Iterator[Any]:  # fmt: skip
        """Batches with `inputs` and `targets`; in an order that (seed, epoch) decides."""

    def loss(self, outputs: Tensor, batch: Any, *, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of a batch."""

    def mix(self, batch: Any, alpha: float, *, seed: int, epoch: int, index: int) -> Any:
        """The batch with pairs of samples mixed."""

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> Mapping[str, np.ndarray]:
        """Per-sample value of each metric."""


class Voice(Protocol):
    """Who is told how the training goes."""

    def say(self, text: str) -> None:
        """One line worth reading."""

    def advance(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """How far it is."""


class Surroundings(Protocol):
    """Where and for whom a training runs."""

    @property
    def seed(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def work(self) -> Path: ...
    @property
    def progress(self) -> Voice: ...
    @property
    def step(self) -> str: ...
    @property
    def smoke(self) -> bool: ...
