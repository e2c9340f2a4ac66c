"""How large a network may be: what no single ONNX file can hold is refused, while it is built where that shows."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn
from torch.nn.modules import module as registration

from compressor.errors import InputError

LARGEST_FILE = 2**31 - 1
"""Bytes that protobuf, the form of ONNX files, can write at once."""


def check(model: nn.Module, name: str) -> None:
    """Refuse what no single ONNX file can hold.

    Raises:
        InputError: says how large its weights are.
    """
    held = _elements(model.modules())
    if 4 * held > LARGEST_FILE:
        raise _too_large(f"model {name}", f"its weights take {4 * held / 1e9:.2f} GB in float32")


@contextmanager
def bounded(name: str) -> Iterator[None]:
    """Stop the building of a network at the first layer that makes it too large, before that layer's numbers are drawn.

    Layers that are thrown away while it is built count nothing.

    Raises:
        InputError: out of the network's own code.
    """
    modules: WeakSet[nn.Module] = WeakSet()
    noted = 0

    def see(module: nn.Module, _: str, tensor: Any) -> None:
        nonlocal noted
        if not isinstance(tensor, Tensor) or nn.parameter.is_lazy(tensor):
            return
        modules.add(module)
        noted += tensor.numel()
        if 4 * noted <= LARGEST_FILE:
            return
        gc.collect()
        noted = _elements(modules, tensor)
        if 4 * noted > LARGEST_FILE:
            raise _too_large(f"model {name}", f"its weights take at least {4 * noted / 1e9:.2f} GB in float32")

    handles = [
        registration.register_module_parameter_registration_hook(see),
        registration.register_module_buffer_registration_hook(see),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _elements(modules: Iterable[nn.Module], new: Tensor | None = None) -> int:
    """Numbers in the parameters and buffers of these modules and a new one, each tensor once."""
    tensors = {id(one): one for part in modules for one in (*part._parameters.values(), *part._buffers.values())}
    if new is not None:
        tensors[id(new)] = new
    return sum(one.numel() for one in tensors.values() if isinstance(one, Tensor) and not nn.parameter.is_lazy(one))


def _too_large(where: str, what: str) -> InputError:
    limit = f"one ONNX file holds {LARGEST_FILE / 1e9:.2f} GB"
    return InputError(where, f"{what}, and {limit}", "use a smaller network")
