"""What moves and what stays: frozen parts, decay groups, the optimizer itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from compressor.errors import InputError
from compressor.training.settings import TrainingFields


def frozen_parts(model: nn.Module, prefixes: Sequence[str], step: str) -> list[nn.Module]:
    """Freeze the parameters under the prefixes and tell the modules whose statistics must rest too.

    Raises:
        InputError: a prefix that nothing starts with, or nothing left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in names):
            parts = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            raise InputError(f"steps.{step}.freeze", f"no parameter lies under {prefix!r}", f"its parts are {parts}")
    for name, parameter in model.named_parameters():
        if any(_under(name, prefix) for prefix in prefixes):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"steps.{step}.freeze", "nothing is left to train", "freeze less")
    return [
        module for name, module in model.named_modules() if name and any(_under(name, prefix) for prefix in prefixes)
    ]


def _under(name: str, prefix: str) -> bool:
    return f"{name}.".startswith(prefix.rstrip(".") + ".")


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters in two groups: weights, which decay, and biases and norms (one dimension), which do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [one for one in trained if one.dim() > 1], "weight_decay": weight_decay},
        {"params": [one for one in trained if one.dim() <= 1], "weight_decay": 0.0},
    ]


def make(model: nn.Module, settings: TrainingFields) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over the model's trained parameters."""
    parts = [group for group in groups(model, settings.weight_decay) if group["params"]]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parts, lr=settings.learning_rate)
    nesterov = settings.momentum > 0
    return torch.optim.SGD(parts, lr=settings.learning_rate, momentum=settings.momentum, nesterov=nesterov)


def step(optimizer: torch.optim.Optimizer, rate: float, clip_norm: float | None) -> None:
    """One step at a learning rate, with gradients scaled down to the norm where one is set."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    if clip_norm is not None:
        clip_grad_norm_([one for group in optimizer.param_groups for one in group["params"]], clip_norm)
    optimizer.step()


def state(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's memory by `parameter|entry`."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}|{entry}": value
        for parameter, memory in optimizer.state.items()
        for entry, value in memory.items()
        if isinstance(value, Tensor)
    }


def restore(optimizer: torch.optim.Optimizer, model: nn.Module, held: Mapping[str, Tensor]) -> None:
    """Give the optimizer the memory that `state` told of, on the parameters' devices and in their layout."""
    parameters = dict(model.named_parameters())
    for name, value in held.items():
        owner, _, entry = name.rpartition("|")
        parameter = parameters[owner]
        same = value.shape == parameter.shape
        optimizer.state[parameter][entry] = (
            torch.empty_like(parameter, dtype=value.dtype).copy_(value) if same else value.clone()
        )


class Average:
    """The exponential moving average of the weights (Polyak and Juditsky, 1992), batch norms' statistics included.

    The decay is min(decay, (1 + steps) / (10 + steps)), so that a short training forgets where it began.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in self._averaged(model)}

    @staticmethod
    def _averaged(model: nn.Module) -> list[tuple[str, Tensor]]:
        statistics = [
            (name, one) for name, one in model.named_buffers() if name.endswith(("running_mean", "running_var"))
        ]
        return [*model.named_parameters(), *statistics]

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Move towards the weights after step number `steps` (from 0)."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, value in self._averaged(model):
            self.values[name].lerp_(value, 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights and the averages; twice changes nothing."""
        for name, value in self._averaged(model):
            other = value.clone()
            value.copy_(self.values[name])
            self.values[name].copy_(other)
