"""Whether a sample's answer depends on the samples beside it, on their order or on their number, and by what."""

from __future__ import annotations

import copy
import time
from typing import Any

import torch
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import company, modes
from compressor.models.calls import Call, listed
from compressor.models.company import ROUNDING
from compressor.models.nudge import SPREAD, nudge
from compressor.problem import batch
from compressor.problem.batch import Tensors, rows

SURELY, EXACTLY, ROUNDED = 1e-3, 1e-7, 1e-4
"""What is more than rounding surely does, float64 decides: a network may amplify it a thousandfold. The second is a
share of the outputs' spread in it; the first, for networks that cannot compute in it, of the largest output; the third
of the difference in float32, which shrinks a million times in float64 where it is rounding alone."""
SHAPES = frozenset({
    "view", "reshape", "flatten", "permute", "transpose", "t", "movedim", "contiguous", "unsqueeze", "squeeze",
    "expand", "expand_as", "__getitem__", "chunk", "split", "cat", "stack", "unflatten", "to", "float", "unbind",
})  # fmt: skip


def check(model: nn.Module, inputs: Tensors) -> None:
    """Compare answers to samples alone, in other company, in another order and twice. inputs: [at least 8, …].

    Raises:
        InputError: they differ by more than float noise; names the call that makes it so.
    """
    with torch.random.fork_rng(devices=[]):
        began = time.perf_counter()
        modes.answer(model, rows(inputs, slice(2)))
        count = company.count(time.perf_counter() - began)
        if found := _found(model, rows(inputs, slice(count)), quick=count == company.MANY):
            raise InputError("", *found)


def _found(model: nn.Module, samples: Tensors, *, quick: bool) -> tuple[str, str] | None:
    """What is wrong and what to do; None where nothing is. What a gain or a last layer of zeros hides, it hides no more
    once it is trained: a copy with nudged weights is asked too."""
    usual = modes.answer(model, samples)
    finite = torch.isfinite(usual)
    alike = _spread(usual) <= ROUNDING * _scale(usual)
    if not alike and (found := _compared(model, samples, usual, quick=quick)) is not None:
        return found
    for spread in (SPREAD, SPREAD / 100):
        other = nudge(copy.deepcopy(model), spread)
        try:
            nudged = modes.answer(other, samples)
        except Exception:  # its code asks of its weights what others do not keep
            continue
        if torch.equal(torch.isfinite(nudged), finite):
            return _compared(other, samples, nudged, quick=quick and alike)
    return None


def _compared(model: nn.Module, samples: Tensors, usual: Tensor, *, quick: bool) -> tuple[str, str] | None:
    """Answers in every company, beside those to all samples at once."""
    every = list(range(batch.count(samples)))
    for places in company.batches(every, quick=quick):
        try:
            answer = modes.answer(model, rows(samples, places))
        except Exception as problem:  # a network fails in any way
            return _cannot(model, samples, places, problem)
        if answer.shape != usual[places].shape:
            return _cannot(model, samples, places, None)
        if _differs(model, samples, places, usual, answer):
            return _why(model, samples, places, usual)
    return None


def _differs(model: nn.Module, samples: Tensors, places: list[int], usual: Tensor, answer: Tensor) -> bool:
    """Whether the samples at `places` are answered otherwise than among all of them."""
    distance, scale = _distance(answer, usual[places]), _scale(usual)
    if distance <= ROUNDING * min(scale, 1000 * _spread(usual)):
        return False
    try:
        double = copy.deepcopy(model).double()
        precise = {name: one.double() if one.is_floating_point() else one for name, one in samples.items()}
        reference = modes.answer(double, precise)
        exact = _distance(modes.answer(double, rows(precise, places)), reference[places])
    except Exception:  # made for float32 alone
        return distance > SURELY * scale
    return exact > max(EXACTLY * _spread(reference), ROUNDED * min(distance, scale))


def _distance(one: Tensor, other: Tensor) -> float:
    """The largest difference; two equal infinities, and two that are no numbers, have none."""
    same = (one == other) | ((one != one) & (other != other))
    distance = torch.where(same, 0, (one - other).abs()).max()
    return float("inf") if torch.isnan(distance) else float(distance)


def _scale(answers: Tensor) -> float:
    """The largest of the finite answers."""
    return float(torch.where(torch.isfinite(answers), answers.abs(), 0).max())


def _spread(answers: Tensor) -> float:
    """How far finite answers are from their mean over the samples."""
    finite = torch.isfinite(answers)
    mean = torch.where(finite, answers, 0).sum(0) / finite.sum(0).clamp_min(1)
    return float(torch.where(finite, (answers - mean).abs(), 0).max())


def _random(drawn: Call | None) -> tuple[str, str]:
    """Answers differ from one time to the next."""
    if drawn is None:
        return (
            "the network answers the same samples otherwise each time",
            "let `forward` depend on nothing but its input and the network's state",
        )
    what = f"{drawn.words()} draws random numbers in eval mode too, {company.EACH_TIME}"
    if "dropout" in drawn.function:
        return what, "pass `training=self.training` to it, or use `nn.Dropout`"
    return what, "draw random numbers only `if self.training`"


def _cannot(model: nn.Module, samples: Tensors, places: list[int], problem: Exception | None) -> tuple[str, str]:
    """A smaller batch fails or is answered in another shape."""
    alone = len(places) == 1
    reason = None if problem is None else (str(problem).strip().splitlines() or ["no words"])[0]
    failed = company.failed(len(places), reason)
    calls = listed(model, rows(samples, places))
    dropped = next((call for call in calls if _drops_the_batch(call)), None)
    if dropped is not None and alone:
        return company.dropping(dropped.words(), f", and {failed}"), company.NAME_AXES
    if (call := _first_mixing(model, samples)) is not None:
        return _mixing(model, call, f"and {failed}")
    return f"{failed}, though {batch.count(samples)} are answered", "let `forward` take batches of any size"


def _drops_the_batch(call: Call) -> bool:
    given = call.inputs[0] if call.inputs else None
    if call.function not in ("squeeze", "squeeze_") or not isinstance(given, Tensor) or not call.outputs:
        return False
    asked = call.inputs[1:] or tuple(call.options.values())
    return given.dim() > 0 and given.shape[0] == 1 and (not asked or 0 in asked or -given.dim() in asked)


def _why(model: nn.Module, samples: Tensors, places: list[int], usual: Tensor) -> tuple[str, str]:
    """The first call that makes an answer depend on the others."""
    calls = listed(model, samples)
    drawn = next((call for call in calls if call.random), None)
    again = modes.answer(model, samples)
    if drawn is not None or _distance(again, usual) > SURELY * _scale(usual):
        return _random(drawn)
    if (call := _first_mixing(model, samples)) is not None:
        return _mixing(model, call, company.effect(len(places)))
    fork = _fork(calls, listed(model, rows(samples, places)))
    if fork is not None:
        what = company.path("the network", len(places), f", at {fork.words()}")
        return what, "let `forward` not ask for the size of the batch"
    what = company.unlike(len(places), batch.count(samples))
    return what, "let `forward` compute within each sample, and not with its place or the batch's size"


def _fork(one: list[Call], other: list[Call]) -> Call | None:
    for mine, theirs in zip(one, other, strict=False):
        if (mine.function, mine.module, mine.line) != (theirs.function, theirs.module, theirs.line):
            return theirs
    longer = max(one, other, key=len)
    return longer[min(len(one), len(other))] if len(one) != len(other) else None


def _first_mixing(model: nn.Module, samples: Tensors) -> Call | None:
    """The first call whose output for a sample differs between a batch of all and one of itself alone: for one of the
    first two, of which the second is the darker."""
    count = batch.count(samples)
    for place in (0, 1):
        one = {name: values.roll(-place, 0) for name, values in samples.items()}
        other = {name: values[place].expand_as(values).contiguous() for name, values in samples.items()}
        for mine, theirs in zip(listed(model, one), listed(model, other), strict=False):
            for a, b in zip(mine.outputs, theirs.outputs, strict=False):
                if mine.function in SHAPES or a.shape != b.shape or not a.is_floating_point():
                    continue
                a, b = _of_first(a, count), _of_first(b, count)
                if a.numel() and _distance(a, b) > ROUNDING * max(_scale(a), 1e-6):
                    return mine
    return None


def _of_first(values: Tensor, count: int) -> Tensor:
    """The first sample's part, along the axis of the batch's size or a multiple of it; all where there is none."""
    for axis, size in enumerate(values.shape):
        if size == count:
            return values.select(axis, 0)
    if values.dim() and values.shape[0] % count == 0 and values.shape[0]:
        return values[: values.shape[0] // count]
    return values


def _mixing(model: nn.Module, call: Call, effect: str) -> tuple[str, str]:
    if call.function == "batch_norm":
        module: Any = dict(model.named_modules()).get(call.module)
        where = f"`{call.module}` ({call.kind})" if call.kind.startswith("BatchNorm") else call.words()
        if getattr(module, "track_running_stats", True) is False or getattr(module, "running_mean", 0) is None:
            todo = "leave out `track_running_stats=False`, or use a norm within each sample, such as `nn.GroupNorm`"
        elif call.kind.startswith(("BatchNorm", "SyncBatchNorm")):
            todo = _staying(model, call.module) or "leave it in eval mode: no `.train()` in `forward`"
        else:
            todo = "pass `training=self.training`, with running statistics"
        return company.normalising(where, " in eval mode too", effect), todo
    if "softmax" in call.function:
        return company.softmax(call.words(), effect), f"{company.OVER_CLASSES} (dim=1)"
    return company.mixing(call.words(), effect), company.WITHIN


def _staying(model: nn.Module, name: str) -> str | None:
    """What to do where a module is in training mode right after `model.eval()`: a `train` or `eval` of the network's
    own, in the module or around it, keeps it there. None where it is not."""
    model.eval()
    modules, parts = dict(model.named_modules()), name.split(".")
    if name not in modules or not modules[name].training:
        return None
    for place in (".".join(parts[:count]) for count in range(len(parts) + 1)):
        for method in ("train", "eval"):
            kind = type(modules[place])
            if getattr(kind, method) is not getattr(nn.Module, method) or method in vars(modules[place]):
                whose = f"`{kind.__name__}.{method}`" + (f" (of `{place}`)" if place else "")
                passing = "super().train(mode)" if method == "train" else "super().eval()"
                return f"let {whose} put it into eval mode: `return {passing}`, with nothing that turns it back"
    return None
