"""Whether a network that is built again from its state is the network that it was taken of."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compressor.errors import InputError, IntegrityError, StepError
from compressor.models import modes, network, plain, state
from compressor.models.nudge import nudge
from compressor.problem.batch import Tensors

_OWN = frozenset(vars(nn.Module()))
_DEEPEST = 4
_MOST = 3
Build = Callable[[], nn.Module]


def check_saved(folder: Path, model: nn.Module, base: Path, inputs: Tensors) -> None:
    """Read the network of a folder as a later step would, and compare its answers with those of `model`, bit by bit.

    Raises:
        StepError: they differ; names the attributes that the state dict does not hold.
    """
    try:
        again = network.read(folder, base)
    except IntegrityError as problem:
        if (added := _added(model, network.describe(folder), base)) is None:
            raise
        raise StepError("", *added) from problem
    for one in (model, again):  # products of one weight in two orders of memory differ in their last bits
        for parameter in one.parameters():
            if parameter.dim() != 4 and not parameter.is_contiguous():
                parameter.data = parameter.data.contiguous()
    if _alike(model, again, inputs):
        return
    names = _decisive(model, again, differing(model, again), inputs)
    what = "the network that was saved answers otherwise when it is read back"
    if not names:
        raise StepError(
            "",
            f"{what}, though all its attributes are the same",
            "keep what its answers depend on in its state dict, not in globals, files or closures",
        )
    raise StepError(
        "",
        f"{what}: {_listed(names)} {'is' if len(names) == 1 else 'are'} not in its state dict, so the changes are lost",
        _todo(names, model),
    )


def _added(model: nn.Module, description: Mapping[str, Any], base: Path) -> tuple[str, str] | None:
    """What is wrong and what to do, where the network has other parameters than when it was built."""
    built = network.built(description, base)
    plain.bake(built)
    return _grown(model, built)


def _grown(model: nn.Module, built: nn.Module) -> tuple[str, str] | None:
    """What is wrong and what to do, where the names in two state dicts are not the same."""
    mine, theirs = list(model.state_dict()), list(built.state_dict())
    changed = [name for name in mine if name not in theirs] or [name for name in theirs if name not in mine]
    if not changed:
        return None
    shown = ", ".join(f"`{name}`" for name in changed[:_MOST])
    more = f" and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
    which = "has" if changed[0] in mine else "lacks"
    return (
        f"after some samples the network {which} {shown}{more} in its state dict, and when it is built again it"
        f" {'does not' if which == 'has' else 'does'}, so what was trained could not be read back",
        "make all layers, parameters and buffers in `__init__`, not in `forward`",
    )


def _decisive(one: nn.Module, other: nn.Module, names: list[str], inputs: Tensors) -> list[str]:
    """Those of the differing attributes that the answers depend on, found by giving them to the other network one
    after the other; all where that cannot be told."""
    held = dict(_outside(one))
    found = []
    before = _answers(other, inputs)
    for name in names:
        owner, _, attribute = name.rpartition(".")
        try:
            setattr(other.get_submodule(owner), attribute, copy.deepcopy(held[name]))
            after = _answers(other, inputs)
        except Exception:  # the user's class refuses the value, or cannot answer with it
            return names
        if before.shape != after.shape or not _same_arrays(before, after):
            found.append(name)
        before = after
    return found or names


def check_building(build: Build, inputs: Tensors, other: Build) -> None:
    """Compare two networks of one reference, drawn from different seeds, after one got the other's state.

    Raises:
        InputError: the second does not answer as the first: something that the state dict does not hold is drawn.
    """
    one, two = build(), other()
    plain.bake(one)
    _check_copies(one)
    nudge(one)
    if not torch.isfinite(_answers(copy.deepcopy(one), inputs)).all():  # a copy: answering may add to the network
        one = build()  # answers that are no numbers would all be alike
        plain.bake(one)
    held = state.of(one)
    try:
        network.filled(two, held)
    except (RuntimeError, ValueError, AttributeError, KeyError, TypeError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise InputError(
            "",
            f"a network that is built again does not take the state of the first ({reason})",
            "let the factory build the same layers every time, and let their state load without the first network",
        ) from problem
    if _alike(one, two, inputs):
        return
    names = _decisive(one, two, differing(one, two), inputs)
    if not names:
        raise InputError(
            "",
            "built again with the same weights, the network answers otherwise, though all its attributes are the same",
            "keep what its answers depend on in its state dict, not in globals, files or closures",
        )
    raise InputError(
        "",
        f"{_listed(names)} {'is' if len(names) == 1 else 'are'} drawn anew whenever the network is built and not in its"
        " state dict, so what is trained now could not be read back",
        f"{_todo(names, one)}, or draw from a generator with a fixed seed",
    )


def check_trained(trained: nn.Module, build: Build, inputs: Tensors) -> None:
    """Compare a network after a step of training with one that is built and gets its state.

    Raises:
        InputError: training changed something that the state dict does not hold.
    """
    try:
        again = network.filled(build(), state.of(trained))
    except (RuntimeError, ValueError) as problem:
        fresh = build()
        plain.bake(fresh)
        if (grown := _grown(trained, fresh)) is None:
            raise
        raise InputError("", *grown) from problem
    if _alike(trained, again, inputs):
        return
    if names := _decisive(trained, again, differing(trained, again), inputs):
        raise InputError(
            "",
            f"training changes {_listed(names)}, which {'is' if len(names) == 1 else 'are'} not in its state dict, so"
            " the trained network could not be read back",
            _todo(names, trained),
        )


def differing(one: nn.Module, other: nn.Module) -> list[str]:
    """Names of what differs between two networks of one kind and is in neither's state dict, tensors first."""
    mine, theirs = dict(_outside(one)), dict(_outside(other))
    names = [name for name, value in mine.items() if name not in theirs or not _equal(value, theirs[name], 0)]
    return sorted(names, key=lambda name: not isinstance(mine[name], Tensor | np.ndarray | list | tuple | dict))


def _check_copies(model: nn.Module) -> None:
    """InputError where the network holds tensors that cannot be copied: computed ones, with their gradients' graph."""
    computed = [name for name, value in _outside(model) if isinstance(value, Tensor) and value.grad_fn is not None]
    if computed:
        raise InputError(
            "",
            f"{_listed(computed)} {'is' if len(computed) == 1 else 'are'} computed from parameters when the network is"
            " built, and such a tensor can neither be copied nor trained",
            "compute it in `forward`, or register a parametrization (torch.nn.utils.parametrize)",
        )


def _outside(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Everything that modules hold beside their persistent state, by name."""
    for name, module in model.named_modules():
        before = f"{name}." if name else ""
        for attribute, value in vars(module).items():
            if attribute not in _OWN:
                yield before + attribute, value
        for buffer in module._non_persistent_buffers_set:
            yield before + buffer, module._buffers[buffer]


def _equal(one: Any, other: Any, depth: int) -> bool:
    """Whether two values are the same numbers and text; what is neither, and too deep, counts as the same."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return _same_arrays(_array(one), _array(other))
    if isinstance(one, np.ndarray | np.generic) or isinstance(other, np.ndarray | np.generic):
        return _same_arrays(np.asarray(one), np.asarray(other))
    if isinstance(one, bool | int | float | complex | str | bytes | None):
        return bool(one == other or (one != one and other != other))
    if depth >= _DEEPEST:
        return True
    if isinstance(one, nn.Module) and isinstance(other, nn.Module):
        return _equal(dict(one.state_dict()), dict(other.state_dict()), depth + 1) and not differing(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key], depth + 1) for key in one)
    if isinstance(one, list | tuple | deque) and isinstance(other, list | tuple | deque):
        return len(one) == len(other) and all(_equal(a, b, depth + 1) for a, b in zip(one, other, strict=True))
    if isinstance(one, set | frozenset) and all(isinstance(part, int | float | str) for part in one):
        return bool(one == other)
    if not callable(one) and type(one).__qualname__ == type(other).__qualname__:
        return _equal(_fields(one), _fields(other), depth + 1)
    return True


def _fields(value: Any) -> dict[str, Any]:
    """What an object holds, in its dictionary and its slots."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(value, name)]
    return {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}


def _array(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value


def _same_arrays(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or one.shape != other.shape or one.dtype != other.dtype:
        return False
    if isinstance(one, Tensor):
        return torch.equal(one, other) or bool(((one == other) | ((one != one) & (other != other))).all())
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))


def _alike(one: nn.Module, other: nn.Module, inputs: Tensors) -> bool:
    mine, theirs = _answers(one, inputs), _answers(other, inputs)
    return mine.shape == theirs.shape and _same_arrays(mine, theirs)


def _answers(model: nn.Module, inputs: Tensors) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        return modes.answer(model.to("cpu").to(memory_format=torch.contiguous_format), inputs)


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST])
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"its attribute{'s' if len(names) > 1 else ''} {shown}{more}"


def _todo(names: list[str], model: nn.Module) -> str:
    value = dict(_outside(model)).get(names[0])
    bare = names[0].rpartition(".")[2]
    if _holds_layers(value, list | tuple):
        return f"keep its layers in an `nn.ModuleList`, as `self.{bare} = nn.ModuleList(…)`"
    if _holds_layers(value, dict):
        return f"keep its layers in an `nn.ModuleDict`, as `self.{bare} = nn.ModuleDict(…)`"
    owner, _, entry = names[0].rpartition(".")
    if entry in model.get_submodule(owner)._non_persistent_buffers_set:
        return f'register it with `self.register_buffer("{bare}", …)`, without `persistent=False`'
    if isinstance(value, Tensor) and value.requires_grad:
        return f"make it a parameter: `self.{bare} = nn.Parameter(…)`"
    return f'keep it in the network\'s state: `self.register_buffer("{bare}", torch.as_tensor(…))`'


def _holds_layers(value: Any, kind: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, kind) and any(isinstance(part, nn.Module) for part in parts)
