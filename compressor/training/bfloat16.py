"""Whether a training can compute in bfloat16: one batch forward and back, the loss and a teacher's pass with it.

Autocast hands bfloat16 to some operators and float32 to others. Code that joins the two, and operators that have no
bfloat16, fail in it; steps that need more than 8 bits of precision make values that are not numbers.
"""

from __future__ import annotations

import re
import traceback
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from compressor import seeds
from compressor.device.memory import short_of_memory
from compressor.models import modes
from compressor.models.calls import Call, is_theirs, watching
from compressor.problem.batch import Batch, Order
from compressor.problem.context import Context
from compressor.problem.task import Task
from compressor.training import objective as objectives
from compressor.training import optimizer, precision
from compressor.training.evaluation import memory_errors
from compressor.training.objective import Objective
from compressor.training.placing import layout, place, to_device
from compressor.training.settings import TrainingFields
from compressor.training.trial import duplicate

SAMPLES = 8


def settled(
    model: nn.Module, objective: Objective, task: Task, settings: TrainingFields, context: Context
) -> tuple[str, str]:
    """The precision to train in, and what made it another than the device's own (else empty).

    `auto` on a device with units for bfloat16 is `float32` where one batch fails in bfloat16 and passes in float32.
    The model stays as it is.
    """
    wanted = precision.resolve(settings.precision, context.device)
    if settings.precision != "auto" or wanted == "float32":
        return wanted, ""
    failure = failing(model, objective, task, settings, context)
    if failure is None:
        return wanted, ""
    context.progress.say(f"computes in float32, since in bfloat16 {failure}")
    return "float32", f"in bfloat16 {failure}"


def failing(
    model: nn.Module, objective: Objective, task: Task, settings: TrainingFields, context: Context
) -> str | None:
    """What fails in bfloat16 and passes in float32: `` `index_add` at nets.py, line 24 fails (RuntimeError: …)``.

    Raises:
        ResourceError: not enough memory.
    """
    count = min(SAMPLES, settings.batch_size)
    order = Order(context.seed, mixup=settings.mixup)
    batch = next(iter(task.batches("train", count, order, limit=count)), None)
    if batch is None:
        return None
    trial = _Trial(model, objective, batch, settings, context)
    with memory_errors(context.step, settings.batch_size):
        half = trial.run("bfloat16")
        if half.wrong is None:
            return None
        whole = trial.run("float32")
        if whole.wrong is not None:
            return None
        return trial.named(half, whole)


@dataclass
class _Outcome:
    """wrong: what the batch ended with, None where it passed. calls: in their order, and whether each gave numbers."""

    wrong: Exception | str | None = None
    call: Call | None = None
    answered: bool = False
    calls: list[tuple[Call, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class _Trial:
    """One batch of a training, on copies of its network."""

    model: nn.Module
    objective: Objective
    batch: Batch
    settings: TrainingFields
    context: Context

    def run(self, wanted: str) -> _Outcome:
        """Forward and back in train mode, then an answer in eval mode."""
        device = self.context.device
        found = _Outcome()
        with seeds.kept([] if device == "cpu" else None):
            seeds.begin(0)
            try:
                self._pass(wanted, found)
            except Exception as problem:  # whatever the network raises
                if short_of_memory(problem):
                    raise
                found.wrong = problem
        return found

    def _pass(self, wanted: str, found: _Outcome) -> None:
        """Take a copy through the batch; `found` holds what is seen on the way. Raises what the network raises."""
        copied = place(duplicate(self.model, self.batch.inputs), self.context.device, self._form())
        copied.train()
        for part in optimizer.frozen_parts(copied, self.settings.freeze, self.context.step):
            part.eval()
        if wanted == "bfloat16":
            copied.register_forward_hook(precision.in_float32)
        copied.register_forward_hook(lambda *_: setattr(found, "answered", True))
        with watching(copied, lambda call: found.calls.append((_light(call), _finite(call.outputs)))) as watch:
            try:
                found.wrong = self.one_batch(copied, wanted)
            except Exception as problem:
                found.call = watch.failed(problem)
                raise

    def _form(self) -> torch.memory_format:
        first = next(iter(self.batch.inputs.values()))
        return layout(self.model, first.shape[1:], self.context.device)

    def one_batch(self, copied: nn.Module, wanted: str) -> str | None:
        """What is not a number: the answer, the loss, or a gradient; None where all are. Raises what they raise."""
        device = self.context.device
        batch = to_device(self.batch, device, self._form())
        with precision.autocast(wanted, device):
            loss = objectives.loss(self.objective(copied, batch))
        if not torch.isfinite(loss):
            return "the loss"
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in copied.named_parameters():
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                return f"the gradient of `{name}`"
        with precision.autocast(wanted, device):
            answer = modes.answer(copied, batch.inputs)
        return None if torch.isfinite(answer).all() else "the answer in eval mode"

    def named(self, half: _Outcome, whole: _Outcome) -> str:
        """What failed, with the operator, its module and its line as far as they are known."""
        if isinstance(half.wrong, Exception):
            said = (str(half.wrong).strip().splitlines() or ["no words"])[0]
            words = half.call.words() if half.call is not None else self._backward() or _raised(half.wrong)
            outside = " in the loss or the teacher" if half.answered and _is_outside(half.call) else ""
            return f"{words}{outside} fails ({type(half.wrong).__name__}: {said})"
        for (call, good), (_, fine) in zip(half.calls, whole.calls, strict=False):
            if fine and not good:
                return f"{call.words()} gives values that are not finite numbers"
        of = f" from {found}" if (found := self._backward()) else ""
        return f"{half.wrong}{of} is not a finite number"

    def _backward(self) -> str:
        """The operator whose way back fails, as torch's search for anomalies tells it; empty where it does not."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with torch.autograd.detect_anomaly():
                self.run("bfloat16")
        text = "\n".join(str(one.message) for one in told)
        operator = re.search(r"Error detected in (\w+?)(?:Backward\d*)?\.", text)
        if operator is None:
            return ""
        lines = re.findall(r'File "([^"]+)", line (\d+), in (?!<module>)', text[operator.start() :])
        theirs = [f" at {Path(file).name}, line {line}" for file, line in lines if is_theirs(file)]
        return f"the way back of `{operator[1]}`{theirs[-1] if theirs else ''}"


def _light(call: Call) -> Call:
    """The call without its tensors."""
    return replace(call, inputs=(), options={}, outputs=())


def _finite(outputs: tuple[torch.Tensor, ...]) -> bool:
    return all(bool(torch.isfinite(one).all()) for one in outputs if one.is_floating_point())


def _is_outside(call: Call | None) -> bool:
    """Whether a call is in none of the network's modules."""
    return call is not None and not call.kind


def _raised(problem: Exception) -> str:
    """The network's own code where no function of torch failed, with its last line."""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if is_theirs(frame.filename)]
    return f"the network's own code at {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "it"
