"""What a network calls while it answers: torch's functions in their order, with the module and the line of each."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from compressor.problem.batch import Tensors

_NOT_THEIRS = (str(Path(torch.__file__).parent), str(Path(__file__).resolve().parents[1]))
_BEGINNINGS = ("watched", "one_batch")
"""Functions of ours that call a network or its loss: what called them is none of its code."""
_SILENT = frozenset({"__get__", "size", "dim", "numel", "requires_grad_", "detach", "__len__"})


@dataclass(frozen=True)
class Call:
    """One call of a function of torch. module: its name in the network and its kind. line: of the code that called."""

    function: str
    module: str
    kind: str
    line: str
    random: bool
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    outputs: tuple[Tensor, ...]

    def words(self) -> str:
        """`squeeze` in `body.1` (BatchNorm2d) at nets.py, line 4."""
        inside = f" in `{self.module}` ({self.kind})" if self.module else ""
        return f"`{self.function}`{inside}{self.line}"


class Watch(TorchFunctionMode):
    """Sees every call of a function of torch while it is entered."""

    def __init__(self, see: Callable[[Call], object]) -> None:
        super().__init__()
        self._see = see
        self._stack: list[tuple[str, str]] = []
        self._failed: list[tuple[str, Call]] = []

    def follow(self, model: nn.Module) -> list[Any]:
        """Handles of the hooks that tell in which of the model's modules a call is."""
        return [handle for name, module in model.named_modules() for handle in _following(name, module, self._stack)]

    def failed(self, problem: Exception) -> Call | None:
        """The call that raised this; None where the network's own code did."""
        return next((call for said, call in self._failed if said == str(problem)), None)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if name in _SILENT:
            return func(*args, **(kwargs or {}))
        before = _dice()
        module, kind = self._stack[-1] if self._stack else ("", "")
        try:
            made = func(*args, **(kwargs or {}))
        except Exception as problem:
            if name == "backward":  # what failed inside of it is not seen here
                raise
            self._failed.append((str(problem), Call(name, module, kind, _line(), False, (), {}, ())))
            raise
        parts = made if isinstance(made, tuple | list) else (made,)
        outputs = tuple(part for part in parts if isinstance(part, Tensor))
        self._see(Call(name, module, kind, _line(), _dice() != before, tuple(args), kwargs or {}, outputs))
        return made


@contextmanager
def watching(model: nn.Module, see: Callable[[Call], object]) -> Iterator[Watch]:
    """Let `see` be told of every call, the model's with the names of its modules."""
    watch = Watch(see)
    handles = watch.follow(model)
    try:
        with watch:
            yield watch
    finally:
        for handle in handles:
            handle.remove()


def watched(model: nn.Module, inputs: Tensors, see: Callable[[Call], object], *, training: bool = False) -> Any:
    """The model's answer in this mode, without gradients; `see` is told of every call. Raises what the model raises."""
    model.train(training)
    with torch.no_grad(), watching(model, see):
        return model(*inputs.values())


def listed(model: nn.Module, inputs: Tensors) -> list[Call]:
    """All calls up to the answer, or up to the failure."""
    found: list[Call] = []
    try:
        watched(model, inputs, found.append)
    except Exception:  # whatever the network raises, the calls before it were seen
        return found
    return found


def _following(name: str, module: nn.Module, stack: list[tuple[str, str]]) -> list[Any]:
    def enter(*_: Any) -> None:
        stack.append((name, type(module).__name__))

    def leave(*_: Any) -> None:
        stack.pop()

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]


def _dice() -> tuple[Any, ...]:
    """The states of the generators that a network might draw from."""
    legacy: Any = np.random.get_state()
    return bytes(torch.get_rng_state().numpy().data), legacy[2], legacy[1].tobytes(), random.getstate()


def is_theirs(file: str) -> bool:
    """Whether a file of code is neither torch's nor ours nor Python's own."""
    return not file.startswith((*_NOT_THEIRS, "<")) and "contextlib" not in file


def _line() -> str:
    """` at nets.py, line 24`: where the code that is neither torch's nor ours stands, where there is some."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if is_theirs(file):
            return f" at {Path(file).name}, line {frame.f_lineno}" if frame.f_code.co_name != "<module>" else ""
        if file.startswith(_NOT_THEIRS[1]) and frame.f_code.co_name in _BEGINNINGS:
            return ""
        frame = frame.f_back
    return ""
