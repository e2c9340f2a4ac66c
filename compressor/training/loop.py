"""One loop for fine-tuning, distillation, recovery after pruning, and quantization-aware training.

Deterministic and resumable: everything random comes from (seed, purpose, epoch, batch), and a checkpoint holds all
that the next batch depends on, so a training that was killed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from typing import Any

from torch import Tensor, nn

from compressor import seeds
from compressor.errors import InputError, StepError
from compressor.models import state
from compressor.problem.batch import Batch, Order
from compressor.problem.context import Context
from compressor.problem.task import Task
from compressor.training import checkpoint, optimizer, precision, schedule, threads
from compressor.training import objective as objectives
from compressor.training.checkpoint import Position
from compressor.training.evaluation import evaluate, memory_errors
from compressor.training.objective import Objective
from compressor.training.placing import layout, place, to_device
from compressor.training.settings import TrainingFields

CHECKPOINT_SECONDS = 60.0
SYNC_SECONDS = 10.0
PROGRESS_SECONDS = 0.2
SMOKE_BATCHES = 2

_SETTINGS = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "momentum", "schedule", "warmup_epochs",
    "mixup", "clip_norm", "ema", "early_stopping", "freeze",
)  # fmt: skip


def fit(
    model: nn.Module, objective: Objective, task: Task, settings: TrainingFields, *, context: Context,
    name: str = "train",
) -> list[dict[str, Any]]:  # fmt: skip
    """Train the model in place; what you get is one row an epoch: `epoch`, `train_loss`, `learning_rate`,
    `validation_loss`, `validation_<metric>`.

    The model ends on the CPU in eval mode, with the average's or the best epoch's weights where those were asked for.
    Checkpoints lie in `context.work` under `name`; a finished training only reads its last one. With `context.smoke`
    two batches are trained.

    Raises:
        InputError: fewer samples than a batch, a frozen part that is not there, nothing to stop early by.
        StepError: a loss that is not a number.
        ResourceError: not enough memory.
    """
    devices: list[int] | None = [] if context.device == "cpu" else None
    with (
        memory_errors(context.step, settings.batch_size),
        seeds.kept(devices),
        threads.limited(model, task.signature.inputs, settings.batch_size),
    ):
        training = _Training(model, objective, task, settings, context, name)
        training.run()
        return training.position.curves


def facts(curves: list[dict[str, Any]], settings: TrainingFields, context: Context) -> dict[str, Any]:
    """What an artifact says of its training: curves and the precision that was used."""
    return {"curves": curves, "precision": precision.resolve(settings.precision, context.device)}


class _Training:
    """The state of one call of `fit`."""

    def __init__(
        self, model: nn.Module, objective: Objective, task: Task, settings: TrainingFields, context: Context,
        name: str,
    ) -> None:  # fmt: skip
        self.task, self.settings, self.context, self.objective = task, settings, context, objective
        self.precision = precision.resolve(settings.precision, context.device)
        self.validate = task.size("validation") > 0
        if settings.early_stopping and not self.validate:
            where = f"steps.{context.step}.early_stopping"
            raise InputError(where, "there is no validation split to stop by", "give task.validation, or leave it out")
        self.batch_size, self.steps_per_epoch = self._steps()
        self.form = layout(model, task.signature.inputs[0].shape, context.device)
        self.model = place(model, context.device, self.form)
        self.resting = optimizer.frozen_parts(self.model, settings.freeze, context.step)
        self.extra = objective.extra
        if self.extra is not None:
            place(self.extra, context.device)
        self.optimizer = optimizer.make(self._trained(), settings)
        self.average = optimizer.Average(self.model, settings.ema) if settings.ema else None
        self.best: dict[str, Tensor] = {}
        self.best_extra: dict[str, Tensor] = {}
        self.path = context.work / f"{name}.safetensors"
        self.position = Position(identity=self._identity())
        self.saved = self.synced = self.shown = time.monotonic()
        self.accuracy: dict[str, float] = {}

    def _steps(self) -> tuple[int, int]:
        """Batch size and batches an epoch; the last batch of an epoch is dropped where it is not full."""
        size, wanted = self.task.size("train"), self.settings.batch_size
        if self.context.smoke:
            return min(size, wanted), min(SMOKE_BATCHES, max(1, size // wanted))
        if size < wanted:
            raise InputError(
                f"steps.{self.context.step}.batch_size", f"{wanted} is more than the {size} training samples",
                f"use at most {size}",
            )  # fmt: skip
        return wanted, size // wanted

    def _identity(self) -> str:
        """A digest of all that a checkpoint must agree with."""
        known = {name: getattr(self.settings, name) for name in _SETTINGS}
        shapes = {name: list(parameter.shape) for name, parameter in self._trained().named_parameters()}
        held = [
            known,
            shapes,
            self.context.seed,
            self.precision,
            self.batch_size,
            self.steps_per_epoch,
            self.task.size("train"),
        ]
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()

    def run(self) -> None:
        """Go on from the checkpoint if there is one, train to the end, and choose the weights to keep."""
        self._resume()
        if self.precision == "bfloat16":
            quick = precision.has_bf16(self.context.device)
            self.context.progress.say(f"computes in bfloat16{'' if quick else ', in which this device is slower'}")
        hook = self.model.register_forward_hook(precision.in_float32) if self.precision == "bfloat16" else None
        try:
            while self.position.epoch < self.settings.epochs and not self.position.stopped:
                self._epoch()
        finally:
            if hook is not None:
                hook.remove()
        if self.average is not None:
            self.average.swap(self.model)
        if self.best:
            checkpoint.put(self.model, self.best)
            state.give_extra(self.model, self.position.best_extra, self.best_extra)
        self.model.train(False)
        self.model.to("cpu")

    def _resume(self) -> None:
        held = checkpoint.read(self.path, self.position.identity)
        if held is None:
            return
        self.position, parts = held
        checkpoint.put(self.model, parts["model"])
        if self.extra is not None:
            checkpoint.put(self.extra, parts["along"])
        optimizer.restore(self.optimizer, self._trained(), parts.get("optimizer", {}))
        if self.average is not None:
            for name, value in self.average.values.items():
                value.copy_(parts["average"][name])
        self.best = {name: value.to(self.context.device) for name, value in parts.get("best", {}).items()}
        self.best_extra = parts.get("best_extra", {})
        state.give_extra(self.model, self.position.extra, parts.get("extra", {}))
        if self.position.epoch < self.settings.epochs and not self.position.stopped:
            self.context.progress.say(f"goes on at epoch {self.position.epoch + 1}, batch {self.position.batch + 1}")

    def _save(self) -> None:
        self.position.extra, extra = state.extra(self.model)
        parts = {
            "model": checkpoint.tensors(self.model),
            "along": checkpoint.tensors(self.extra) if self.extra is not None else {},
            "optimizer": optimizer.state(self.optimizer, self._trained()),
            "average": self.average.values if self.average is not None else {},
            "best": self.best,
            "extra": extra,
            "best_extra": self.best_extra,
        }
        sync = time.monotonic() - self.synced >= SYNC_SECONDS
        checkpoint.write(self.path, self.position, parts, sync=sync)
        self.saved = time.monotonic()
        self.synced = self.saved if sync else self.synced

    def _epoch(self) -> None:
        """Train what is left of the epoch, look at the validation split, and save."""
        position, context = self.position, self.context
        self._train_mode()
        order = Order(context.seed, position.epoch, position.batch, self.settings.mixup)
        batches = self.task.batches("train", self.batch_size, order, drop_last=True)
        rate = 0.0
        while position.batch < self.steps_per_epoch:
            batch = next(batches, None)
            if batch is None:
                raise RuntimeError(f"the task gave {position.batch} of {self.steps_per_epoch} batches")
            rate = self._batch(to_device(batch, context.device, self.form))
            if position.batch < self.steps_per_epoch and time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
                self._save()
        row: dict[str, Any] = {"epoch": position.epoch + 1, "train_loss": position.loss_sum / position.samples}
        row |= {"learning_rate": rate or self._rate(self.steps_per_epoch - 1)}
        if self.validate:
            row |= self._look()
        position.curves.append(row)
        position.epoch, position.batch, position.loss_sum, position.samples = position.epoch + 1, 0, 0.0, 0
        self._save()

    def _trained(self) -> nn.Module:
        """All that the optimizer moves; the network's own parameters keep their names."""
        if self.extra is None:
            return self.model
        return nn.ModuleDict({"network": self.model, "along": self.extra})

    def _train_mode(self) -> None:
        self.model.train()
        if self.extra is not None:
            self.extra.train()
        for part in self.resting:
            part.eval()

    def _batch(self, batch: Batch) -> float:
        """One step of the optimizer; the learning rate that it used."""
        position, context, settings = self.position, self.context, self.settings
        seeds.begin(seeds.derive(context.seed, "training", position.epoch, position.batch))
        rate = self._rate(position.batch)
        with precision.autocast(self.precision, context.device):
            loss = objectives.loss(self.objective(self.model, batch))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._not_a_number("the loss", value, rate)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(self.optimizer, rate, settings.clip_norm)
        if self.average is not None:
            self.average.update(self.model, position.epoch * self.steps_per_epoch + position.batch)
        position.loss_sum += value * len(batch)
        position.samples += len(batch)
        position.batch += 1
        self._show(value, rate)
        return rate

    def _rate(self, batch: int) -> float:
        steps = self.settings.epochs * self.steps_per_epoch
        warmup = round(self.settings.warmup_epochs * self.steps_per_epoch)
        step = self.position.epoch * self.steps_per_epoch + batch
        return self.settings.learning_rate * schedule.share(self.settings.schedule, step, steps, warmup)

    def _look(self) -> dict[str, float]:
        """The validation split's numbers, of the averaged weights where there are any; keeps the best, and stops."""
        if self.average is not None:
            self.average.swap(self.model)
        self.model.train(False)
        found = evaluate(
            self.model,
            self.task,
            "validation",
            batch_size=self.batch_size,
            device=self.context.device,
            precision=self.precision,
        )
        if not math.isfinite(found["loss"]):
            raise self._not_a_number("the validation loss", found["loss"], self._rate(self.steps_per_epoch - 1))
        metric = next(iter(self.task.metrics.values()))
        position, value = self.position, found[metric.name]
        self.accuracy = {metric.name: value}
        if self.settings.early_stopping:
            if position.best is None or metric.improves(value, position.best):
                position.best, position.best_epoch = value, position.epoch
                self.best = checkpoint.copied(checkpoint.tensors(self.model))
                position.best_extra, self.best_extra = state.extra(self.model)
            elif position.epoch - position.best_epoch >= self.settings.early_stopping:
                position.stopped = True
        if self.average is not None:
            self.average.swap(self.model)
        return {f"validation_{name}": number for name, number in found.items()}

    def _show(self, loss: float, rate: float) -> None:
        done = self.position.epoch * self.steps_per_epoch + self.position.batch
        total = self.settings.epochs * self.steps_per_epoch
        if done == total or done == 1 or time.monotonic() - self.shown >= PROGRESS_SECONDS:
            self.shown = time.monotonic()
            self.context.progress.advance(done, total, "batches", loss=loss, learning_rate=rate, **self.accuracy)

    def _not_a_number(self, what: str, value: float, rate: float) -> StepError:
        other = "precision: float32, " if self.precision == "bfloat16" else ""
        return StepError(
            f"step {self.context.step}",
            f"{what} is not a number ({value}) in epoch {self.position.epoch + 1} of {self.settings.epochs}"
            f" at a learning rate of {rate:.3g}",
            f"try {other}learning_rate: {self.settings.learning_rate / 10:.3g}, warmup_epochs: 1 or clip_norm: 1",
        )
