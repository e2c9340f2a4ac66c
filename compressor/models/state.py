"""All of a network's state dict as tensors and JSON: its modules' versions and extra state included. No pickle."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compressor.errors import InputError


@dataclass(frozen=True)
class State:
    """tensors: by their names in the state dict, and those inside of `others` under `NAME/number`.

    others: what is no tensor in the state dict (`get_extra_state`), encoded. versions: the state dict's metadata of
    modules that are not torch's own, where it says more than version 1.
    """

    tensors: Mapping[str, Tensor]
    others: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def of(model: nn.Module) -> State:
    """The state of a network, its tensors on the CPU and its own.

    Raises:
        InputError: extra state that cannot be given back, or that is not made of tensors, arrays, numbers, text, lists,
            tuples and dicts.
    """
    for name, module in model.named_modules():
        kind = type(module)
        reads = kind.get_extra_state is not nn.Module.get_extra_state
        if reads and kind.set_extra_state is nn.Module.set_extra_state:
            raise InputError(
                "",
                f"{f'its part `{name}`' if name else 'the network'} ({kind.__name__}) has `get_extra_state` and no"
                " `set_extra_state`, so what it keeps there could not be given back",
                "write `set_extra_state` too, or keep it in a buffer",
            )
    held = model.state_dict()
    tensors = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    others = {
        name: _encoded(value, name, name, tensors) for name, value in held.items() if not isinstance(value, Tensor)
    }
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return State(plain, others, _versions(model, getattr(held, "_metadata", {})))


def give(model: nn.Module, state: State) -> None:
    """Load a state into a network that is built like the one that it was taken of.

    Raises:
        RuntimeError, ValueError: it does not fit the network.
    """
    own = getattr(model.state_dict(), "_metadata", {})
    inside = {f"{name}/" for name in state.others}
    held: Any = OrderedDict(
        (name, value) for name, value in state.tensors.items() if not any(name.startswith(one) for one in inside)
    )
    held.update((name, _decoded(value, state.tensors)) for name, value in state.others.items())
    held._metadata = OrderedDict({name: {**one, **state.versions.get(name, {})} for name, one in own.items()})
    model.load_state_dict(held, strict=True)


def extra(model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the network keeps by `get_extra_state`, encoded by module, and the tensors inside it."""
    tensors: dict[str, Tensor] = {}
    held = {
        name: _encoded(module.get_extra_state(), name, f"{name}._extra_state", tensors)
        for name, module in model.named_modules()
        if type(module).get_extra_state is not nn.Module.get_extra_state
    }
    return held, {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def give_extra(model: nn.Module, held: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Give the network what `extra` told of."""
    for name, value in held.items():
        model.get_submodule(name).set_extra_state(_decoded(value, tensors))


def _versions(model: nn.Module, metadata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    modules = dict(model.named_modules())
    theirs = {
        name: dict(one)
        for name, one in metadata.items()
        if name in modules and not type(modules[name]).__module__.startswith("torch.nn.") and one != {"version": 1}
    }
    for name, one in theirs.items():
        if not all(isinstance(value, bool | int | float | str | None) for value in one.values()):
            what = f"the state dict's metadata of `{name}` holds more than numbers and text"
            raise InputError("", what, "keep such things by `get_extra_state`")
    return theirs


def _encoded(value: Any, name: str, place: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; tensors and arrays go into `tensors`, under names that begin with `name/`."""
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, float):
        return {"float": str(value)}
    if isinstance(value, list):
        return [_encoded(one, name, place, tensors) for one in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return {"tuple": [_encoded(one, name, place, tensors) for one in value]}
    if isinstance(value, dict) and all(isinstance(key, str | int | float | bool) for key in value):
        pairs = [[key, _encoded(one, name, place, tensors)] for key, one in value.items()]
        return {"ordered" if isinstance(value, OrderedDict) else "dict": pairs}
    if isinstance(value, Tensor | np.ndarray | np.generic) and not (
        isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "biuf"
    ):
        key = f"{name}/{sum(one.startswith(f'{name}/') for one in tensors)}"
        tensors[key] = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        kind = "tensor" if isinstance(value, Tensor) else "array" if isinstance(value, np.ndarray) else "number"
        return {kind: key}
    raise InputError(
        "",
        f"the extra state of its part `{place.rpartition('.')[0] or 'itself'}` holds {type(value).__name__!r}, which"
        " cannot be kept",
        "let `get_extra_state` return tensors, arrays, numbers, text, lists and dicts",
    )


def _decoded(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "float":
        return float(held)
    if kind == "tuple":
        return tuple(_decoded(one, tensors) for one in held)
    if kind in ("dict", "ordered"):
        return (OrderedDict if kind == "ordered" else dict)((key, _decoded(one, tensors)) for key, one in held)
    if kind == "tensor":
        return tensors[held].clone()
    array = tensors[held].numpy().copy()
    return array if kind == "array" else array[()]
