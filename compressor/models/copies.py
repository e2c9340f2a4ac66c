"""Whether a network can be copied: every step works on copies of it."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from compressor.device.memory import short_of_memory
from compressor.errors import InputError

_REGISTERED = frozenset({"_parameters", "_buffers", "_modules"})


def check(model: nn.Module, where: str = "") -> None:
    """Copy the network as Python copies it, but for the numbers of its parameters and buffers.

    Raises:
        InputError: an attribute or a hook cannot be copied, a lock or an open file say; names it.
    """
    numbers: dict[int, Any] = {id(part): part for part in (*model.parameters(), *model.buffers())}
    try:
        copy.deepcopy(model, dict(numbers))
    except Exception as problem:  # whatever the classes of the user's code raise
        if short_of_memory(problem):
            raise
        _refuse(model, numbers, where)


def _refuse(model: nn.Module, numbers: dict[int, Any], where: str) -> None:
    """InputError that names the first attribute which cannot be copied. Tensors of a pass with gradients are none:
    they are gone after the next one without."""
    memo = numbers | {id(part): part for part in model.modules()}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in _REGISTERED or isinstance(value, Tensor):
                continue
            try:
                copy.deepcopy(value, dict(memo))
            except Exception as problem:  # whatever the classes of the user's code raise
                reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
                place = f"{name}.{attribute}" if name else attribute
                what = f"its attribute `{place}` ({type(value).__name__}) cannot be copied ({reason})"
                todo = "keep it outside of the network, in a variable of its module say"
                if attribute == "_flat_weights":
                    what = (
                        f"`{name}` ({type(module).__name__}) has weights that an old weight or spectral norm computes"
                    )
                    todo = "call `torch.nn.utils.remove_weight_norm` or `remove_spectral_norm` on it in the factory"
                elif _of_a_pass(value):
                    what = f"its attribute `{place}` keeps what a pass with gradients left, which cannot be copied"
                    todo = "send samples through it under `torch.no_grad()`"
                raise InputError(where, f"{what}, and every step works on a copy of the network", todo) from problem


def _of_a_pass(value: object) -> bool:
    """Whether a tensor that gradients flow through is somewhere in it."""
    if isinstance(value, dict):
        return any(map(_of_a_pass, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_of_a_pass, value))
    return isinstance(value, Tensor) and value.grad_fn is not None
