"""Whether a network can be copied: every step works on copies of it."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from compressor.errors import InputError

_REGISTERED = frozenset({"_parameters", "_buffers", "_modules"})


def check(model: nn.Module, where: str = "") -> None:
    """Copy all that the modules hold beside parameters, buffers, modules and tensors: attributes and hooks.

    Raises:
        InputError: one cannot be copied, a lock or an open file say; names it.
    """
    kept: tuple[Any, ...] = (*model.modules(), *model.parameters(), *model.buffers())
    memo: dict[int, Any] = {id(part): part for part in kept}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in _REGISTERED or isinstance(value, Tensor):
                continue
            try:
                copy.deepcopy(value, memo)
            except Exception as problem:  # whatever the classes of the user's code raise
                reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
                place = f"{name}.{attribute}" if name else attribute
                what = f"its attribute `{place}` ({type(value).__name__}) cannot be copied ({reason})"
                raise InputError(
                    where,
                    f"{what}, and every step works on a copy of the network",
                    "keep it outside of the network, in a variable of its module say",
                ) from problem
