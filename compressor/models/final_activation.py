"""Whether a network ends in a softmax, a sigmoid or a logarithm of one: its answers are no scores then."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import modes
from compressor.models.answer_kinds import NAMES, Kind, fitting
from compressor.models.calls import Call, watched
from compressor.models.neighbours import SHAPES
from compressor.models.nudge import inputs_of
from compressor.problem.batch import Tensors, rows

SAMPLES = 4
_LOUDER = 30.0
_WEIGHTS = ((1, 1.0), (2, 1.0), (3, 3.0), (4, 3.0), (5, 10.0), (6, 10.0), (7, 30.0), (8, 30.0))
"""Seed and spread of the weights that networks are tried with, the spread as a share of 1 / sqrt(inputs of a layer)."""
_SUMMING: tuple[Kind, ...] = ("softmax", "log_softmax")
_FEWEST, _MOST_PART = 4, 0.5
_PASSING = SHAPES | {"clone", "dropout", "double", "half", "bfloat16", "type", "type_as"}
_COMBINING = frozenset({
    "sub", "rsub", "__sub__", "__rsub__", "add", "__add__", "__radd__", "mul", "__mul__", "__rmul__", "div",
    "__truediv__", "true_divide", "clamp", "clip", "clamp_min", "log", "log1p", "exp", "where", "concat", "hstack",
})  # fmt: skip
_SIGMOIDS = frozenset({"sigmoid", "sigmoid_", "expit", "special_expit", "hardsigmoid", "logsigmoid", "log_sigmoid"})
_NAMED = _SIGMOIDS | {"softmax", "softmin", "gumbel_softmax", "log_softmax", "special_softmax", "special_log_softmax"}
_UNBOUNDED = frozenset({
    "linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", "einsum", "bilinear", "conv1d", "conv2d",
    "conv3d", "conv_transpose2d", "relu", "relu_", "leaky_relu", "leaky_relu_", "gelu", "silu", "elu", "selu", "celu",
    "prelu", "mish", "hardswish", "softplus", "square", "abs", "batch_norm", "layer_norm", "group_norm",
    "instance_norm", "rms_norm",
})  # fmt: skip
_LOGARITHMS = frozenset({"log", "log_", "logsigmoid", "log_sigmoid"})


def find(model: nn.Module, inputs: Tensors, *, training: bool = False) -> Kind | None:
    """What the network's answers are; None for raw scores, which is what nearly all networks give.

    Numbers decide, and not those of these weights alone: what fits is looked at again on louder inputs and on copies
    with other weights. inputs: [samples, …]. training: of the network in training mode; it stays as it is.
    """
    given = rows(inputs, slice(SAMPLES))
    with torch.random.fork_rng(devices=[]):
        found = fitting(_answers(copy.deepcopy(model) if training else model, given, training).numpy())
        if not found:
            return None
        seen = [found]
        for changed, other in _tries(model, given):
            answers = _first_answers(changed, (other, given), training)
            if answers is None:  # what fails on strange weights tells nothing
                continue
            if (answers != answers.flatten()[0]).any() and not (torch.isnan(answers) | torch.isposinf(answers)).any():
                seen.append(fitting(answers.numpy()))
            if found.isdisjoint(_SUMMING) and not frozenset.intersection(*seen):
                return None  # the kinds that are left need every try: zeros of a new last layer fit them at first
        maker, _ = _ending(model, given, training)
    return _decided(seen, maker.function if maker is not None else "")


def _decided(seen: list[frozenset[Kind]], maker: str) -> Kind | None:
    """The kind that all tries fit. What computes with an epsilon, or saturates, may miss a sum of one now and then."""
    share = {kind: sum(kind in one for one in seen) / len(seen) for kind in seen[0]}
    wanted = 1.0 if maker in _SIGMOIDS else _MOST_PART
    for kind in _SUMMING:
        if share.get(kind, 0) >= wanted:
            return kind
    bounded = maker in _SIGMOIDS or (len(seen) >= _FEWEST and maker not in _UNBOUNDED)
    if share.get("sigmoid") == 1 and bounded:
        return "sigmoid"
    return "log_sigmoid" if share.get("log_sigmoid") == 1 and maker in _LOGARITHMS else None


def refuse(model: nn.Module, inputs: Tensors) -> None:
    """The losses of training take raw scores.

    Raises:
        InputError: the network's answers are none; names the call that makes probabilities of them.
    """
    kind, training = find(model, inputs), False
    if kind is None:
        kind, training = find(model, inputs, training=True), True
    if kind is None:
        return
    maker, named = _ending(model, rows(inputs, slice(SAMPLES)), training)
    call = named or maker
    if kind == "sigmoid" and call is not None and named is None:
        raise InputError(
            "",
            f"{call.words()} keeps the answers between 0 and 1, whatever the weights, and the softmax that training"
            " takes of such scores is never sure",
            "return scores without these bounds from `forward`: those before it, or these times a scale (`10 * x`)",
        )
    mode = " in training mode" if training else ""
    meant = {"softmax": f"probabilities of the answers{mode} (each row sums to one)",
             "sigmoid": f"probabilities of the answers{mode} (each between 0 and 1, whatever the weights)"}  # fmt: skip
    made = meant.get(kind, f"logarithms of probabilities of the answers{mode}")
    raise InputError(
        "",
        f"{'the network' if call is None else call.words()} makes {made}, and training takes the softmax itself",
        "return the scores before it (logits) from `forward`; `softmax: true` of an export step puts the softmax into "
        "the file that ships",
    )


def logits(kind: Kind, answers: Tensor) -> Tensor:
    """Scores, float32 [samples, classes], whose softmax (of a sigmoid: whose sigmoid) are the probabilities.

    Finite: a probability of 0, and in a sigmoid of 1, counts as the nearest one that float32 has.
    """
    values, least = answers.float(), torch.finfo(torch.float32).tiny
    if kind == "log_softmax":
        return values.clamp_min(math.log(least))
    if kind == "softmax":
        return values.clamp_min(least).log()
    shares = values if kind == "sigmoid" else values.exp()
    return torch.logit(shares.clamp(least, 1 - torch.finfo(torch.float32).eps / 2))


class Logits(nn.Module):
    """A network whose answers are probabilities, as one that answers with logits."""

    def __init__(self, network: nn.Module, kind: Kind) -> None:
        super().__init__()
        self.network, self.kind = network, kind

    def words(self) -> str:
        """What the logits are, in terms of what the network ends in."""
        made = {"softmax": "log p", "sigmoid": "log p - log(1 - p)", "log_softmax": "those logarithms"}
        return f"its answers are those of a {NAMES[self.kind]}, its logits {made.get(self.kind, 'log p - log(1 - p)')}"

    def forward(self, *inputs: Tensor) -> Tensor:
        """float32 [samples, classes]."""
        return logits(self.kind, self.network(*inputs))


def as_logits(model: nn.Module, inputs: Tensors) -> nn.Module:
    """The network itself where it answers with scores, else one around it that does. inputs: [samples, …]."""
    kind = find(model, inputs)
    return model if kind is None else Logits(model, kind)


def _answers(model: nn.Module, inputs: Tensors, training: bool) -> Tensor:
    return modes.answer(model, inputs, training=training).float()


def _first_answers(model: nn.Module, tries: Sequence[Tensors], training: bool) -> Tensor | None:
    """To the first inputs that the network takes: one that checks its input may refuse strange ones."""
    for inputs in tries:
        with suppress(Exception):
            return _answers(model, inputs, training)
    return None


def _tries(model: nn.Module, inputs: Tensors) -> Iterator[tuple[nn.Module, Tensors]]:
    """Copies of the network and inputs on which scores leave the range of probabilities."""

    def changed(change: Callable[[Tensor, Tensor], Tensor]) -> Tensors:
        made = torch.Generator().manual_seed(0)
        return {
            name: change(values, torch.randn(values.shape, generator=made)) if values.is_floating_point() else values
            for name, values in inputs.items()
        }

    yield copy.deepcopy(model), changed(lambda values, _: _LOUDER * values)
    yield copy.deepcopy(model), changed(lambda _, noise: _LOUDER * noise)
    for seed, spread in _WEIGHTS:
        yield _drawn(model, seed, spread, around=seed % 2), changed(torch.add)


def _drawn(model: nn.Module, seed: int, spread: float, around: float) -> nn.Module:
    """A copy with other weights: drawn around `around` times those that it has."""
    other, made = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in other.parameters():
            if value.is_floating_point() and value.numel():
                drawn = torch.randn(value.shape, generator=made).to(value.dtype)
                value.mul_(around).add_(drawn, alpha=spread / inputs_of(value) ** 0.5)
    return other


def _ending(model: nn.Module, inputs: Tensors, training: bool) -> tuple[Call | None, Call | None]:
    """The call that makes the answers' values, and, behind sums and shapes, the one that makes probabilities."""
    calls: list[Call] = []
    answer = watched(copy.deepcopy(model), inputs, calls.append, training=training)
    wanted, maker = {id(answer)}, None
    for call in reversed(calls):
        if wanted.isdisjoint(map(id, call.outputs)):
            continue
        if call.function not in _PASSING:
            maker = maker or call
        if call.function in _NAMED:
            return maker, call
        if call.function in _PASSING | _COMBINING:
            wanted |= {id(tensor) for tensor in _tensors(call.inputs)}
    return maker, None


def _tensors(given: Any) -> Iterator[Tensor]:
    for value in given:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
