"""Whether a network can be copied: every step works on copies of it."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from compressor.device.memory import short_of_memory
from compressor.errors import InputError

_COMPUTING = (WeightNorm, SpectralNorm, prune.BasePruningMethod)
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
                    makers = [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, _COMPUTING)]
                    what = (
                        f"`{name}` ({type(module).__name__}) has weights that a norm or a mask of the old kind computes"
                    )
                    calls = dict.fromkeys(_removing(hook) for hook in makers)
                    todo = f"call {' and '.join(calls) or 'what removes it'} in the factory"
                elif _of_a_pass(value):
                    what = f"its attribute `{place}` keeps what a pass with gradients left, which cannot be copied"
                    todo = "send samples through it under `torch.no_grad()`"
                raise InputError(where, f"{what}, and every step works on a copy of the network", todo) from problem


def _removing(hook: WeightNorm | SpectralNorm | prune.BasePruningMethod) -> str:
    """The call that makes a computed weight plain."""
    if isinstance(hook, prune.BasePruningMethod):
        return f"`torch.nn.utils.prune.remove(layer, {hook._tensor_name!r})`"
    kind = "weight" if isinstance(hook, WeightNorm) else "spectral"
    return f"`torch.nn.utils.remove_{kind}_norm(layer, {hook.name!r})`"


def _of_a_pass(value: object) -> bool:
    """Whether a tensor that gradients flow through is somewhere in it."""
    if isinstance(value, dict):
        return any(map(_of_a_pass, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_of_a_pass, value))
    return isinstance(value, Tensor) and value.grad_fn is not None
